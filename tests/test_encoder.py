import numpy as np
import pytest
from PIL import Image

import glimpse
from conftest import GOLDENS, noise
from glimpse.errors import BadItem, UsageError
from glimpse.tokens import TruncationWarning


def test_pictures_in_every_form_give_the_same_row(tiny, tmp_path):
    picture = noise(5)
    path = tmp_path / "p.png"
    picture.save(path)
    forms = [str(path), path, path.read_bytes(), picture, np.asarray(picture)]
    rows = tiny.images(forms)
    assert rows.dtype == np.float32
    assert rows.shape == (5, tiny.dim)
    assert np.abs(rows - rows[0]).max() < 2e-3
    assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)


def test_gray_and_transparent_arrays_are_pictures(tiny):
    gray = np.full((20, 30), 90, np.uint8)
    clear = np.zeros((20, 30, 4), np.uint8)
    rows = tiny.images([gray, np.stack([gray] * 3, 2), clear, np.full((20, 30, 3), 255, np.uint8)])
    assert np.abs(rows[0] - rows[1]).max() < 2e-3
    assert np.abs(rows[2] - rows[3]).max() < 2e-3
    assert tiny.images(np.stack([clear[..., :3]] * 2)).shape == (2, tiny.dim)


def test_order_is_kept_over_many_batches(tiny):
    pictures = [noise(seed, (16, 16)) for seed in range(150)]
    rows = tiny.images(iter(pictures))
    for place in (0, 63, 64, 149):
        assert rows[place] @ tiny.images([pictures[place]])[0] > 0.999


def test_nothing_in_nothing_out(tiny):
    assert tiny.images([]).shape == (0, tiny.dim)
    assert tiny.texts([]).shape == (0, tiny.dim)


def test_a_bad_picture_is_named(tiny, tmp_path):
    (tmp_path / "bad.jpg").write_text("no picture")
    with pytest.raises(BadItem, match="bad.jpg: not a picture") as caught:
        tiny.images([noise(1), tmp_path / "bad.jpg"])
    assert (caught.value.code, caught.value.key) == ("unsupported-format", str(tmp_path / "bad.jpg"))


def test_bad_pictures_become_nan_rows_where_asked(tiny, tmp_path):
    rows, failures = tiny.images([noise(1), tmp_path / "gone.jpg", b"", noise(2)], errors="nan")
    assert np.isnan(rows).any(1).tolist() == [False, True, True, False]
    assert [(failure.key, failure.code) for failure in failures] == [
        (str(tmp_path / "gone.jpg"), "vanished"),
        ("pictures[2]", "empty"),
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        "a.jpg",
        b"bytes",
        np.zeros((4, 4, 3), np.uint8),
        Image.new("RGB", (4, 4)),
        [3],
        [np.zeros((4, 4, 3))],
        [np.zeros((4, 4, 2), np.uint8)],
        [None],
    ],
)
def test_what_is_no_list_of_pictures_gets_a_sentence(tiny, wrong):
    with pytest.raises(UsageError):
        tiny.images(wrong)


@pytest.mark.parametrize("wrong", ["a single text", ["ok", 3], [b"bytes"], [None]])
def test_what_is_no_list_of_texts_gets_a_sentence(tiny, wrong):
    with pytest.raises(UsageError):
        tiny.texts(wrong)


def test_texts_keep_their_order_whatever_their_lengths(tiny):
    texts = ["a", "a much longer text about a carriage", "", "dog", "two dogs play in the snow"] * 20
    rows = tiny.texts(texts)
    assert np.abs(rows[:5] - rows[-5:]).max() < 0.02
    for place in (0, 1, 2):
        assert rows[place] @ tiny.texts([texts[place]])[0] > 0.999


def test_an_empty_text_is_embedded_as_the_reference_does(golden):
    reference = golden("hf-clip-gelu")
    encoder = glimpse.load(reference.folder, precision="float32")
    assert np.abs(encoder.texts([""])[0] - reference.rows[reference.texts.index("")]).max() < 1e-5


def test_a_long_text_warns(tiny):
    with pytest.warns(TruncationWarning, match="word word"):
        tiny.texts(["word " * 100])


def test_the_whole_way_equals_the_reference(golden, golden_pictures):
    for name in ("hf-clip-quickgelu", "open_clip-vit-quickgelu"):
        reference = golden(name)
        encoder = glimpse.load(reference.folder, precision="float32", parity=True)
        assert np.abs(encoder.images(golden_pictures) - reference.images).max() < 1e-5


def test_classify_gives_probabilities_by_the_logit_scale(tiny):
    pictures, labels = [noise(1), noise(2)], ["cat", "dog", "bus"]
    chances = tiny.classify(pictures, labels, template="a {}")
    rows, names = tiny.images(pictures), tiny.texts([f"a {label}" for label in labels])
    expected = np.exp(tiny.card.logit_scale * rows @ names.T)
    expected /= expected.sum(1, keepdims=True)
    assert np.allclose(chances, expected, atol=0.02)
    assert np.allclose(chances.sum(1), 1, atol=1e-6)
    assert tiny.classify([], labels).shape == (0, 3)


def test_siglip_classifies_by_the_sigmoid_it_was_trained_with(golden, golden_pictures):
    reference = golden("hf-siglip")
    arrays = np.load(reference.folder / "golden.npz")
    encoder = glimpse.load(reference.folder, precision="float32", parity=True)
    chances = encoder.classify(golden_pictures, reference.texts[:3], template="{}")
    logits = reference.images @ reference.rows[:3].T * arrays["logit_scale"] + arrays["logit_bias"]
    assert np.abs(chances - 1 / (1 + np.exp(-logits))).max() < 1e-4
    assert encoder.card.logit_bias == pytest.approx(float(arrays["logit_bias"]))


def test_several_templates_are_averaged(tiny):
    both = tiny.classify([noise(1)], ["cat", "dog"], template=["a {}", "the {} there"])
    assert both.shape == (1, 2)


@pytest.mark.parametrize(("labels", "template"), [([], "a {}"), (["cat"], "a cat"), (["cat"], []), ("cat", "a {}")])
def test_classify_refuses_what_cannot_be_right(tiny, labels, template):
    with pytest.raises(UsageError):
        tiny.classify([noise(1)], labels, template=template)


@pytest.mark.parametrize(
    "choices",
    [{"precision": "int3"}, {"runtime": "abacus"}, {"device": "cuda:7"}, {"runtime": "numpy", "precision": "bfloat16"}],
)
def test_load_refuses_what_is_not_there(golden, choices):
    with pytest.raises(UsageError, match="choose"):
        glimpse.load(golden("hf-clip-gelu").folder, **choices)


def test_only_the_tower_that_is_needed_is_read(golden, monkeypatch):
    from glimpse.models.formats import Model

    read = []
    whole = Model.weights
    monkeypatch.setattr(Model, "weights", lambda self, kind: read.append(kind) or whole(self, kind))
    encoder = glimpse.load(golden("open_clip-vit").folder, runtime="numpy")
    encoder.texts(["a carriage"])
    assert read == ["text"]


def test_fingerprints_name_all_that_decides_a_vector(golden, tmp_path):
    import shutil

    folder = shutil.copytree(golden("hf-clip-gelu").folder, tmp_path / "copy")
    original = glimpse.load(golden("hf-clip-gelu").folder)
    assert glimpse.load(folder).fingerprint == original.fingerprint  # not the place
    assert glimpse.load(folder, precision="float32").fingerprint == original.fingerprint  # nor the rounding
    different = {original.fingerprint, glimpse.load(folder, parity=True).fingerprint}
    different.add(glimpse.load(golden("hf-clip-quickgelu").folder).fingerprint)
    config = (folder / "preprocessor_config.json").read_text()
    (folder / "preprocessor_config.json").write_text(config.replace('"resample": 3', '"resample": 2'))
    different.add(glimpse.load(folder).fingerprint)
    tokenizer = (folder / "tokenizer.json").read_bytes()
    (folder / "tokenizer.json").write_bytes(tokenizer + b"\n")
    different.add(glimpse.load(folder).fingerprint)
    assert len(different) == 5


def test_an_encoder_introduces_itself(tiny):
    assert repr(tiny).startswith("<Encoder ")
    assert "32 dimensions" in repr(tiny)


@pytest.mark.filterwarnings("ignore::glimpse.tokens.TruncationWarning")
@pytest.mark.parametrize("runtime", ["numpy", "openvino"])
@pytest.mark.parametrize("name", GOLDENS)
def test_a_text_does_not_depend_on_its_company(name, runtime, golden):
    """Cutting and grouping by length change nothing, because towers whose texts may not be cut get them whole."""
    reference = golden(name)
    encoder = glimpse.load(reference.folder, runtime=runtime, precision="float32")
    together = encoder.texts(reference.texts)
    assert np.abs(together - reference.rows).max() < 1e-5
    alone = np.concatenate([encoder.texts([text]) for text in reference.texts])
    assert np.abs(together - alone).max() <= 1e-6
    short = [text for text in reference.texts if len(text) < 40]
    places = [reference.texts.index(text) for text in short]
    assert np.abs(encoder.texts(short[::-1])[::-1] - together[places]).max() <= 1e-6


@pytest.mark.parametrize("name", GOLDENS)
def test_pictures_of_every_shape_become_the_reference_s_vectors(name, golden, golden_pictures):
    reference = golden(name)
    rows = glimpse.load(reference.folder, precision="float32", parity=True).images(golden_pictures)
    assert np.abs(rows - reference.images).max() < 1e-5
