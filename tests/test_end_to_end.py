"""From a name on the hub to answers, as a user's own process does it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from conftest import noise
from hub import Hub


@pytest.mark.parametrize("name", ["hf-clip-quickgelu", "open_clip-vit"])
def test_a_model_of_the_hub_is_fetched_and_used(name, golden, tmp_path):
    reference = golden(name)
    album = tmp_path / "album"
    album.mkdir()
    for seed in range(3):
        noise(seed).save(album / f"{seed}.png")

    def glimpse(*arguments, **environment):
        command = [sys.executable, "-m", "glimpse", *map(str, arguments)]
        places = {
            "HF_HOME": str(tmp_path / "hub"),
            "GLIMPSE_CACHE": str(tmp_path / "c"),
            "GLIMPSE_DATA": str(tmp_path / "d"),
        }
        done = subprocess.run(
            command, env=os.environ | places | environment, capture_output=True, text=True, check=False, timeout=120
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    with Hub({"somebody/model": {"main": reference.folder}}) as hub:
        online = {"HF_ENDPOINT": hub.endpoint, "HF_HUB_OFFLINE": "0"}
        glimpse("index", album, "-m", "hf-hub:somebody/model", "--precision", "float32", **online)
        fetched = len(hub.requests)
        glimpse("index", album, **online)
        assert len(hub.requests) == fetched  # on disk: nothing is asked for
    hits = json.loads(glimpse("search", "--image", album / "1.png", "--json", HF_HUB_OFFLINE="1"))
    assert Path(hits[0]["key"]).name == "1.png"
    (tmp_path / "t.txt").write_text(reference.texts[0])
    glimpse(
        "embed",
        "--texts",
        tmp_path / "t.txt",
        "-o",
        tmp_path / "t.npy",
        "-m",
        "hf-hub:somebody/model",
        "--precision",
        "float32",
    )
    assert np.abs(np.load(tmp_path / "t.npy")[0] - reference.rows[0]).max() < 1e-5
