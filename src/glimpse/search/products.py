"""Many queries at once, or only some of the rows: matrix products over the rows themselves, in eight bits.

OpenVINO multiplies, on all cores and in the processor's instructions for eight bits (float32 where it has none), and gives back only the
best score of each group of rows: a sixteenth of the numbers. The rows of the best groups are compared again in float32. Eight bits err by
about 0.0005; the groups taken beyond those asked for are there for that. So that they err no more, rows are
centred, which changes a query's scores by a constant, and each direction is scaled as SmoothQuant (Xiao et al. 2022) has it:
pictures' vectors have directions that are a hundred times as long as others.
"""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from glimpse.search import Found, cores, ranking, scan
from glimpse.search.halves import Halves, cosines, floats, unit
from glimpse.values import Rows

GROUP = 16  # rows
BLOCK = 4096  # rows multiplied at a time
TOGETHER = 1024  # queries multiplied at a time
SPARE = 16  # groups
ERRORS = 1.0  # times the largest error that is seen, which is the largest of some 26
SAMPLE = 10_000  # rows that are looked at for their range
ROOM = 1.1  # times the range of the sample; a row that goes beyond is multiplied once more, in float32
_LEVELS = 255

Groups = tuple[NDArray[np.int64], NDArray[np.float32]]  # numbers, and the best cosines in them as far as they are known
Product = Callable[[Halves, Rows, Rows], tuple[Rows, NDArray[np.float32]]]


def nearest(rows: Halves, queries: Rows, k: int, picked: NDArray[np.int64] | None = None) -> list[Found]:
    """The k best rows for each query.

    Args:
        rows: float16 (n, dim).
        queries: float32 (q, dim), of unit length.
        k: how many; more come back where several tie with the last.
        picked: int64 (m,), rising: only these rows are looked at.

    Returns:
        For each query, places in `rows` and cosines.

    Raises:
        Untrue: a row is damaged.
    """
    found: list[Found] = []
    with ThreadPoolExecutor(cores()) as pool:
        for start in range(0, len(queries), TOGETHER):
            some = queries[start : start + TOGETHER]
            groups = _best_groups(_blocks(rows, picked), some, _scaling(rows, some), k + SPARE)
            found += pool.map(lambda query, own: _ranked(rows, query, own, k, picked), some, groups)
    return found


def _blocks(rows: Halves, picked: NDArray[np.int64] | None) -> Iterator[Halves]:
    count = len(rows) if picked is None else len(picked)
    for start in range(0, count, BLOCK):
        part = slice(start, start + BLOCK)
        yield rows[part] if picked is None else rows[picked[part]]


def _ranked(
    rows: Halves,
    query: NDArray[np.float32],
    best: Groups,
    k: int,
    picked: NDArray[np.int64] | None,
) -> Found:
    """Compare the rows of groups with a query again; all rows, if those of a group that was left out may be among the best.

    The guesses err by as much as is seen with the groups that are compared again: where very many rows are nearly equal (a camera that
    sees nothing move), that is more than what tells them apart.
    """
    groups, guesses = best
    count = len(rows) if picked is None else len(picked)
    order = np.argsort(groups)
    places = (groups[order, None] * GROUP + np.arange(GROUP)).ravel()
    inside = places < count
    places = places[inside] if picked is None else picked[places[inside]]
    scores = cosines(rows[places], query)
    found = ranking.best(scores, k)
    if len(groups) == k + SPARE:  # more were left out, none of them better than the last guess
        firsts = np.arange(0, len(places), GROUP)  # only the last group of all may be short
        errors = np.abs(np.maximum.reduceat(scores, firsts) - guesses[order])
        if guesses.min() + ERRORS * errors.max() > scores[found[min(k, len(found)) - 1]]:
            return _compared_all(rows, query, k, picked)
    return places[found], scores[found]


def _compared_all(rows: Halves, query: NDArray[np.float32], k: int, picked: NDArray[np.int64] | None) -> Found:
    """Exactly, by one query at a time."""
    among = None
    if picked is not None:
        among = np.zeros(len(rows), np.bool_)
        among[picked] = True
    return scan.nearest(rows, query[None], k, among)[0]


# The best groups ------------------------------------------------------------------------------------------------------


def _best_groups(blocks: Iterator[Halves], queries: Rows, scaling: "_Scaling", count: int) -> list[Groups]:
    """The groups with the best scores of each query, at most `count`: their numbers, and cosines as far as they are known.

    Only what is better than the last of a query's best so far is kept, and sorted now and then.
    """
    which, groups, scores = np.empty(0, np.int64), np.empty(0, np.int64), np.empty(0, np.float32)
    least = np.full(len(queries), -np.inf, np.float32)
    first = 0
    for number, block in enumerate(_group_scores(blocks, queries, scaling)):  # (groups, q)
        of_block, of_query = np.nonzero(block > least)
        which, groups = np.concatenate([which, of_query]), np.concatenate([groups, first + of_block])
        scores = np.concatenate([scores, block[of_block, of_query]])
        first += len(block)
        if not number & (number + 1):  # after 1, 2, 4, 8 … blocks: better ones become ever rarer
            which, groups, scores = _cut(which, groups, scores, count)
            least = _last(which, scores, len(queries), count)
    which, groups, scores = _cut(which, groups, scores, count)
    scores = scores * scaling.unit + (queries @ scaling.centre[0])[which]
    edges = np.searchsorted(which, np.arange(1, len(queries)))
    return list(zip(np.split(groups, edges), np.split(scores, edges), strict=True))


def _cut(
    which: NDArray[np.int64], groups: NDArray[np.int64], scores: NDArray[np.float32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Keep the best of each query, in the order of queries, the best first."""
    order = np.lexsort((-scores, which))
    which = which[order]
    firsts = np.searchsorted(which, which)
    kept = np.arange(len(which)) - firsts < count
    return which[kept], groups[order[kept]], scores[order[kept]]


def _last(which: NDArray[np.int64], scores: NDArray[np.float32], queries: int, count: int) -> NDArray[np.float32]:
    """The score that a group has to exceed, for each query: float32 (q,)."""
    ends = np.searchsorted(which, np.arange(1, queries + 1))
    full = np.diff(ends, prepend=0) >= count
    return np.where(full, scores[np.maximum(ends - 1, 0)], np.float32(-np.inf))


# Products -------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Scaling:
    """How rows and queries come to lie within -1 and 1: (row - centre) * for_rows, query * for_queries; float32 (1, dim) all.

    Their product times `unit` is that of before.
    """

    centre: Rows
    for_rows: Rows
    for_queries: Rows
    unit: np.float32


def _scaling(rows: Halves, queries: Rows) -> _Scaling:
    sample = unit(rows[:: max(1, len(rows) // SAMPLE)])
    centre = sample.mean(0, keepdims=True)
    tiny = np.finfo(np.float32).tiny ** 0.5
    spread = np.maximum(ROOM * np.abs(sample - centre).max(0, keepdims=True), tiny)
    asked = np.maximum(np.abs(queries).max(0, keepdims=True), tiny)
    shared = np.sqrt(spread / asked)
    of_rows, of_queries = (spread / shared).max(), (asked * shared).max()
    return _Scaling(centre, 1 / shared / of_rows, shared / of_queries, of_rows * of_queries)


def _group_scores(blocks: Iterator[Halves], queries: Rows, scaling: _Scaling) -> Iterator[NDArray[np.float32]]:
    """The best score of each group of rows, times a number and plus one of each query: float32 (groups, q), block by block."""
    dim = queries.shape[1]
    padded = 1 << (len(queries) - 1).bit_length()  # so that few products have to be compiled
    if len(queries) > TOGETHER // 2:
        padded = len(queries)
    asked = np.zeros((padded, dim), np.float32)
    asked[: len(queries)] = queries * scaling.for_queries
    numbers = np.concatenate([scaling.centre, scaling.for_rows])
    for rows in blocks:
        if len(rows) == BLOCK:
            best, ranges = _product(dim, padded)(rows, asked, numbers)
            best = best[:, : len(queries)]
            beyond = np.flatnonzero(~(ranges <= 1))
            np.maximum.at(best, beyond // GROUP, _scores(rows[beyond], asked[: len(queries)], scaling))
            yield best
        else:
            scores = _scores(rows, asked[: len(queries)], scaling)
            short = -len(rows) % GROUP
            scores = np.pad(scores, ((0, short), (0, 0)), constant_values=-np.inf)
            yield scores.reshape(-1, GROUP, len(queries)).max(1)


def _scores(rows: Halves, asked: Rows, scaling: _Scaling) -> Rows:
    """Products in float32: (n, q)."""
    return np.asarray(((floats(rows) - scaling.centre) * scaling.for_rows) @ asked.T, np.float32)


@lru_cache(maxsize=4)
def _product(dim: int, queries: int) -> Product:
    """Compile what gives the groups' best scores, and how far each row reaches, for rows (BLOCK, dim) and queries (queries, dim)."""
    import openvino as ov  # noqa: PLC0415  (0.3 s)
    from openvino import opset15 as op  # noqa: PLC0415

    rows, asked = op.parameter([BLOCK, dim], np.float16), op.parameter([queries, dim], np.float32)
    centre, scale = op.parameter([1, dim], np.float32), op.parameter([1, dim], np.float32)
    scaled = op.multiply(op.subtract(op.convert(rows, "f32"), centre), scale)
    core = ov.Core()
    if "INT8" in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        one = np.float32(1)
        left, right = (op.fake_quantize(side, -one, one, -one, one, _LEVELS) for side in (scaled, asked))
    else:
        left, right = scaled, asked
    products = op.matmul(left, right, transpose_a=False, transpose_b=True)
    groups = op.reshape(products, np.array([BLOCK // GROUP, GROUP, queries]), special_zero=False)
    reaches = op.reduce_max(op.abs(scaled), np.array([1]))
    model = ov.Model([op.reduce_max(groups, np.array([1])), reaches], [rows, asked, centre, scale])
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": "f32"}
    request = core.compile_model(model, "CPU", settings).create_infer_request()
    turn = threading.Lock()  # a request is for one at a time, and collections in other threads have it too

    def product(block: Halves, those: Rows, scaling: Rows) -> tuple[Rows, NDArray[np.float32]]:
        with turn:
            request.infer([block, those, scaling[:1], scaling[1:]], share_inputs=True)
            return np.array(request.get_output_tensor(0).data), np.array(request.get_output_tensor(1).data)

    return product
