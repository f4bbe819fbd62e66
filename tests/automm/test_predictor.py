"""`MultiModalPredictor` against what AutoGluon 1.6.3 makes of the same checkpoint, pictures and texts; and where it is better."""

import base64
import json
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from automm_goldens import arrays, plain, predictor
from PIL import Image

from conftest import noise
from glimpse.automm import MultiModalPredictor, semantic_search
from glimpse.automm.notices import PictureWarning
from glimpse.demo import MODEL, PICTURES
from glimpse.errors import BadItems, DownloadError, MissingExtra, UsageError
from glimpse.values import PixelRules

CLOSE = 1e-5


@pytest.fixture(scope="module")
def checkpoint(golden):
    return golden("hf-clip-quickgelu").folder


@pytest.fixture(scope="module")
def zero_shot(checkpoint):
    return predictor("zero_shot_image_classification", checkpoint)


@pytest.fixture(scope="module")
def matching(checkpoint):
    return predictor("image_text_similarity", checkpoint, query="picture", response="words")


@pytest.fixture(scope="module")
def paths():
    from conftest import DATA

    return [str(path) for path in sorted((DATA / "golden" / "pictures").glob("*.png"))]


@pytest.fixture(scope="module")
def texts():
    return plain()["texts"]


def same(ours, theirs):
    assert ours.shape == theirs.shape
    assert np.abs(ours - theirs).max() < CLOSE


# As AutoGluon ----------------------------------------------------------------------------------------------------------


def test_embeddings_are_autogluons(zero_shot, paths, texts):
    found = zero_shot.extract_embedding({"image": paths})
    assert list(found) == ["image"]
    assert found["image"].dtype == np.float32
    same(found["image"], arrays()["images"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # two of the texts are too long
        same(zero_shot.extract_embedding({"text": texts})["text"], arrays()["texts"])


@pytest.mark.filterwarnings("ignore:the text")
def test_text_columns_are_one_text_and_picture_columns_their_own(zero_shot, paths, texts):
    joined = zero_shot.extract_embedding({"b": texts[:3], "a": texts[3:6]})
    assert list(joined) == ["a_b"]
    same(
        joined["a_b"][:2], arrays()["joined"][:2]
    )  # the third is too long: AutoGluon shaves the longer column, we the end
    two = zero_shot.extract_embedding({"two": paths[:3], "one": paths[3:]})
    assert set(two) == {"one", "two"}
    same(two["two"], arrays()["second"])


@pytest.mark.filterwarnings("ignore:the text")
def test_predictions_are_autogluons_in_both_directions(zero_shot, paths, texts):
    images, words = {"image": paths}, {"text": texts}
    same(zero_shot.predict_proba(images, words), arrays()["proba"])
    same(zero_shot.predict_proba(words, images), arrays()["proba_of_texts"])
    assert zero_shot.predict(images, words).tolist() == arrays()["predict"].tolist()
    assert zero_shot.predict(words, images).tolist() == arrays()["predict_of_texts"].tolist()
    same(zero_shot.predict({"image": paths, "text": texts[:6]}), arrays()["pairs"])
    same(zero_shot.predict_proba({"image": paths, "text": texts[:6]}), arrays()["proba_of_pairs"])
    assert texts[zero_shot.predict(paths[:1], texts)[0]]  # a place in a list, which AutoGluon's float is not


@pytest.mark.filterwarnings("ignore:the text")
def test_feature_extraction_is_autogluons(checkpoint, paths, texts):
    features = predictor("feature_extraction", checkpoint, hyperparameters={"model.names": ["clip"]})
    found = features.extract_embedding({"image": paths, "text": texts[:6]})
    same(found["image"], arrays()["feature_images"])
    same(found["text"], arrays()["feature_texts"])


@pytest.mark.filterwarnings("ignore:the text")
def test_matching_is_autogluons(matching, paths, texts):
    same(matching.extract_embedding({"picture": paths}), arrays()["matching_images"])
    same(matching.extract_embedding({"words": texts}), arrays()["matching_texts"])
    pairs = {"picture": paths, "words": texts[:6]}
    same(matching.predict_proba(pairs), arrays()["matching_proba"])
    assert matching.predict(pairs).tolist() == arrays()["matching_predict"].tolist()
    same(matching.predict_proba(pairs, as_multiclass=False), arrays()["matching_proba"][:, 1])


def found(results):
    return [[hit["response_id"] for hit in hits] for hits in results]


def scores(results):
    return np.array([[hit["score"] for hit in hits] for hits in results])


@pytest.mark.filterwarnings("ignore:the text")
def test_search_finds_what_autogluon_finds_in_the_same_order(matching, paths, texts):
    ours = semantic_search(matching, query_data=texts, response_data=paths, top_k=4)
    assert found(ours) == found(plain()["search"])
    same(scores(ours), scores(plain()["search"]))


@pytest.mark.filterwarnings("ignore:the text")
def test_the_other_direction_is_autogluons_too(matching, paths, texts):
    """Responses are asked for queries: what the columns are called decides, not the side they stand on."""
    ours = semantic_search(matching, query_data={"words": texts}, response_data={"picture": paths}, top_k=4)
    assert found(ours) == found(plain()["search_backwards"])
    pairs = {"picture": paths, "words": texts[:6], "relevance": [1] * 6}
    sides = {"query_data": {"words": texts[:6]}, "response_data": {"picture": paths}}
    ours = matching.evaluate(pairs, **sides, metrics=["automm"], cutoffs=plain()["cutoffs"])
    assert ours == pytest.approx(plain()["backwards"], abs=1e-5)


@pytest.fixture
def demo_as_autogluon_reads_it(tmp_path):
    """AutoGluon takes OpenAI's mean and deviation for every checkpoint, whatever its preprocessor_config.json says."""
    folder = shutil.copytree(MODEL, tmp_path / "demo")
    rules = json.loads((folder / "preprocessor_config.json").read_bytes())
    openai = {"image_mean": PixelRules(1, 1).mean, "image_std": PixelRules(1, 1).std}
    (folder / "preprocessor_config.json").write_text(json.dumps(rules | openai))
    return folder


def test_search_among_58_pictures_is_autogluons(demo_as_autogluon_reads_it):
    alike = predictor("image_similarity", demo_as_autogluon_reads_it)
    rows = alike.extract_embedding(sorted(str(path) for path in PICTURES.glob("*.jpg")))
    same(rows, arrays()["demo_images"])
    ours = semantic_search(query_embeddings=rows, response_embeddings=rows, top_k=10)
    assert found(ours) == found(plain()["demo_search"])
    same(scores(ours), scores(plain()["demo_search"]))


@pytest.mark.filterwarnings("ignore:the text")
def test_evaluation_is_autogluons_where_it_is_asked_to_be(matching, paths, texts):
    pairs = {"picture": paths, "words": texts[:6], "relevance": [1] * 6}
    sides = {"query_data": {"picture": paths}, "response_data": {"words": texts}, "label": "relevance"}
    found = matching.evaluate(pairs, **sides, metrics="automm", cutoffs=plain()["cutoffs"])
    assert found == pytest.approx(plain()["evaluated"], abs=1e-5)


# Pictures that cannot be used ------------------------------------------------------------------------------------------


@pytest.fixture
def broken(tmp_path, paths):
    """A good picture, one cut short, one that is not there, one that is none, and a good one."""
    noise(1).save(tmp_path / "cut.jpg")
    (tmp_path / "cut.jpg").write_bytes((tmp_path / "cut.jpg").read_bytes()[:900])
    (tmp_path / "text.jpg").write_text("no picture")
    return [paths[0], *(str(tmp_path / name) for name in ("cut.jpg", "missing.jpg", "text.jpg")), paths[1]]


def test_bad_pictures_raise_and_all_of_them_are_named(zero_shot, broken):
    with pytest.raises(BadItems) as raised:
        zero_shot.extract_embedding({"image": broken})
    assert [failure.code for failure in raised.value.failures] == ["truncated", "vanished", "unsupported-format"]
    assert all(path in str(raised.value) for path in broken[1:4])
    assert "no such file" in str(raised.value)


@pytest.mark.parametrize(("strategy", "value"), [("zero", 0.0), ("skip", np.nan)])
def test_bad_pictures_by_strategy_are_named_and_nothing_moves(checkpoint, paths, broken, strategy, value):
    lenient = predictor(
        "zero_shot_image_classification",
        checkpoint,
        hyperparameters={"data.image.missing_value_strategy": strategy},
    )
    with pytest.warns(PictureWarning, match=r"3 of the pictures") as warned:
        rows, masks = lenient.extract_embedding({"image": broken}, return_masks=True)
    assert all(path in str(warned[0].message) for path in broken[1:4])
    assert masks["image"].tolist() == [1, 0, 0, 0, 1]
    same(rows["image"][[0, 4]], arrays()["images"][:2])
    assert np.array_equal(rows["image"][1:4], np.full((3, 48), value, np.float32), equal_nan=True)


def test_what_is_skipped_is_neither_predicted_nor_found(checkpoint, paths, broken, texts):
    lenient = predictor(
        "image_text_similarity", checkpoint, hyperparameters={"data.image.missing_value_strategy": "skip"}
    )
    with pytest.warns(PictureWarning):
        assert lenient.predict(broken, texts[:2]).tolist()[1:4] == [-1, -1, -1]
    with pytest.warns(PictureWarning):
        hits = semantic_search(lenient, query_data=texts[:1], response_data=broken)[0]
    assert sorted(hit["response_id"] for hit in hits) == [0, 4]
    with pytest.warns(PictureWarning):
        chances = lenient.predict_proba(texts[:1], broken)[0]
    assert chances[1:4].tolist() == [0, 0, 0]
    assert chances.sum() == pytest.approx(1)
    with pytest.warns(PictureWarning):
        assert np.isnan(lenient.predict_proba(broken, texts[:2])).all(1).tolist() == [False, True, True, True, False]
    with pytest.warns(PictureWarning):
        assert lenient.predict({"a": broken, "b": ["x"] * 5}).tolist()[1:4] == [-1, -1, -1]
    lenient.classes = ["no", "yes"]
    with pytest.warns(PictureWarning):
        assert lenient.predict({"a": broken, "b": ["x"] * 5}).tolist()[1:4] == [None, None, None]


def test_autogluons_rows_and_masks_of_a_missing_file(checkpoint, paths):
    lenient = predictor(
        "zero_shot_image_classification",
        checkpoint,
        hyperparameters={"data.image.missing_value_strategy": "zero"},
    )
    with pytest.warns(PictureWarning, match=r"no-such\.png"):
        rows, masks = lenient.extract_embedding({"image": [*paths, "no-such.png"]}, return_masks=True)
    same(rows["image"], arrays()["with_missing"])
    same(masks["image"], arrays()["masks"])


def test_few_distinct_pictures_are_still_pictures(zero_shot, paths):
    rows = zero_shot.extract_embedding({"image": [paths[0]] * 50})["image"]
    same(rows, np.tile(arrays()["images"][0], (50, 1)))


def test_a_picture_that_is_not_there_is_never_a_text(zero_shot, tmp_path):
    for column in ({"image": [str(tmp_path / "no-such")]}, {"x": ["no-such.jpg"]}, [tmp_path / "no-such"]):
        with pytest.raises(BadItems, match="no such file"):
            zero_shot.extract_embedding(column)


def test_an_address_is_not_fetched_and_says_how(zero_shot):
    with pytest.raises(BadItems, match="download"):
        zero_shot.extract_embedding({"image": ["https://example.org/a.jpg"]})


# Cells and results -----------------------------------------------------------------------------------------------------


def test_every_kind_of_cell_is_the_same_picture(zero_shot, paths):
    data = Path(paths[0]).read_bytes()
    code = base64.b64encode(data).decode()
    picture = Image.open(paths[0]).convert("RGB")
    cells = [paths[0], Path(paths[0]), data, bytearray(data), code, f"data:image/png;base64,{code}", picture]
    rows = zero_shot.extract_embedding({"image": [*cells, np.asarray(picture)]})["image"]
    same(rows, np.tile(arrays()["images"][0], (8, 1)))


def test_what_stands_there_twice_is_embedded_once(zero_shot, paths, monkeypatch):
    data, prepared = Path(paths[0]).read_bytes(), []
    prepare = type(zero_shot._encoder).prepare
    monkeypatch.setattr(type(zero_shot._encoder), "prepare", lambda *a: prepared.append(a) or prepare(*a))
    for cell in (paths[0], Path(paths[0]), data, Image.open(paths[0]).convert("RGB")):
        zero_shot.extract_embedding({"image": [cell] * 9})
    assert len(prepared) == 4


def test_cells_that_are_no_pictures_are_failures_too(zero_shot, paths):
    cells = [np.zeros((9, 9, 3)), np.zeros((9, 9, 1), np.uint8), "\ud800.jpg", "x" * 5000, paths[0]]
    with pytest.raises(BadItems) as raised:
        zero_shot.extract_embedding({"image": cells})
    assert [failure.key for failure in raised.value.failures] == ["image[0]", "image[1]", "image[2]", "image[3]"]
    assert "give uint8 (h, w)" in str(raised.value)


def test_a_picture_in_a_cell_is_named_by_its_place(zero_shot, paths):
    code = base64.b64encode(Path(paths[0]).read_bytes()).decode()
    with pytest.raises(BadItems) as raised:
        zero_shot.extract_embedding(
            {"x": [paths[0], code[:401], b"no picture", None, "", code, None, "", code[:99] + "é"]}
        )
    assert [failure.key for failure in raised.value.failures] == [f"x[{row}]" for row in (1, 2, 3, 4, 6, 7, 8)]


def test_lists_frames_and_files_are_data(zero_shot, paths, tmp_path):
    rows = arrays()["images"]
    same(zero_shot.extract_embedding(paths)["0"], rows)
    same(zero_shot.extract_embedding(tuple(paths))["0"], rows)
    frame = pd.DataFrame({"image": paths}, index=list("abcdef"))
    same(zero_shot.extract_embedding(frame)["image"], rows)
    same(zero_shot.extract_embedding(frame["image"])["image"], rows)
    frame.to_csv(tmp_path / "pictures.csv", index=False)
    same(zero_shot.extract_embedding(str(tmp_path / "pictures.csv"))["image"], rows)
    same(zero_shot.extract_embedding(paths[0])["0"], rows[:1])


def test_as_pandas_keeps_the_index(zero_shot, matching, paths):
    frame = pd.DataFrame({"picture": paths}, index=list("abcdef"))
    rows, masks = zero_shot.extract_embedding(frame, as_pandas=True, return_masks=True)
    assert rows["picture"].shape == (6, 48)
    assert list(rows["picture"].index) == list("abcdef")
    assert masks["picture"]["f"] == 1
    assert zero_shot.extract_embedding({"image": paths}, as_pandas=True)["image"].shape == (6, 48)
    assert list(matching.extract_embedding(frame, as_pandas=True).index) == list("abcdef")


def test_predictions_are_frames_where_the_data_is(zero_shot, matching, checkpoint, paths, texts):
    frame = pd.DataFrame({"picture": paths, "words": texts[:6]}, index=list("abcdef"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert zero_shot.predict(frame[["picture"]], pd.DataFrame({"text": texts})).index[0] == "a"
        assert matching.predict_proba(frame).shape == (6, 2)
        assert isinstance(matching.predict(frame, as_pandas=False), np.ndarray)
        assert isinstance(matching.predict(dict(frame), as_pandas=True), pd.Series)


def test_tensors_without_torch_say_what_to_install(zero_shot, texts):
    script = "import torch"
    if subprocess.run([sys.executable, "-c", script], capture_output=True, check=False).returncode == 0:
        pytest.skip("torch is installed here")
    with pytest.raises(MissingExtra, match="pip install torch"):
        zero_shot.extract_embedding({"text": texts[:1]}, as_tensor=True)


def test_identifiers_stand_for_contents(zero_shot, matching, paths, texts):
    contents = dict(enumerate(paths))
    same(
        zero_shot.extract_embedding({"image": [2, 0]}, id_mappings={"image": contents})["image"],
        arrays()["images"][[2, 0]],
    )
    series = pd.Series(paths, index=list("abcdef"))
    same(matching.extract_embedding({"picture": ["b"]}, id_mappings={"picture": series}), arrays()["images"][1:2])
    with pytest.raises(UsageError, match="lacks 1"):
        zero_shot.extract_embedding({"image": [99]}, id_mappings={"image": contents})
    with pytest.raises(UsageError, match="check the names"):
        zero_shot.extract_embedding({"image": [99]}, id_mappings={"picture": contents})
    both = {"picture": dict(zip("abcdef", paths, strict=True)), "words": {"x": texts[0], "y": texts[1]}}
    same(matching.extract_embedding(["a", "c"], signature="query", id_mappings=both), arrays()["images"][[0, 2]])
    hits = semantic_search(matching, query_data=list("ab"), response_data=["x", "y"], id_mappings=both)
    assert scores(hits).max(1) == pytest.approx((arrays()["images"][:2] @ arrays()["texts"][:2].T).max(1), abs=1e-5)
    with pytest.raises(UsageError, match="lacks 2"):
        semantic_search(matching, query_data=["x", "y"], response_data=list("ab"), id_mappings=both)


def test_masks_of_texts(zero_shot):
    assert zero_shot.extract_embedding({"text": ["a cat", "", " ", None]}, return_masks=True)[1]["text"].tolist() == [
        1,
        0,
        0,
        0,
    ]


def test_sides_of_matching(matching, checkpoint, paths, texts):
    both = {"picture": paths[:2], "words": texts[:2]}
    same(matching.extract_embedding(both), arrays()["images"][:2])
    same(matching.extract_embedding(both, signature="response"), arrays()["texts"][:2])
    with pytest.raises(UsageError, match="query picture or response words"):
        matching.extract_embedding({"other": paths})
    unsided = predictor("image_text_similarity", checkpoint)
    with pytest.raises(UsageError, match="several kinds"):  # AutoGluon gives one of them without a word
        unsided.extract_embedding({"image": paths[:2], "text": texts[:2]})
    assert unsided.predict({"image": paths[:2], "text": texts[:2]}).shape == (2,)


# Labels and evaluation -------------------------------------------------------------------------------------------------


@pytest.fixture
def pairs(paths, texts):
    return pd.DataFrame({"picture": paths, "words": texts[:6], "right": ["no", "yes", "yes", "no", "no", "yes"]})


@pytest.mark.filterwarnings("ignore:the text")
def test_pairs_with_labels(checkpoint, pairs):
    judge = predictor(
        "image_text_similarity",
        checkpoint,
        query="picture",
        response="words",
        label="right",
        classes=["no", "yes"],
        match_label="yes",
    )
    assert judge.class_labels == ["no", "yes"]
    assert judge.predict(pairs).tolist() == ["no", "yes", "yes", "no", "yes", "yes"]
    assert list(judge.predict_proba(pairs).columns) == ["no", "yes"]
    assert list(judge.predict_proba(pairs[["picture"]], ["a", "b"]).columns) == [0, 1]  # candidates, not labels
    scores, predicted = judge.evaluate(pairs, metrics=["roc_auc", "accuracy", "f1"], return_pred=True)
    assert predicted.tolist() == judge.predict(pairs).tolist()
    cosines = arrays()["pairs"]
    good, bad = cosines[[1, 2, 5]], cosines[[0, 3, 4]]
    assert scores["roc_auc"] == np.mean([g > b for g in good for b in bad])
    assert scores["accuracy"] == 5 / 6
    assert scores["f1"] == pytest.approx(6 / 7)
    with pytest.raises(UsageError, match="'maybe'"):
        judge.evaluate(pairs.assign(right="maybe"))


def test_a_match_may_be_the_first_label(checkpoint, paths, texts):
    swapped = predictor("image_text_similarity", checkpoint, query="a", response="b", match_label=0)
    found = swapped.predict_proba({"a": paths[:2], "b": texts[:2]})
    same(found, arrays()["matching_proba"][:2, ::-1])
    assert swapped.predict({"a": paths[:2], "b": texts[:2]}).tolist() == [1, 0]


@pytest.mark.filterwarnings("ignore:the text")
def test_a_single_query_is_evaluated(matching, paths, texts):
    """AutoGluon looks at the second row of the similarities, which is not there."""
    scores = matching.evaluate(
        {"picture": paths[:1], "words": texts[:1]},
        query_data=paths[:1],
        response_data=texts,
        metrics=["recall", "mrr"],
        cutoffs=[1, 7],
    )
    place = np.argsort(-(arrays()["texts"] @ arrays()["images"][0])).tolist().index(0)
    assert scores == {
        "recall@1": float(place == 0),
        "mrr@1": float(place == 0),
        "recall@7": 1.0,
        "mrr@7": pytest.approx(1 / (place + 1)),
    }


@pytest.mark.filterwarnings("ignore:the text")
def test_what_stands_there_twice_takes_one_place_of_a_ranking(matching, paths, texts):
    pairs = {"picture": paths, "words": texts[:6]}
    once = matching.evaluate(pairs, paths, texts[:6], cutoffs=[2], metrics=["recall", "mrr"])
    assert matching.evaluate(pairs, paths * 2, texts[:6] * 5, cutoffs=[2], metrics=["recall", "mrr"]) == once


@pytest.mark.filterwarnings("ignore:the text")
def test_relevance_is_taken_where_there_is_some(matching, paths, texts):
    pairs = {"picture": paths, "words": texts[:6], "relevance": [0, 1, 1, 1, 1, 1]}
    with pytest.warns(UserWarning, match="1 of 6 queries"):
        assert matching.evaluate(pairs, paths, texts, metrics="recall", cutoffs=[7]) == {
            "recall@7": pytest.approx(5 / 6)
        }
    with pytest.raises(UsageError, match="no relevance"):
        matching.evaluate(pairs | {"relevance": ["yes"] * 6}, paths, texts)


def test_pairs_with_skipped_pictures_are_left_out(checkpoint, broken):
    lenient = predictor(
        "image_text_similarity",
        checkpoint,
        label="right",
        hyperparameters={"data.image.missing_value_strategy": "skip"},
    )
    pairs = {"a": broken, "b": ["x"] * 5, "right": [1, 0, 0, 0, 0]}
    with pytest.warns(PictureWarning):
        scores = lenient.evaluate(pairs, metrics=["accuracy"])
    with pytest.warns(PictureWarning):
        predicted = lenient.predict({"a": broken, "b": ["x"] * 5})
    assert scores["accuracy"] == np.mean([predicted[0] == 1, predicted[4] == 0])


def test_warnings_come_each_time_and_point_at_the_caller(tmp_path):
    """Python shows a warning once for a line and a text, unless told otherwise: a second zero row would come without a word."""
    script = (
        "from glimpse.automm import MultiModalPredictor\n"
        "strategy = {'model.clip.checkpoint_name': 'demo', 'data.image.missing_value_strategy': 'zero'}\n"
        "lenient = MultiModalPredictor(problem_type='zero_shot', hyperparameters=strategy)\n"
        "for _ in range(3):\n"
        "    lenient.extract_embedding({'image': ['no-such.jpg']})\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stderr.count("<string>:5: PictureWarning: 1 of the pictures in column 'image'") == 3


def test_only_matching_is_evaluated(zero_shot, matching, paths):
    with pytest.raises(UsageError, match="similarities"):
        zero_shot.evaluate({"image": paths})
    with pytest.raises(UsageError, match="label="):
        matching.evaluate({"picture": paths, "words": ["a"] * 6})
    cells = [np.zeros((8, 8, 3), np.uint8)]
    with pytest.raises(UsageError, match="identifiers"):
        matching.evaluate(
            {"picture": cells, "words": ["a"]}, query_data={"picture": cells}, response_data={"words": ["a"]}
        )


# What is told ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("call", "sentence"),
    [
        (lambda p: p.extract_embedding("a carriage"), "put texts into a list"),
        (lambda p: p.extract_embedding({"text": "a carriage"}), "put it into a list"),
        (lambda p: p.extract_embedding({"a": ["x"], "b": ["y", "z"]}), "differ in length"),
        (lambda p: p.extract_embedding({}), "no column"),
        (lambda p: p.extract_embedding({"text": pd.DataFrame({"a": ["x"]})}), "put it into a list"),
        (lambda p: p.extract_embedding({"text": {"a", "b"}}), "no order"),
        (lambda p: p.extract_embedding({"a_b": [noise(0)], "a": ["x"], "b": ["y"]}), "rename one"),
        (lambda p: p.extract_embedding("no-such.csv"), "cannot be read as a table"),
        (lambda p: p.extract_embedding("http://127.0.0.1:9/a.csv"), "single text"),
        (lambda p: p.set_verbosity("2"), "0 to 4"),
        (lambda p: p.extract_embedding({"n": [1, 2]}), "neither a picture nor a text"),
        (lambda p: p.extract_embedding({"n": [None]}), "empty"),
        (lambda p: p.extract_embedding({"t": ["a", 3]}), "neither a picture nor a text"),
        (lambda p: p.extract_embedding(["a"], as_tensor=True, as_pandas=True), "choose one"),
        (lambda p: p.predict(["a"]), "candidate_data"),
        (lambda p: p.predict(["a"], []), "candidate_data is empty"),
        (lambda p: p.set_verbosity(7), "0 to 4"),
    ],
)
def test_wrong_data_is_told_in_a_sentence(zero_shot, call, sentence):
    with pytest.raises(UsageError, match=sentence):
        call(zero_shot)


def test_what_is_not_there_says_so(zero_shot):
    with pytest.raises(NotImplementedError, match="issue 5"):
        zero_shot.export_onnx({"image": []})
    for name in ("fit", "fit_summary", "dump_model", "optimize_for_inference"):
        with pytest.raises(NotImplementedError):
            getattr(zero_shot, name)()


def test_what_it_knows_of_itself(zero_shot):
    assert zero_shot.problem_type == "zero_shot_image_classification"
    assert zero_shot.class_labels is None
    zero_shot.set_num_gpus(0)
    assert zero_shot.get_num_gpus() == 0
    zero_shot.set_verbosity(0)
    assert zero_shot.verbosity == 0
    models = zero_shot.list_supported_models()
    assert {"demo", "openai/clip-vit-large-patch14-336", "ViT-B-32/openai"} <= set(models)


def test_a_wrong_checkpoint_is_told_of_when_the_predictor_is_made():
    with pytest.raises(DownloadError, match="HF_HUB_OFFLINE"):
        MultiModalPredictor(problem_type="zero_shot_image_classification")


# Importing -------------------------------------------------------------------------------------------------------------


def test_importing_it_imports_no_heavy_library():
    script = (
        "import sys; from glimpse.automm import MultiModalPredictor, download, semantic_search; "
        "print([name for name in ('torch', 'pandas', 'openvino', 'huggingface_hub', 'rich') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_both_of_autogluons_homes_have_the_names():
    from glimpse import automm
    from glimpse.automm import utils

    assert all(getattr(automm, name) for name in automm.__all__)
    assert all(getattr(utils, name) is getattr(automm, name) for name in utils.__all__)
    with pytest.raises(AttributeError):
        _ = automm.nothing
