import pytest

from glimpse.automm.presets import PROBLEMS, checkpoint_of, problem_of
from glimpse.automm.settings import Settings, model_name, read
from glimpse.errors import UsageError

ZERO_SHOT = PROBLEMS["zero_shot_image_classification"]
CLIP = {"model.clip.checkpoint_name": "demo"}


@pytest.mark.parametrize(
    ("problem_type", "presets", "checkpoint"),
    [
        ("zero_shot_image_classification", None, "openai/clip-vit-large-patch14-336"),
        ("zero_shot_image_classification", "medium_quality", "openai/clip-vit-base-patch32"),
        ("zero_shot_image_classification", "high_quality", "openai/clip-vit-large-patch14"),
        ("zero_shot_image_classification", "best_quality", "openai/clip-vit-large-patch14-336"),
        ("image_text_similarity", None, "openai/clip-vit-base-patch32"),
        ("image_text_similarity", "medium_quality_hpo", "openai/clip-vit-base-patch32"),
        ("image_text_similarity", "HIGH_quality", "openai/clip-vit-large-patch14"),
        ("image_text_similarity", "best_quality_hpo", "openai/clip-vit-large-patch14-336"),
        ("feature_extraction", "best_quality", "openai/clip-vit-base-patch32"),
    ],
)
def test_presets_are_autogluons(problem_type, presets, checkpoint):
    assert checkpoint_of(PROBLEMS[problem_type], presets) == checkpoint


def test_both_keywords_name_a_problem():
    assert problem_of("zero_shot_image_classification", None) is ZERO_SHOT
    assert problem_of(None, "Zero_Shot_Image_Classification") is ZERO_SHOT
    assert problem_of("zero_shot", "zero_shot_image_classification") is ZERO_SHOT


@pytest.mark.parametrize(
    ("names", "sentence"),
    [
        ((None, None), "give a problem_type"),
        (("image_similarity", "text_similarity"), "differ"),
        (("zero_shot_image_clasification", None), "choose from zero_shot_image_classification"),
        (("ner", None), "AutoGluon"),
    ],
)
def test_wrong_problems(names, sentence):
    with pytest.raises(UsageError, match=sentence):
        problem_of(*names)


def test_wrong_presets():
    with pytest.raises(UsageError, match="choose from medium_quality"):
        checkpoint_of(ZERO_SHOT, "medium")


@pytest.mark.parametrize(
    "given",
    [
        {"model.clip.checkpoint_name": "demo", "env.precision": "bf16-mixed", "env.per_gpu_batch_size": 4},
        "model.clip.checkpoint_name=demo env.precision=bf16-mixed env.per_gpu_batch_size=4",
        ["model.clip.checkpoint_name=demo", "env.precision=bf16-mixed", "env.per_gpu_batch_size=4"],
    ],
)
def test_every_form_of_hyperparameters(given):
    assert read(given, ZERO_SHOT, None) == Settings("demo", batch=4, precision="bfloat16")


def test_defaults_and_what_has_no_effect():
    assert read(None, ZERO_SHOT, None) == Settings("hf-hub:openai/clip-vit-large-patch14-336")
    more = {"env.num_gpus": 0, "env.num_workers": 2, "model.names": ["clip"], "glimpse.parity": True}
    assert read(CLIP | more, ZERO_SHOT, None) == Settings("demo", gpus=0, parity=True)
    assert read(CLIP | {"env.precision": "16-mixed"}, ZERO_SHOT, None).precision == "auto"
    assert read(CLIP | {"env.precision": 32}, ZERO_SHOT, None).precision == "float32"


def test_settings_read_back():
    settings = Settings("demo", batch=4, gpus=0, precision="bfloat16", missing="skip", parity=True)
    assert read(settings.as_hyperparameters(), ZERO_SHOT, None) == settings
    assert read(Settings("demo").as_hyperparameters(), ZERO_SHOT, None) == Settings("demo")


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"model.clip.checkpont_name": "x"}, r"did you mean model\.clip\.checkpoint_name"),
        ({"clip.checkpoint_name": "x"}, r"did you mean model\.clip\.checkpoint_name"),
        ({"env.precison": 32}, r"did you mean env\.precision"),
        ({"optim.lr": 1}, "there is no hyperparameter 'optim.lr'"),
        ({"env.precision": 64}, "32, '16-mixed'"),
        ({"env.per_gpu_batch_size": 0}, "from 1"),
        ({"env.per_gpu_batch_size": 2.5}, "whole number"),
        ({"env.num_gpus": "many"}, "whole number"),
        ({"data.image.missing_value_strategy": "ignore"}, "'raise', 'zero' or 'skip'"),
        ({"model.names": ["timm_image"]}, "AutoGluon"),
        ({"model.clip.checkpoint_name": None}, "a name or a folder"),
        ({"glimpse.parity": "maybe"}, "True or False"),
        ("model.clip.checkpoint_name", "key=value"),
    ],
)
def test_wrong_hyperparameters(given, sentence):
    with pytest.raises(UsageError, match=sentence):
        read(given, ZERO_SHOT, None)


def test_a_gpu_that_is_asked_for_is_said_to_be_unused():
    with pytest.warns(UserWarning, match="no GPU runtime"):
        assert read(CLIP | {"env.num_gpus": 1}, ZERO_SHOT, None).gpus == 1


@pytest.mark.parametrize("name", ["feature_extraction", "image_similarity", "text_similarity"])
def test_a_clip_that_stands_in_is_told_of(name):
    with pytest.warns(UserWarning, match=r"glimpse takes the CLIP hf-hub:openai/clip-vit-base-patch32"):
        read(None, PROBLEMS[name], None)
    read(CLIP, PROBLEMS[name], None)  # not where one is named
    read({"model.names": ["clip"]}, PROBLEMS[name], None)  # nor where a CLIP is


def test_checkpoints_by_autogluons_names_and_by_ours(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "org" / "model").mkdir(parents=True)
    assert model_name("openai/clip-vit-base-patch32") == "hf-hub:openai/clip-vit-base-patch32"
    assert model_name("ViT-B-32/openai") == "ViT-B-32/openai"
    assert model_name("org/model") == "org/model"
    assert model_name(tmp_path) == str(tmp_path)
    assert model_name("hf-hub:org/name@v1") == "hf-hub:org/name@v1"
