"""What short cuts do to vectors, held against the gate that was set before they were taken (docs/pictures.md)."""

import io

import numpy as np
import pytest
from PIL import Image

import glimpse
from conftest import noise, shared
from fidelity import GATE, blown_up
from glimpse import verify
from glimpse.automm import MultiModalPredictor
from glimpse.cli import run
from glimpse.demo import PICTURES
from glimpse.errors import UsageError

MEGAPIXELS = 3_000_000


def jpeg(picture: Image.Image) -> bytes:
    file = io.BytesIO()
    picture.save(file, "JPEG", quality=95)
    return file.getvalue()


def assert_passes(folder, files, captions) -> None:
    """Pictures that are decoded smaller, against the same in full."""
    fast, exact = (glimpse.load(folder, fidelity=fidelity, precision="float32") for fidelity in ("fast", "exact"))
    ready = [np.stack([encoder.prepare(file) for file in files]) for encoder in (exact, fast)]
    assert (ready[0] != ready[1]).any(axis=(1, 2, 3)).mean() > 0.9  # else nothing was tried
    rows, texts = [exact.embed(one) for one in ready], exact.texts(captions)
    found = verify.drift((rows[0], texts), (rows[1], texts))
    assert all(reached >= least for reached, least in zip(found, GATE, strict=True)), found


def test_the_demo_set_passes_the_gate():
    files = sorted(PICTURES.glob("*.jpg"))
    assert_passes("demo", files, verify.CAPTIONS)


def test_large_pictures_pass_the_gate():
    files = [blown_up(file, MEGAPIXELS) for file in sorted(PICTURES.glob("*.jpg"))]
    assert_passes("demo", files, verify.CAPTIONS)


def test_photographs_pass_the_gate():
    files = [blown_up(file, MEGAPIXELS) for file in sorted(shared("data/coco").glob("*.jpg"))]
    assert_passes("demo", files, verify.CAPTIONS)


def test_exact_takes_no_short_cut(golden):
    folder, data = golden("hf-clip-gelu").folder, jpeg(noise(1, (500, 400)))
    exact = glimpse.load(folder, fidelity="exact")
    in_full = exact.prepare(Image.open(io.BytesIO(data)))
    assert np.array_equal(exact.prepare(data), in_full)
    fast = glimpse.load(folder)
    assert fast.fidelity == "fast"
    assert not np.array_equal(fast.prepare(data), in_full)
    assert fast.fingerprint == exact.fingerprint  # their vectors may be compared


def test_parity_is_exact(golden):
    folder, data = golden("hf-clip-gelu").folder, jpeg(noise(1, (500, 400)))
    encoder = glimpse.load(folder, parity=True)
    assert encoder.fidelity == "exact"
    assert np.array_equal(encoder.prepare(data), encoder.prepare(Image.open(io.BytesIO(data))))


def test_pictures_that_are_open_already_are_left_as_they_are(tiny):
    picture = Image.open(io.BytesIO(jpeg(noise(1, (500, 400)))))
    tiny.prepare(picture)
    assert picture.size == (500, 400)


def test_another_word_is_refused(golden):
    with pytest.raises(UsageError, match="choose 'fast' or 'exact'"):
        glimpse.load(golden("hf-clip-gelu").folder, fidelity="high")


def test_the_command_line_takes_it(golden, tmp_path):
    (tmp_path / "a.jpg").write_bytes(jpeg(noise(1, (500, 400))))
    command = [
        "embed",
        str(tmp_path / "a.jpg"),
        "-o",
        str(tmp_path / "v.npy"),
        "-m",
        str(golden("hf-clip-gelu").folder),
    ]
    rows = {}
    for fidelity in ("fast", "exact"):
        assert run([*command, "--precision", "float32", "--fidelity", fidelity]) == 0
        rows[fidelity] = np.load(tmp_path / "v.npy")
    exact = glimpse.load(golden("hf-clip-gelu").folder, precision="float32", fidelity="exact")
    assert np.abs(rows["exact"] - exact.images([tmp_path / "a.jpg"])).max() < 1e-6
    assert not np.array_equal(rows["fast"], rows["exact"])


def test_what_promises_the_vectors_of_another_library_is_exact():
    predictor = MultiModalPredictor(
        problem_type="feature_extraction", hyperparameters={"model.clip.checkpoint_name": "demo"}
    )
    assert predictor._encoder.fidelity == "exact"
