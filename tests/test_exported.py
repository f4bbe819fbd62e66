"""Folders of ONNX towers: our own, written and read again, and those of others in immich's layout."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

import glimpse
import glimpse.tokens
from conftest import GOLDENS
from glimpse.errors import CheckpointError, UsageError
from hub import Hub

pytest.importorskip("onnx", reason="exporting needs the extra onnx: pip install 'glimpse-search[onnx]'")
pytest.importorskip("onnxruntime", reason="running ONNX files there needs the extra onnx")


@pytest.fixture(scope="module")
def exported(golden, tmp_path_factory):
    """Export a golden once."""
    known = {}

    def get(name):
        if name not in known:
            target = tmp_path_factory.mktemp("exported") / name
            known[name] = glimpse.load(golden(name).folder, runtime="numpy").export(target)
        return known[name]

    return get


@pytest.mark.filterwarnings("ignore::glimpse.tokens.TruncationWarning")
@pytest.mark.parametrize(
    ("name", "runtime"),
    [*((name, "onnx") for name in GOLDENS), ("hf-clip-gelu", "openvino"), ("open_clip-eva02", "openvino")],
)
def test_an_exported_model_is_a_model(name, runtime, golden, exported, golden_pictures):
    reference = golden(name)
    again = glimpse.load(exported(name), runtime=runtime, precision="float32", parity=True)
    assert np.abs(again.texts(reference.texts) - reference.rows).max() < 1e-5
    assert np.abs(again.images(golden_pictures) - reference.images).max() < 1e-5


def test_it_classifies_as_the_model_it_was_made_of(golden, exported, golden_pictures):
    labels = ["a dog", "a carriage"]
    chances = [
        glimpse.load(folder, precision="float32").classify(golden_pictures[:2], labels)
        for folder in (golden("hf-siglip").folder, exported("hf-siglip"))
    ]
    assert np.abs(chances[0] - chances[1]).max() < 1e-4
    assert not np.allclose(chances[0].sum(1), 1)  # SigLIP's sigmoid


def test_a_folder_of_others_needs_no_card_of_ours(golden, exported, golden_pictures, tmp_path):
    """What immich publishes has config.json and preprocess_cfg.json alone."""
    reference = golden("open_clip-vit")
    folder = shutil.copytree(exported("open_clip-vit"), tmp_path / "of others")
    (folder / "glimpse.json").unlink()
    theirs = glimpse.load(folder, precision="float32", parity=True)
    assert theirs.card.dim == reference.rows.shape[1]
    assert np.abs(theirs.images(golden_pictures) - reference.images).max() < 1e-5
    short = [text for text in reference.texts if len(text) < 60]
    places = [reference.texts.index(text) for text in short]
    assert np.abs(theirs.texts(short) - reference.rows[places]).max() < 1e-5


@pytest.mark.filterwarnings("ignore::glimpse.tokens.TruncationWarning")
@pytest.mark.parametrize("name", [name for name in GOLDENS if name.startswith("open_clip")])
def test_the_configs_for_others_say_how_texts_are_prepared(name, golden, exported, tmp_path):
    reference = golden(name)
    folder = shutil.copytree(exported(name), tmp_path / "of others")
    (folder / "glimpse.json").unlink()
    rows = glimpse.load(folder, runtime="onnx").texts(reference.texts)
    assert np.abs(rows - reference.rows).max() < 1e-5


def test_an_export_is_whole_or_not_there(golden, tmp_path, monkeypatch):
    monkeypatch.setattr(glimpse.tokens, "save", lambda *_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        glimpse.load(golden("hf-clip-gelu").folder).export(tmp_path / "new")
    assert list(tmp_path.iterdir()) == []


def test_a_place_that_cannot_be_written_is_named(golden, tmp_path):
    (tmp_path / "file").touch()
    encoder = glimpse.load(golden("hf-clip-gelu").folder)
    with pytest.raises(UsageError, match="file/sub cannot be written"):
        encoder.export(tmp_path / "file" / "sub")
    with pytest.raises(UsageError, match="no folder is named"):
        encoder.export("")


def test_beside_a_checkpoint_the_checkpoint_counts(golden, exported, tmp_path):
    folder = shutil.copytree(exported("open_clip-vit"), tmp_path / "both")
    shutil.copytree(golden("open_clip-vit").folder, folder, dirs_exist_ok=True)
    assert glimpse.load(folder).card.family == "clip"


@pytest.mark.parametrize(
    "change",
    [
        {"context": 0},
        {"context": "77"},
        {"pixels": {"mean": [0, 0]}},
        {"pixels": {"std": [0, 1, 1]}},
        {"pixels": {"size": "64"}},
        {"pixels": {"resize_mode": "weird"}},
        {"pixels": {"later": 1}},
        {"words": {"padding": "weird"}},
    ],
)
def test_a_card_that_cannot_be_is_refused(change, exported, tmp_path):
    folder = shutil.copytree(exported("open_clip-vit"), tmp_path / "odd")
    card = json.loads((folder / "glimpse.json").read_bytes())
    for name, value in change.items():
        card[name] = {**card[name], **value} if isinstance(value, dict) else value
    (folder / "glimpse.json").write_text(json.dumps(card))
    with pytest.raises(CheckpointError, match=r"later glimpse|is not that of a CLIP"):
        glimpse.load(folder)


@pytest.mark.parametrize("ours", [True, False])
def test_a_repository_of_such_files_is_fetched_and_used(ours, golden, exported, golden_pictures, tmp_path, monkeypatch):
    reference = golden("open_clip-vit")
    folder = shutil.copytree(exported("open_clip-vit"), tmp_path / "repository")
    (folder / "visual" / "model.armnn").write_text("for other machines")
    if not ours:
        (folder / "glimpse.json").unlink()
    monkeypatch.setenv("HF_HOME", str(tmp_path / "home"))
    with Hub({"immich-app/ViT": {"main": folder}}) as hub:
        monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
        monkeypatch.setenv("HF_HUB_OFFLINE", "0")
        done = subprocess.run(
            [sys.executable, "-c", "import glimpse; glimpse.load('hf-hub:immich-app/ViT')"],
            check=False,
            stderr=subprocess.PIPE,
        )
        assert done.returncode == 0, done.stderr.decode()
        assert not any("armnn" in str(request) for request in hub.requests)
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    rows = glimpse.load("hf-hub:immich-app/ViT", precision="float32", parity=True).images(golden_pictures)
    assert np.abs(rows - reference.images).max() < 1e-5


@pytest.mark.parametrize("missing", ["config.json", "visual/preprocess_cfg.json"])
def test_what_such_a_folder_lacks_is_named(missing, exported, tmp_path):
    folder = shutil.copytree(exported("open_clip-vit"), tmp_path / "broken")
    (folder / "glimpse.json").unlink()
    (folder / missing).unlink()
    with pytest.raises(CheckpointError, match=r"no config.json or no visual/preprocess_cfg.json"):
        glimpse.load(folder)


def test_a_card_of_a_later_version_is_refused(exported, tmp_path):
    folder = shutil.copytree(exported("open_clip-vit"), tmp_path / "later")
    card = json.loads((folder / "glimpse.json").read_bytes())
    (folder / "glimpse.json").write_text(json.dumps(card | {"spin": 2}))
    with pytest.raises(CheckpointError, match="exported by a later glimpse"):
        glimpse.load(folder)


def test_runtimes_that_cannot_run_it_say_which_can(exported):
    with pytest.raises(UsageError, match="numpy does not run ONNX files: choose openvino or onnx"):
        glimpse.load(exported("open_clip-vit"), runtime="numpy")


def test_nothing_is_written_over(golden, exported, tmp_path):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "mine").touch()
    with pytest.raises(UsageError, match="is there already"):
        glimpse.load(golden("open_clip-vit").folder).export(tmp_path / "there")
    with pytest.raises(UsageError, match="is an exported model already"):
        glimpse.load(exported("open_clip-vit")).export(tmp_path / "new")


def test_the_same_export_has_the_same_fingerprint_wherever_it_is(exported, tmp_path):
    folder = shutil.copytree(exported("hf-clip-gelu"), tmp_path / "moved")
    assert glimpse.load(folder).fingerprint == glimpse.load(exported("hf-clip-gelu")).fingerprint
