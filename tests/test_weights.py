"""`glimpse.weights`: each kind of name, and what is listed. `test_hub.py` has what is fetched, and in which words it fails."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from checkpoints import HUGGING_FACE, OPEN_CLIP, SHARDED, TIMM, cache_snapshot, write
from glimpse import weights
from glimpse.errors import CheckpointError, ModelNotFound, ModelUnsupported

# A folder -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("files", [HUGGING_FACE, OPEN_CLIP, SHARDED], ids=["hugging face", "open_clip", "sharded"])
def test_a_folder_is_itself(tmp_path: Path, files: Mapping[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write(tmp_path / "mine", files)
    for name in (str(folder), folder):
        assert weights.locate(name) == weights.Checkpoint(str(folder.resolve()), folder.resolve(), None)
    monkeypatch.chdir(tmp_path)
    assert weights.locate("mine").name == str(folder.resolve())


def test_a_models_name_wins_over_a_folder_and_a_path_does_not_lose(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(tmp_path / "demo", HUGGING_FACE)
    bundled = write(tmp_path / "bundled", HUGGING_FACE)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(weights, "_DEMO", bundled)
    assert weights.locate("demo") == weights.Checkpoint("demo", bundled, None)
    assert weights.locate("./demo").folder == (tmp_path / "demo").resolve()


@pytest.mark.parametrize("name", ["./nothing", "/nothing/here", "~nobody-at-all/x", "..\\x", Path("nothing")])
def test_a_folder_that_is_not_there(name: str | Path) -> None:
    with pytest.raises(ModelNotFound, match="there is no folder"):
        weights.locate(name)


def test_a_folder_that_is_not_whole_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"needs config\.json and model\.safetensors"):
        weights.locate(tmp_path)
    file = write(tmp_path, HUGGING_FACE) / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"model\.safetensors .*delete it and try again"):
        weights.locate(tmp_path)


# A name ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("ViT-B-32", "ViT-B-32/openai"),
        ("vit-b-32/openai", "did you mean ViT-B-32/openai"),
        ("ViT-B-32:openai", "did you mean ViT-B-32/openai"),
        ("ViT-B-32/opanai", "did you mean ViT-B-32/openai"),
        ("dmo", "did you mean demo"),
        ("openai/clip-vit-base-patch32", "put hf-hub: before it: hf-hub:openai/clip-vit-base-patch32"),
        ("", "`glimpse models` lists the names"),
        ("x" * 5000, "`glimpse models` lists the names"),
        ("a\0b", "`glimpse models` lists the names"),
        ("hf-hub:only-a-name", "write hf-hub:org/name"),
        ("hf-hub:../../etc", "write hf-hub:org/name"),
        ("hf-hub:org/name@../../x", "write hf-hub:org/name"),
    ],
)
def test_an_unknown_name_is_helped_along(name: str, said: str) -> None:
    with pytest.raises(ModelNotFound) as caught:
        weights.locate(name)
    assert said in str(caught.value)


def test_a_known_architecture_is_not_taken_for_a_repository() -> None:
    with pytest.raises(ModelNotFound) as caught:
        weights.locate("ViT-B-32/opanai")
    assert "hf-hub:" not in str(caught.value)


def test_a_family_without_towers_is_refused_before_any_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights, "_fetch", lambda *_, **__: pytest.fail("it went to the hub"))
    for name, family in {"coca_ViT-B-32/laion2b_s13b_b90k": "coca", "RN50/openai": "resnet"}.items():
        with pytest.raises(ModelUnsupported, match=f"{name} is of the {family} family"):
            weights.locate(name)


def test_a_tags_own_preprocessing_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    cache_snapshot(tmp_path, "apple/DFN5B-CLIP-ViT-H-14-378", {"open_clip_model.safetensors": 10})
    config = weights.locate("ViT-H-14-378/dfn5b").config
    assert config is not None
    assert config["preprocess_cfg"]["resize_mode"] == "squash"


# The list -------------------------------------------------------------------------------------------------------------


def test_the_listings_are_the_zoo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    demo, *zoo = weights.listings()
    assert (demo.name, demo.supported) == ("demo", True)
    assert len(zoo) == len({listing.name for listing in zoo}) == 196
    assert not any(listing.on_disk for listing in zoo)
    assert "other" not in {listing.family for listing in zoo}
    assert {listing.supported for listing in zoo if listing.family == "clip"} == {True}
    found = {listing.name: listing for listing in zoo}["ViT-L-14-336/openai"]
    assert (found.image_size, found.dim, found.repository) == (336, 768, "timm/vit_large_patch14_clip_336.openai")


@pytest.mark.parametrize("index", ["{", "[]", "{}", '{"weight_map": []}'])
def test_an_odd_index_is_named_and_hides_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    monkeypatch.setenv("HF_HOME", str(tmp_path))
    folder = cache_snapshot(tmp_path, TIMM, SHARDED | {"model.safetensors.index.json": index})
    with pytest.raises(CheckpointError, match=r"index\.json .* delete it and try again"):
        weights.locate(folder)
    assert not any(listing.on_disk for listing in weights.listings()[1:])
