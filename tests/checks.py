"""Contract suites: what every file of a folder must do, run over every file in it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from types import ModuleType

import numpy as np
import pytest

from conftest import GOLDENS, Golden
from glimpse import registry
from glimpse.errors import MissingExtra
from glimpse.models import formats
from glimpse.runtimes import Run, Tower
from glimpse.values import ModelCard, PixelRules, TowerShape

ORACLE = registry.find("runtimes", "numpy")
_SHAPE = TowerShape(16, 1, 2, 32, "gelu")


def engines() -> Iterator[tuple[str, str]]:
    """Every runtime with every float precision it has here; "missing" where the library that it adapts is not installed."""
    for name in registry.names("runtimes"):
        try:
            runtime = registry.find("runtimes", name)
            precisions = runtime.precisions(runtime.devices()[0])
        except MissingExtra:
            precisions = ("missing",)
        for precision in precisions:
            if precision != "int8":  # it is not the same within any tolerance here: test_int8 has it
                yield name, precision


def runtimes() -> Iterator[tuple[str, str, str]]:
    """Every runtime with every precision it has here, on every reference checkpoint."""
    for name, precision in engines():
        for golden in GOLDENS:
            yield name, precision, golden


def engine(name: str) -> ModuleType:
    """A runtime; the test is skipped, saying why, where its library is not installed."""
    try:
        return registry.find("runtimes", name)
    except MissingExtra as error:
        pytest.skip(str(error))


def compiled(runtime: ModuleType, precision: str, golden: Golden, kind: str, cache=None) -> Run:
    model = formats.read(golden.folder, golden.folder.name)
    function = getattr(registry.find("models", model.card.family), f"{kind}_tower")
    tower = Tower(kind, function, model.card, lambda: model.weights(kind), f"check-{golden.folder.name}", cache)
    tower = replace(tower, devices=runtime.devices()[:1])  # what its precisions are of
    return runtime.compile_tower(tower, precision)


def padded(rows: list[list[int]], tokens: int) -> np.ndarray:
    ids = np.zeros((len(rows), tokens), np.int64)
    for row, known in zip(ids, rows, strict=True):
        row[: len(known)] = known
    return ids


_RANDOM = np.random.default_rng(7)
_WIDTH, _TOKENS = 16, 5


def _some(*shape: int) -> np.ndarray:
    return _RANDOM.normal(0, 1, shape).astype(np.float32)


_TABLE, _PLACES, _ROW = _some(50, _WIDTH), _some(_TOKENS, _WIDTH), _some(_WIDTH)
_QKV, _KV = _some(3 * _WIDTH, _WIDTH), _some(2 * _WIDTH, _WIDTH)
_ANGLES = _some(_TOKENS, 8)
_ROTARY = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)])


def _sixteen(ops, x):
    """Eleven more tokens before the five there are: 4 × 4 of them."""
    for row in _TABLE[:11]:
        x = ops.prepend(row, x)
    return x


# Every word after `embed`: x (n, tokens, width) → (n, width).
WORDS = {
    "embed": lambda ops, x, _: ops.take(x, 2),
    "take the last": lambda ops, x, _: ops.take(x, -1),
    "take the end": lambda ops, x, ids: ops.take(x, ops.end(ids, 7)),
    "take the largest": lambda ops, x, ids: ops.take(x, ops.end(ids, None)),
    "prepend": lambda ops, x, _: ops.mean(ops.multiply(ops.prepend(_ROW, x), ops.prepend(_ROW, x))),
    "merge": lambda ops, x, _: ops.take(ops.merge(_sixteen(ops, x), 4), 3),
    "merge, the first": lambda ops, x, _: ops.take(ops.merge(_sixteen(ops, x), 4), 0),
    "mean": lambda ops, x, _: ops.mean(x),
    "mean of the rest": lambda ops, x, _: ops.mean(x, 2),
    "add": lambda ops, x, _: ops.mean(ops.add(x, _ROW)),
    "add up": lambda ops, x, _: ops.mean(ops.add(x, ops.silu(x))),
    "multiply": lambda ops, x, _: ops.mean(ops.multiply(x, _ROW)),
    "multiply up": lambda ops, x, _: ops.mean(ops.multiply(x, ops.silu(x))),
    "linear": lambda ops, x, _: ops.mean(ops.linear(x, _QKV, _QKV[:, 0])),
    "linear without bias": lambda ops, x, _: ops.linear(ops.mean(x), _KV),
    "layer_norm": lambda ops, x, _: ops.take(ops.layer_norm(x, _ROW, _TABLE[0], 1e-3), 1),
    "attention": lambda ops, x, _: ops.take(ops.attention(ops.linear(x, _QKV), 2), 1),
    "attention, causal": lambda ops, x, _: ops.take(ops.attention(ops.linear(x, _QKV), 4, causal=True), 1),
    "attention, rotary": lambda ops, x, _: ops.take(ops.attention(ops.linear(x, _QKV), 2, rotary=_ROTARY), 1),
    "pool": lambda ops, x, _: ops.pool(ops.take(x, 1), ops.linear(x, _KV), 2),
    "pool from one row": lambda ops, x, _: ops.pool(_ROW, ops.linear(x, _KV), 2),
    "gelu": lambda ops, x, _: ops.mean(ops.gelu(x)),
    "gelu_tanh": lambda ops, x, _: ops.mean(ops.gelu_tanh(x)),
    "quick_gelu": lambda ops, x, _: ops.mean(ops.quick_gelu(x)),
    "silu": lambda ops, x, _: ops.mean(ops.silu(x)),
}


def runtime_knows_the_word(runtime: ModuleType, precision: str, word: str) -> None:
    """Every word means what it means to the oracle, for any number of items."""
    ids = np.array([[3, 7, 1, 49, 0], [7, 2, 7, 9, 11], [1, 2, 3, 4, 7]])
    oracle, run = (_tower_of(word, one, asked) for one, asked in ((ORACLE, "float32"), (runtime, precision)))
    for given in (ids, ids[1:2]):
        rows, expected = run(given), oracle(given)
        assert rows.shape == expected.shape
        if precision == "float32":
            assert np.abs(rows - expected).max() < 1e-6
        else:
            assert (rows * expected).sum(1).min() >= 0.999


def _tower_of(word: str, runtime: ModuleType, precision: str) -> Run:
    def function(ops, _w, _card, ids):
        return ops.unit(WORDS[word](ops, ops.embed(ids, _TABLE, _PLACES), ids))

    wide = {"linear": 3, "linear without bias": 2, "merge": 4, "merge, the first": 4}
    dim = wide.get(word, 1) * _WIDTH
    card = ModelCard("word", "clip", dim, 16, _SHAPE, _SHAPE, PixelRules(32, 32), _TOKENS, 50, None, 1.0)
    tower = Tower("text", function, card, dict, f"word-{word}", None, runtime.devices()[:1])
    return runtime.compile_tower(tower, precision)


def embedded(run: Run, golden: Golden) -> np.ndarray:
    """All texts of a golden, those of one length together."""
    rows = np.empty_like(golden.rows)
    for length in {len(ids) for ids in golden.ids}:
        places = [place for place, ids in enumerate(golden.ids) if len(ids) == length]
        rows[places] = run(np.array([golden.ids[place] for place in places], np.int64))
    return rows


def runtime_agrees_with_reference(runtime: ModuleType, precision: str, golden: Golden) -> None:
    images = compiled(runtime, precision, golden, "image")(golden.pixels)
    texts = embedded(compiled(runtime, precision, golden, "text"), golden)
    for rows, expected in ((images, golden.images), (texts, golden.rows)):
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
    if golden.card.words.padding != "free":
        return  # these may not be cut: test_encoder has what becomes of their texts
    run = compiled(runtime, precision, golden, "text")
    short = [row for row in golden.ids if len(row) < golden.card.context // 2]
    cut, whole = run(padded(short, max(map(len, short)))), run(padded(short, golden.card.context))
    assert np.abs(cut - whole).max() < (1e-6 if precision == "float32" else 0.01)


def runtime_may_be_called_from_several_threads(runtime: ModuleType, precision: str, golden: Golden) -> None:
    run = compiled(runtime, precision, golden, "image")
    batches = [np.roll(golden.pixels, shift, axis=0) for shift in range(6)] * 3
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(run, batches))
    for shift, rows in enumerate(found):
        expected = np.roll(golden.images, shift % 6, axis=0)
        assert (rows * expected).sum(1).min() > 0.999
