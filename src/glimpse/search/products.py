"""Many queries at once, or only some of the rows: matrix products over the rows themselves, in half precision.

OpenVINO multiplies, on all cores and in bfloat16 where the processor has it, and gives back only the best score of each group of
rows: a sixteenth of the numbers. The rows of the best groups are compared again in float32; bfloat16 errs by about 0.0005, and the
groups taken beyond those asked for are there for that.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from glimpse.search import Found, ranking
from glimpse.search.halves import Halves, cosines, unit
from glimpse.values import Rows

GROUP = 16  # rows
BLOCK = 8192  # rows multiplied at a time
TOGETHER = 1024  # queries multiplied at a time
BLOCKS = 8  # whose groups are looked at together
SPARE = 16  # groups

Product = Callable[[Halves, Rows], NDArray[np.float32]]


def nearest(rows: Halves, queries: Rows, k: int, picked: NDArray[np.int64] | None = None) -> list[Found]:
    """The k best rows for each query.

    Args:
        rows: float16 (n, dim).
        queries: float32 (q, dim), of unit length.
        k: how many; more come back where several tie with the last.
        picked: int64 (m,), rising: only these rows are looked at.

    Returns:
        For each query, places in `rows` and cosines.
    """
    found: list[Found] = []
    for start in range(0, len(queries), TOGETHER):
        some = queries[start : start + TOGETHER]
        groups = _best_groups(_blocks(rows, picked), some, k + SPARE)
        found += [_ranked(rows, query, own, k, picked) for query, own in zip(some, groups, strict=True)]
    return found


def _blocks(rows: Halves, picked: NDArray[np.int64] | None) -> Iterator[Halves]:
    count = len(rows) if picked is None else len(picked)
    for start in range(0, count, BLOCK):
        part = slice(start, start + BLOCK)
        yield rows[part] if picked is None else rows[picked[part]]


def _ranked(
    rows: Halves, query: NDArray[np.float32], groups: NDArray[np.int64], k: int, picked: NDArray[np.int64] | None
) -> Found:
    """Compare the rows of groups with a query again."""
    count = len(rows) if picked is None else len(picked)
    places = (np.sort(groups)[:, None] * GROUP + np.arange(GROUP)).ravel()
    places = places[places < count]
    places = places if picked is None else picked[places]
    scores = cosines(rows[places], query)
    order = ranking.best(scores, k)
    return places[order], scores[order]


def _best_groups(blocks: Iterator[Halves], queries: Rows, count: int) -> list[NDArray[np.int64]]:
    """The groups with the best scores of each query: at most `count` numbers each."""
    best = np.empty((len(queries), 0), np.float32)
    groups = np.empty((len(queries), 0), np.int64)
    first = 0
    for scores in _joined(_group_scores(blocks, queries), BLOCKS):
        best = np.concatenate([best, scores], 1)
        groups = np.concatenate([groups, np.broadcast_to(first + np.arange(scores.shape[1]), scores.shape)], 1)
        first += scores.shape[1]
        if best.shape[1] > count:
            kept = np.argpartition(best, best.shape[1] - count, 1)[:, -count:]
            best, groups = np.take_along_axis(best, kept, 1), np.take_along_axis(groups, kept, 1)
    return list(groups)


def _joined(several: Iterator[NDArray[np.float32]], together: int) -> Iterator[NDArray[np.float32]]:
    waiting: list[NDArray[np.float32]] = []
    for one in several:
        waiting.append(one)
        if len(waiting) == together:
            yield np.concatenate(waiting, 1)
            waiting = []
    if waiting:
        yield np.concatenate(waiting, 1)


def _group_scores(blocks: Iterator[Halves], queries: Rows) -> Iterator[NDArray[np.float32]]:
    """The best score of each group of rows: float32 (q, groups), block by block."""
    padded = 1 << (len(queries) - 1).bit_length()  # so that few products have to be compiled
    asked = np.zeros((padded, queries.shape[1]), np.float32)
    asked[: len(queries)] = queries
    for rows in blocks:
        if len(rows) == BLOCK:
            yield _product(queries.shape[1], padded)(rows, asked)[: len(queries)]
        else:
            scores = queries @ unit(rows).T
            short = -len(rows) % GROUP
            scores = np.pad(scores, ((0, 0), (0, short)), constant_values=-np.inf)
            yield scores.reshape(len(queries), -1, GROUP).max(2)


@lru_cache(maxsize=4)
def _product(dim: int, queries: int) -> Product:
    """Compile what gives the groups' best scores, for rows (BLOCK, dim) and queries (queries, dim)."""
    import openvino as ov  # noqa: PLC0415  (0.3 s)
    from openvino import opset15 as op  # noqa: PLC0415

    rows = op.parameter([BLOCK, dim], np.float16)
    asked = op.parameter([queries, dim], np.float32)
    products = op.matmul(asked, op.convert(rows, "f32"), transpose_a=False, transpose_b=True)
    groups = op.reshape(products, np.array([queries, BLOCK // GROUP, GROUP]), special_zero=False)
    best = op.reduce_max(groups, np.array([2]))
    core = ov.Core()
    native = "BF16" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "bf16" if native else "f32"}
    request = core.compile_model(ov.Model([best], [rows, asked]), "CPU", settings).create_infer_request()

    def product(block: Halves, those: Rows) -> NDArray[np.float32]:
        request.infer([block, those], share_inputs=True)
        return np.array(request.get_output_tensor(0).data)

    return product
