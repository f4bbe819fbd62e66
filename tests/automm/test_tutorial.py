"""The tutorial runs as it is written, its notebook is what it says, and so is AutoGluon's own text with the default model."""

import base64
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import checkpoint
import make_notebook
from glimpse import weights
from glimpse.automm.presets import PROBLEMS, checkpoint_of
from glimpse.demo import PICTURES
from hub import Hub

NOTEBOOK = json.loads(make_notebook.NOTEBOOK.read_text("utf-8"))
SOURCE = Path(weights.__file__).parents[1]

# The tutorial of 2022 by its calls, one line changed: the import. Pictures are named on the command line, as downloading is
# tested elsewhere.
TUTORIAL = """
import json, sys
import numpy as np
from glimpse.automm import download, MultiModalPredictor

predictor = MultiModalPredictor(pipeline="zero_shot_image_classification")
images = predictor.extract_embedding({"image": sys.argv[1:]})["image"]
texts = predictor.extract_embedding({"text": ["There is a carriage in the image."]})["text"]
similarities = np.matmul(images, texts.T)
again = MultiModalPredictor(problem_type="zero_shot_image_classification", verbosity=0)
same = bool((again.extract_embedding({"text": ["There is a carriage in the image."]})["text"] == texts).all())
lengths = np.linalg.norm(images, axis=1).tolist()
print(json.dumps([images.shape, texts.shape, similarities.shape, int(np.argmax(similarities)), same, lengths]))
"""


def test_the_tutorial_finds_both_pictures(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    space = {}
    shown = []
    for kind, text in make_notebook.parts(make_notebook.PAGE.read_text("utf-8")):
        if kind == "code":
            exec(compile(text, "tutorial.md", "exec"), space)
            if "display(" in text:
                shown.append(space["image_paths"][np.argmax(space["similarities"])])
    assert shown == ["horse-and-carriage.jpg", "airplane-over-car.jpg"]
    assert space["image_embeddings"].shape == (5, 192)
    assert space["image_embeddings"].dtype == np.float32
    assert all(Path(path).read_bytes() == (PICTURES / path).read_bytes() for path in space["image_paths"])
    out = capsys.readouterr().out
    assert "['an airplane', 'an airplane', 'a horse', 'a bus', 'two cats']" in out
    assert all(f"→ [('{name}" in out for name in ("fox-in-the-snow", "three-sheep-in-the-meadow", "pizza-on-red"))


def test_the_notebook_is_the_page_and_has_run():
    fresh = make_notebook.made(make_notebook.PAGE.read_text("utf-8"))
    assert [cell["source"] for cell in fresh["cells"]] == [cell["source"] for cell in NOTEBOOK["cells"]]
    code = [cell for cell in NOTEBOOK["cells"] if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} == {"stream", "display_data"}
    assert {output.get("name", "stdout") for output in outputs} == {"stdout"}  # no warning, no trouble
    shown = [output["data"]["image/jpeg"] for output in outputs if "image/jpeg" in output.get("data", {})]
    names = ("horse-and-carriage.jpg", "airplane-over-car.jpg")
    assert [base64.b64decode(data) for data in shown] == [(PICTURES / name).read_bytes() for name in names]
    assert not re.search(r"/(?:home|tmp|root|work)/", json.dumps(outputs))


@pytest.mark.slow
def test_the_notebook_runs_in_a_kernel():
    ran = make_notebook.run(make_notebook.made(make_notebook.PAGE.read_text("utf-8")))
    assert shown_in(ran) == shown_in(NOTEBOOK)


def shown_in(notebook):
    """The pictures that a notebook shows; what it prints comes in pieces as it happens."""
    outputs = [output for cell in notebook["cells"] for output in cell.get("outputs", [])]
    assert {output["output_type"] for output in outputs} == {"stream", "display_data"}
    return [output["data"]["image/jpeg"] for output in outputs if output["output_type"] == "display_data"]


def ran_with_default_model(size, pictures, home):
    """AutoGluon's calls, in a process that knows only a hub on this machine."""
    name = checkpoint_of(PROBLEMS["zero_shot_image_classification"], None)
    folder = home / "remote"
    folder.mkdir()
    checkpoint._write(folder, size)
    with Hub(repositories={name: {"main": folder}}) as hub:
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "TRANSFORMERS_"))}
        ours = {"HF_HOME": str(home / "hf"), "HF_ENDPOINT": hub.endpoint, "PYTHONPATH": str(SOURCE)}
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", TUTORIAL, *map(str, pictures)],
            env=kept | ours,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "model.safetensors" in hub.asked_for()
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    "size",
    [
        pytest.param(checkpoint.Size(768, 336, 14, 64, 1, 64, 1), id="one layer"),
        pytest.param(checkpoint.SIZES["ViT-L-14-336"], id="ViT-L/14 at 336", marks=pytest.mark.slow),
    ],
)
def test_the_default_model_gives_five_rows_of_768(size, golden_pictures, tmp_path):
    images, texts, similarities, best, same, lengths = ran_with_default_model(size, golden_pictures[:5], tmp_path)
    assert images == [5, 768]
    assert texts == [1, 768]
    assert similarities == [5, 1]
    assert 0 <= best < 5
    assert same
    assert np.allclose(lengths, 1, atol=1e-3)
