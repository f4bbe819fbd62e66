import json
import shutil

import numpy as np
import pytest
from automm_goldens import arrays, predictor

from conftest import DATA
from glimpse import weights
from glimpse.automm import MultiModalPredictor, saved
from glimpse.errors import UsageError
from glimpse.weights import Checkpoint


@pytest.fixture
def made(golden, tmp_path):
    folder = shutil.copytree(golden("hf-clip-quickgelu").folder, tmp_path / "checkpoint")
    (folder / "pickle.bin").write_bytes(b"no")
    return predictor(
        "image_text_similarity",
        folder,
        query="picture",
        response="words",
        label="right",
        classes=["no", "yes"],
        match_label="yes",
        column_types={"words": "text"},
        hyperparameters={"data.image.missing_value_strategy": "skip", "env.per_gpu_batch_size": 2},
    )


def pictures():
    return {"picture": [str(path) for path in sorted((DATA / "golden" / "pictures").glob("*.png"))]}


def test_a_saved_predictor_stands_alone(made, tmp_path):
    made.save(tmp_path / "saved")
    shutil.rmtree(tmp_path / "checkpoint")
    again = MultiModalPredictor.load(tmp_path / "saved")
    assert np.abs(again.extract_embedding(pictures()) - arrays()["images"]).max() < 1e-5
    assert again.query == ["picture"]
    assert again.class_labels == ["no", "yes"]
    assert again.column_types == {"words": "text"}
    assert again.path == str(tmp_path / "saved")
    assert again._settings.missing == "skip"
    assert again._settings.batch == 2
    assert not list((tmp_path / "saved").rglob("*.bin"))
    again.save(tmp_path / "saved")  # over itself
    assert MultiModalPredictor.load(tmp_path / "saved").predict_proba({**pictures(), "words": ["a"] * 6}).shape == (
        6,
        2,
    )
    assert sorted(path.name for path in (tmp_path / "saved").iterdir()) == ["model", "predictor.json"]


def test_a_predictor_that_does_not_stand_alone_names_its_model(made, tmp_path):
    made.save(tmp_path / "saved", standalone=False)
    assert [path.name for path in (tmp_path / "saved").iterdir()] == ["predictor.json"]
    assert MultiModalPredictor.load(tmp_path / "saved", verbosity=1).extract_embedding(pictures()).shape == (6, 48)


def test_a_relative_folder_is_saved_as_an_absolute_one(golden, tmp_path, monkeypatch):
    folder = golden("hf-clip-quickgelu").folder
    monkeypatch.chdir(folder.parent)
    classes = np.unique(["no", "yes"])
    predictor("image_text_similarity", folder.name, classes=classes, match_label=classes[1]).save(
        tmp_path / "saved", standalone=False
    )
    monkeypatch.chdir(tmp_path)
    assert MultiModalPredictor.load(tmp_path / "saved").class_labels == ["no", "yes"]


def test_a_model_of_the_zoo_is_saved_with_its_config(golden, tmp_path, monkeypatch):
    """Its files are in the hub's cache, its config in open_clip's table."""
    folder = golden("open_clip-vit").folder
    config = json.loads((folder / "open_clip_config.json").read_bytes())
    bare = shutil.copytree(folder, tmp_path / "bare")
    (bare / "open_clip_config.json").unlink()
    monkeypatch.setattr(weights, "locate", lambda *_, **__: Checkpoint("ViT-B-32/openai", bare, config))
    saved.write(tmp_path / "saved", {"problem_type": "image_text_similarity"}, "ViT-B-32/openai", standalone=True)
    monkeypatch.undo()
    assert json.loads((tmp_path / "saved" / "model" / "open_clip_config.json").read_bytes()) == config
    assert weights.locate(tmp_path / "saved" / "model").folder.is_dir()


def test_other_peoples_folders_are_left_alone(made, tmp_path):
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "a.jpg").write_bytes(b"mine")
    with pytest.raises(UsageError, match="holds something else"):
        made.save(tmp_path / "photos")
    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["a.jpg"]


@pytest.mark.parametrize(
    ("files", "sentence"),
    [
        ({}, "has no predictor.json"),
        ({"assets.json": "{}"}, "saved by AutoGluon"),
        ({"predictor.json": "{"}, "damaged"),
        ({"predictor.json": "{}"}, "damaged"),
        ({"predictor.json": "[1]"}, "damaged"),
        ({"predictor.json": '{"version": 1, "checkpoint": null, "problem_type": "x"}'}, "damaged"),
        ({"predictor.json": '{"version": "x", "checkpoint": null}'}, "damaged"),
        ({"predictor.json": '{"version": 2, "checkpoint": null}'}, "later glimpse"),
    ],
)
def test_folders_that_hold_no_predictor(tmp_path, files, sentence):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(UsageError, match=sentence):
        MultiModalPredictor.load(tmp_path)
