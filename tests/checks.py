"""Contract suites: what every file of a folder must do, run over every file in it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from types import ModuleType

import numpy as np

from conftest import GOLDENS, Golden
from glimpse import registry
from glimpse.models import clip, formats
from glimpse.runtimes import Run, Tower

FUNCTIONS = {"image": clip.image_tower, "text": clip.text_tower}


def runtimes() -> Iterator[tuple[str, str, str]]:
    """Every runtime with every precision it has here, on every reference checkpoint."""
    for name in registry.names("runtimes"):
        for precision in registry.find("runtimes", name).precisions():
            for golden in GOLDENS:
                yield name, precision, golden


def compiled(runtime: ModuleType, precision: str, golden: Golden, kind: str, cache=None) -> Run:
    model = formats.read(golden.folder, golden.folder.name)
    tower = Tower(kind, FUNCTIONS[kind], model.card, lambda: model.weights(kind), f"check-{golden.folder.name}", cache)
    return runtime.compile_tower(tower, precision)


def padded(rows: list[list[int]], tokens: int) -> np.ndarray:
    ids = np.zeros((len(rows), tokens), np.int64)
    for row, known in zip(ids, rows, strict=True):
        row[: len(known)] = known
    return ids


def runtime_agrees_with_reference(runtime: ModuleType, precision: str, golden: Golden) -> None:
    ids = padded(golden.ids, 77)
    for kind, given, expected in (("image", golden.pixels, golden.images), ("text", ids, golden.rows)):
        rows = compiled(runtime, precision, golden, kind)(given)
        assert rows.dtype == np.float32
        assert rows.shape == expected.shape
        assert np.allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
        if precision == "float32":
            assert np.abs(rows - expected).max() < 1e-5
        else:
            assert (rows * expected).sum(1).min() >= 0.999


def runtime_takes_any_number(runtime: ModuleType, precision: str, golden: Golden) -> None:
    run = compiled(runtime, precision, golden, "image")
    many = np.concatenate([golden.pixels] * 6)  # more than one request, and a rest
    rows = run(many)
    assert np.abs(rows[-6:] - run(golden.pixels)).max() < (1e-5 if precision == "float32" else 0.02)
    assert run(golden.pixels[:0]).shape == (0, golden.images.shape[1])


def cutting_texts_changes_nothing(runtime: ModuleType, precision: str, golden: Golden) -> None:
    run = compiled(runtime, precision, golden, "text")
    short = [row for row in golden.ids if len(row) < 20]
    cut, whole = run(padded(short, max(map(len, short)))), run(padded(short, 77))
    assert np.abs(cut - whole).max() < (1e-6 if precision == "float32" else 0.01)


def runtime_may_be_called_from_several_threads(runtime: ModuleType, precision: str, golden: Golden) -> None:
    run = compiled(runtime, precision, golden, "image")
    batches = [np.roll(golden.pixels, shift, axis=0) for shift in range(6)] * 3
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, batches))
    for shift, rows in enumerate(found):
        expected = np.roll(golden.images, shift % 6, axis=0)
        assert (rows * expected).sum(1).min() > 0.999
