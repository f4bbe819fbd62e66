"""glimpse where little is installed: a container with torch or numpy, and no room for the rest."""

import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

from glimpse import places

SOURCE = Path(places.__file__).parents[1]
ABSENT = (
    "openvino",
    "rich",
    "click",
    "platformdirs",
    "pathspec",
    "huggingface_hub",
    "tqdm",
    "onnx",
    "onnxruntime",
    "av",
)
SCRIPT = f"""
import sys

sys.modules |= dict.fromkeys({ABSENT})  # which is as if they were not installed
import glimpse

folder, picture, runtime = sys.argv[1:]
encoder = glimpse.load(folder, runtime=runtime)
rows, named = encoder.images([picture]), encoder.texts(["a carriage"])
assert rows.shape == named.shape == (1, encoder.dim)
assert abs((rows ** 2).sum() - 1) < 1e-3
print(encoder.runtime)
"""


@pytest.mark.parametrize("runtime", ["numpy", "torch"])
def test_a_model_is_loaded_and_used(runtime, golden, golden_pictures, tmp_path):
    if find_spec(runtime) is None:
        pytest.skip(f"{runtime} is not installed: pip install 'glimpse-search[{runtime}]'")
    given = [golden("hf-clip-gelu").folder, golden_pictures[0], runtime]
    ours = {name: value for name, value in os.environ.items() if not name.startswith(("GLIMPSE_", "XDG_"))}
    env = ours | {"PYTHONPATH": str(SOURCE), "HOME": str(tmp_path)}  # and no variable that says where the cache is
    found = subprocess.run(
        [sys.executable, "-c", SCRIPT, *map(str, given)], env=env, capture_output=True, text=True, check=False
    )
    assert found.stderr == ""
    assert found.stdout == f"{runtime}\n"
    assert (tmp_path / ".cache" / "glimpse").is_dir()


def test_without_platformdirs_the_places_are_those_of_linux(monkeypatch):
    for name in ("GLIMPSE_CACHE", "GLIMPSE_DATA", "XDG_CACHE_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    known = (places.cache_folder(), places.default_collection()) if sys.platform == "linux" else None
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    found = (places.cache_folder(), places.default_collection())
    assert found == (known or found)
    assert found == (Path("~/.cache/glimpse").expanduser(), Path("~/.local/share/glimpse/photos.db").expanduser())
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert places.cache_folder() == Path("/somewhere/glimpse")
