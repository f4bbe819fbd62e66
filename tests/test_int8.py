"""Integers: opt-in, calibrated on pictures, kept apart from floats."""

import numpy as np
import pytest

import glimpse
import glimpse.runtimes
from conftest import GOLDENS, noise
from glimpse import verify
from glimpse.collection import Collection
from glimpse.errors import ModelMismatch, UsageError
from glimpse.runtimes import openvino

PICTURES = [noise(seed) for seed in range(12)]


@pytest.fixture
def calibrated(golden):
    """A model in int8 that has seen some pictures."""

    def load(name, **options):
        encoder = glimpse.load(golden(name).folder, precision="int8", **options)
        encoder.calibrate(PICTURES[:8])
        return encoder

    return load


@pytest.mark.parametrize("name", GOLDENS)
def test_every_family_stays_close_to_float32(name, golden, calibrated):
    exact = glimpse.load(golden(name).folder, precision="float32")
    cosines = (calibrated(name).images(PICTURES) * exact.images(PICTURES)).sum(1)
    assert cosines.mean() >= 0.99
    assert cosines.max() < 0.9999999  # it is another precision indeed


def test_it_is_never_chosen_by_itself(tiny):
    assert tiny.precision in ("float32", "bfloat16")


def test_texts_are_not_rounded(golden, calibrated):
    reference = golden("hf-clip-gelu")
    texts = [text for text in reference.texts if len(text) < 60]
    best = glimpse.load(reference.folder)
    assert np.array_equal(calibrated("hf-clip-gelu").texts(texts), best.texts(texts))


def test_without_pictures_it_says_what_to_do(golden, tmp_path, monkeypatch):
    monkeypatch.setenv("GLIMPSE_DATA", str(tmp_path))
    encoder = glimpse.load(golden("hf-clip-gelu").folder, precision="int8")
    with pytest.raises(UsageError, match="has to see some of your pictures first: run `glimpse verify`"):
        encoder.images(PICTURES)
    with pytest.raises(UsageError, match="no pictures to calibrate with"):
        encoder.calibrate([])
    encoder.calibrate(PICTURES[:4])
    assert len(encoder.images(PICTURES)) == len(PICTURES)


def test_a_calibration_is_kept_and_a_new_one_is_another_class(golden, tmp_path, monkeypatch):
    monkeypatch.setenv("GLIMPSE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GLIMPSE_CACHE", str(tmp_path / "cache"))
    folder = golden("open_clip-vit").folder
    first = glimpse.load(folder, precision="int8")
    first.calibrate(PICTURES[:8])
    rows, name = first.images(PICTURES), first.fingerprint
    again = glimpse.load(folder, precision="int8")
    assert np.array_equal(again.images(PICTURES), rows)
    assert again.fingerprint == name
    second = glimpse.load(folder, precision="int8")
    second.calibrate([noise(0, (3, 3))])
    assert not np.array_equal(second.images(PICTURES), rows)
    assert second.fingerprint != name
    assert again.fingerprint == name  # what it goes on computing with
    assert second.fingerprint.startswith(glimpse.load(folder).fingerprint)
    assert len(list((tmp_path / "cache" / "towers").glob("*int8*"))) == 1  # the first one's is gone


@pytest.mark.parametrize("damage", [b"", b"junk", "another model"])
def test_a_damaged_calibration_is_a_sentence(damage, golden, calibrated, tmp_path, monkeypatch):
    monkeypatch.setenv("GLIMPSE_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("GLIMPSE_CACHE", str(tmp_path / "cache"))
    encoder = calibrated("hf-clip-gelu")
    (file,) = (tmp_path / "data" / "calibration").iterdir()
    if isinstance(damage, bytes):
        file.write_bytes(damage)
    else:
        np.savez(file, **{"low.0": np.zeros(3), "high.0": np.ones(3)})
    with pytest.raises(UsageError, match="is damaged or of another version: delete it"):
        encoder.images(PICTURES)


@pytest.mark.parametrize("shape", [(2, 10, 10, 3), (64, 64, 3)])
def test_what_prepare_did_not_give_is_refused(shape, tiny):
    with pytest.raises(UsageError, match="is not what Encoder.prepare gives"):
        tiny.calibrate_prepared(np.zeros(shape, np.uint8))


def test_another_runtime_has_none(golden):
    with pytest.raises(UsageError, match="precision 'int8' is not to be had from numpy"):
        glimpse.load(golden("hf-clip-gelu").folder, runtime="numpy", precision="int8")
    with pytest.raises(UsageError, match="numpy has no int8"):
        glimpse.load(golden("hf-clip-gelu").folder, runtime="numpy").calibrate(PICTURES)


def test_floats_share_a_collection_and_integers_do_not(golden, calibrated, album, tmp_path):
    folder, path = golden("hf-clip-gelu").folder, tmp_path / "c.db"
    with Collection(path, glimpse.load(folder, precision="float32")) as floats:
        floats.index(album)
        floats.remove(next(iter(floats)))
    with Collection(path, glimpse.load(folder, precision="bfloat16")) as floats:
        assert floats.index(album).indexed == 1
        floats.remove(next(iter(floats)))
    integers = calibrated("hf-clip-gelu")
    with Collection(path, integers) as floats:
        assert floats.search("anything", k=1)
        with pytest.raises(ModelMismatch, match=r"was made in float32, and this is int8: use another .*--mix-int8"):
            floats.index(album)
    with Collection(path, calibrated("hf-clip-gelu", mixed=True)) as floats:  # asked for
        assert floats.index(album).indexed == 1


def test_a_collection_of_integers_is_opened_as_one(calibrated, album, tmp_path):
    path = tmp_path / "c.db"
    with Collection(path, calibrated("hf-clip-gelu")) as integers:
        integers.index(album)
        integers.remove(next(iter(integers)))
    with Collection(path) as again:
        assert again.encoder.precision == "int8"
        assert again.search("anything", k=1)
        assert again.generation.precision == "int8"
        assert again.index(album).indexed == 1
        again.remove(next(iter(again)))
    other = calibrated("hf-clip-gelu")
    other.calibrate(PICTURES[8:])
    with Collection(path, other) as again, pytest.raises(ModelMismatch, match="calibrated by other pictures"):
        again.index(album)


def test_texts_find_integers_where_there_is_no_int8(calibrated, album, tmp_path, monkeypatch):
    path = tmp_path / "c.db"
    with Collection(path, calibrated("hf-clip-gelu")) as integers:
        integers.index(album)
    monkeypatch.setenv("GLIMPSE_DATA", str(tmp_path / "another machine"))
    with Collection(path) as again:
        assert again.search("anything", k=1)
    monkeypatch.setattr(glimpse.runtimes, "best", lambda **_: "numpy")
    monkeypatch.setattr(openvino, "precisions", lambda _="cpu": ("float32",))
    with Collection(path) as again:
        assert again.encoder.runtime == "numpy"
        assert again.search("anything", k=1)


def test_verify_measures_every_engine(golden):
    reference = golden("hf-clip-gelu")
    encoder = glimpse.load(reference.folder)
    prepared = np.stack([encoder.prepare(picture) for picture in PICTURES])
    trials = list(verify.trials(str(reference.folder), prepared, reference.texts[:3]))
    assert {(one.runtime, one.device, one.precision) for one in trials} >= set(verify.engines())
    first, *others = trials
    assert (first.precision, first.mean, first.overlap) == ("float32", pytest.approx(1), 1)
    assert all(one.problem == "" and one.rate > 0 and one.pictures == len(PICTURES) for one in trials)
    floats = [one for one in others if one.precision != "int8"]
    assert all(one.low >= 0.999 for one in floats)
    assert any(one.precision == "int8" and 0.99 <= one.low < 1 for one in others)


def test_an_engine_that_fails_is_a_row_and_no_end(golden, monkeypatch):
    reference = golden("open_clip-vit")
    encoder = glimpse.load(reference.folder)
    prepared = np.stack([encoder.prepare(picture) for picture in PICTURES[:3]])
    monkeypatch.setattr(verify, "engines", lambda: [("numpy", "cpu", "float32"), ("numpy", "tape", "float32")])
    first, tape, good = sorted(
        verify.trials(str(reference.folder), prepared, ["x"]), key=lambda one: bool(one.rate > 0)
    )
    assert any("device 'tape' is not to be had from numpy" in one.problem for one in (first, tape, good))
    assert sum(one.rate > 0 for one in (first, tape, good)) == 2


def test_nothing_to_verify_with_is_said(golden):
    with pytest.raises(UsageError, match="no pictures to verify with"):
        next(verify.trials(str(golden("open_clip-vit").folder), np.empty((0, 64, 64, 3), np.uint8)))
