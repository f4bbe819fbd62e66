"""A tower of the size people use, with random weights: a ViT-B/32 in Hugging Face's layout."""

import numpy as np
import pytest

import glimpse
from conftest import DATA, SHARED
from glimpse.collection import Collection
from glimpse.demo import PICTURES


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    import checkpoint  # of benchmarks/

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GLIMPSE_BENCH", str(tmp_path_factory.mktemp("bench")))
        yield checkpoint.make("ViT-B-32")


@pytest.mark.slow
def test_bfloat16_stays_close_to_float32_and_float32_to_the_oracle(folder):
    pictures = sorted((DATA / "golden" / "pictures").glob("*.png"))[:2]
    texts = ["a carriage", "There is an airplane over a car."]
    oracle = glimpse.load(folder, runtime="numpy")
    rows, words = oracle.images(pictures), oracle.texts(texts)
    for precision, least in (("float32", 0.999999), ("auto", 0.999)):
        encoder = glimpse.load(folder, precision=precision)
        assert (encoder.images(pictures) * rows).sum(1).min() >= least
        assert (encoder.texts(texts) * words).sum(1).min() >= least
    exact = glimpse.load(folder, precision="float32")
    assert np.abs(exact.images(pictures) - rows).max() < 1e-5
    assert np.abs(exact.texts(texts) - words).max() < 1e-5


@pytest.mark.slow
def test_photographs_are_indexed_and_found(folder, tmp_path):
    places = [SHARED / "data" / name for name in ("coco", "photos", "photos unicode")]
    places = places if all(place.is_dir() for place in places) else [PICTURES]
    with Collection(tmp_path / "photos.db", glimpse.load(folder)) as photos:
        report = photos.index(*places)
        assert {failure.key.rsplit("/", 1)[1] for failure in report.failures} <= {"captions.json", "not-an-image.txt"}
        assert report.indexed == len(photos) >= 56
        keys, rows = photos.vectors()
        assert np.isfinite(rows).all()
        best = photos.search(rows[7], k=1)[0]
        assert (best.key, round(best.score, 3)) == (keys[7], 1.0)
        assert len(photos.search("a carriage", k=5)) == 5
