"""`glimpse.layouts` against folders of all kinds, and `glimpse.models.formats` as it asks there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from checkpoints import HUGGING_FACE, OPEN_CLIP, SHARDED, write
from glimpse import layouts
from glimpse.errors import CheckpointError
from glimpse.models import formats

TIMMS_CONFIG: dict[str, Any] = {"config.json": {"architecture": "vit_base_patch32_clip_224"}}


@pytest.mark.parametrize(
    ("files", "layout", "names"),
    [
        (HUGGING_FACE, "hugging_face", ["model.safetensors"]),
        (SHARDED, "hugging_face", ["model-1-of-2.safetensors", "model-2-of-2.safetensors"]),
        (OPEN_CLIP, "open_clip", ["open_clip_model.safetensors"]),
        (HUGGING_FACE | OPEN_CLIP, "hugging_face", ["model.safetensors"]),
        (SHARDED | OPEN_CLIP, "hugging_face", ["model-1-of-2.safetensors", "model-2-of-2.safetensors"]),
        (HUGGING_FACE | OPEN_CLIP | TIMMS_CONFIG, "open_clip", ["open_clip_model.safetensors"]),
    ],
    ids=["hugging face", "sharded", "open_clip", "both", "both, sharded", "timm's config.json"],
)
def test_a_folder_has_one_layout(
    tmp_path: Path, files: Mapping[str, Any], layout: layouts.Layout, names: list[str]
) -> None:
    folder = write(tmp_path, files)
    assert layouts.checked(folder) == layout
    assert [file.name for file in layouts.tensor_files(folder, layouts.WEIGHTS[layout])] == names


def test_the_zoos_names_need_no_config_of_open_clips_own() -> None:
    files = {"open_clip_model.safetensors", "config.json", "model.safetensors"}
    never = Path("never-read")
    assert layouts.of_files(files, lambda: never, zoo=True) == "open_clip"
    assert layouts.of_files(files, lambda: never) == "hugging_face"
    assert layouts.of_files({"open_clip_model.safetensors"}, lambda: never) is None


def test_an_empty_folder_is_told_what_it_lacks(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"needs config\.json and model\.safetensors"):
        layouts.checked(tmp_path)


@pytest.mark.parametrize("pickle", ["pytorch_model.bin", "open_clip_pytorch_model.bin", "a.pt", "a.pth", "a.ckpt"])
def test_a_folder_with_a_pickle_only_is_refused(tmp_path: Path, pickle: str) -> None:
    write(tmp_path, {"config.json": {"model_type": "clip"}, pickle: "x"})
    with pytest.raises(CheckpointError, match=r"can run any code .* convert it"):
        layouts.checked(tmp_path)


@pytest.mark.parametrize("damage", ["cut", "longer", "header cut", "empty", "not json", "huge header", "odd header"])
def test_a_broken_safetensors_file_is_named(tmp_path: Path, damage: str) -> None:
    file = write(tmp_path, HUGGING_FACE) / "model.safetensors"
    whole = file.read_bytes()
    broken = {
        "cut": whole[:-1],
        "longer": whole + b"x",
        "header cut": whole[:20],
        "empty": b"",
        "not json": whole[:8] + b"?" + whole[9:],
        "huge header": b"\xff" * 8 + whole[8:],
        "odd header": (2).to_bytes(8, "little") + b"[]",
    }
    file.write_bytes(broken[damage])
    with pytest.raises(CheckpointError, match=r"model\.safetensors .*delete it and try again"):
        layouts.checked(tmp_path)


def test_a_missing_shard_is_named(tmp_path: Path) -> None:
    (write(tmp_path, SHARDED) / "model-2-of-2.safetensors").unlink()
    with pytest.raises(CheckpointError, match=r"model-2-of-2\.safetensors is missing"):
        layouts.checked(tmp_path)


@pytest.mark.parametrize("config", ["{", "[]", '"clip"', '{"model_type": 7}'])
def test_an_odd_config_beside_open_clips_own_does_no_harm(tmp_path: Path, config: str) -> None:
    write(tmp_path, OPEN_CLIP | HUGGING_FACE | {"config.json": config})
    if config == "{":
        with pytest.raises(CheckpointError, match=r"config\.json cannot be read as JSON: delete it and try again"):
            layouts.checked(tmp_path)
    else:
        assert layouts.checked(tmp_path) == "open_clip"


@pytest.mark.parametrize("shard", ["../../outside.safetensors", "/etc/passwd", "model.bin", 7])
def test_an_index_cannot_name_files_elsewhere(tmp_path: Path, shard: object) -> None:
    write(tmp_path, SHARDED | {"model.safetensors.index.json": {"weight_map": {"a": shard}}})
    with pytest.raises(CheckpointError, match="is not a shard"):
        layouts.checked(tmp_path)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").mkdir()
    with pytest.raises(CheckpointError, match=r"model\.safetensors cannot be read \(Is a directory\)"):
        layouts.tensor_files(tmp_path, "model.safetensors")


# As the formats ask ---------------------------------------------------------------------------------------------------


def test_formats_say_what_a_folder_without_a_layout_needs(tmp_path: Path) -> None:
    write(tmp_path, HUGGING_FACE)
    (tmp_path / "config.json").unlink()
    with pytest.raises(
        CheckpointError,
        match=r"needs config\.json and model\.safetensors \(Hugging Face\), or open_clip_config\.json and open_clip_model",
    ):
        formats.read(tmp_path, "mine")


def test_formats_refuse_a_pickle(tmp_path: Path) -> None:
    write(tmp_path, {"config.json": {"model_type": "clip"}, "pytorch_model.bin": "x"})
    with pytest.raises(CheckpointError, match="can run any code"):
        formats.read(tmp_path, "mine")


@pytest.mark.parametrize("files", [HUGGING_FACE, OPEN_CLIP, SHARDED], ids=["hugging face", "open_clip", "sharded"])
def test_formats_refuse_a_file_that_is_cut_short(tmp_path: Path, files: Mapping[str, Any]) -> None:
    layout = layouts.of_folder(write(tmp_path, files))
    last = layouts.tensor_files(tmp_path, layouts.WEIGHTS[layout])[-1]
    last.write_bytes(last.read_bytes()[:-1])
    config = {"model_cfg": {"vision_cfg": {"patch_size": 32}}}
    with pytest.raises(CheckpointError, match=f"{last.name} is .* bytes long where its header says"):
        formats.read(tmp_path, "mine", config if layout == "open_clip" else None)


def test_formats_take_shards_for_hugging_faces_although_open_clips_files_are_there(tmp_path: Path) -> None:
    write(tmp_path, SHARDED | OPEN_CLIP)
    with pytest.raises(CheckpointError, match=r"model-1-of-2\.safetensors has no tensor"):
        formats.read(tmp_path, "mine")
