"""One query, or a few, against all rows or some of them, exactly: FAISS reads half-precision rows where they are, on every core."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from glimpse.search import Found, Mask, cores, ranking
from glimpse.search.halves import Halves, cosines
from glimpse.values import Rows

LEAST = 20_000  # rows for one core
SPARE = 32  # rows beyond those asked for: FAISS does not know that rounding took a little off each row's length


def nearest(rows: Halves, queries: Rows, k: int, among: Mask | None = None) -> list[Found]:
    """The k best rows for each query.

    Args:
        rows: float16 (n, dim), contiguous; mapped ones are not copied.
        queries: float32 (q, dim), of unit length.
        k: how many; more come back where several tie with the last, as far as that is seen.
        among: bool (n,): only these rows are looked at.

    Returns:
        For each query, places in `rows` and cosines.
    """
    parts = max(1, min(cores(), len(rows) // LEAST))
    edges = np.linspace(0, len(rows), parts + 1).astype(int).tolist()
    work = partial(_part, rows, queries, k + SPARE, among)
    with ThreadPoolExecutor(parts, initializer=on_one_core) as pool:
        found = np.concatenate(list(pool.map(work, edges[:-1], edges[1:])), 1)  # (q, candidates)
    return list(_ranked(rows, queries, found, k))


def on_one_core() -> None:
    """Have FAISS start no threads of its own in this one: each core has one already, and its would wait by spinning."""
    import faiss  # noqa: PLC0415

    faiss.omp_set_num_threads(1)


def _part(rows: Halves, queries: Rows, count: int, among: Mask | None, start: int, stop: int) -> NDArray[np.int64]:
    """Places of the best of rows[start:stop]: int64 (q, count), -1 where there are no more."""
    import faiss  # noqa: PLC0415  (0.2 s, and only for many rows)

    chosen: Any = None
    if among is not None:
        bits = np.packbits(among[start:stop], bitorder="little")
        chosen = faiss.SearchParameters(sel=faiss.IDSelectorBitmap(bits))
    _, places = _index_of(rows[start:stop]).search(queries, min(count, stop - start), params=chosen)
    return np.where(places < 0, -1, places + start)


def _ranked(rows: Halves, queries: Rows, found: NDArray[np.int64], k: int) -> Iterator[Found]:
    for query, places in zip(queries, found, strict=True):
        own = np.sort(places[places >= 0])
        scores = cosines(rows[own], query)
        order = ranking.best(scores, k)
        yield own[order], scores[order]


def _index_of(rows: Halves) -> Any:
    """An index of FAISS's over memory that stays ours."""
    import faiss  # noqa: PLC0415

    index = _empty(rows.shape[1])
    memory = np.asarray(rows).reshape(-1).view(np.uint8)
    index.codes = faiss.MaybeOwnedVectorUInt8.create_view(
        faiss.swig_ptr(memory), memory.size, _borrower()[0].codes.owner
    )
    index.ntotal, index.is_trained = len(rows), True
    return index


def _empty(dim: int) -> Any:
    import faiss  # noqa: PLC0415

    return faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)


@cache
def _borrower() -> tuple[Any, Any]:
    """An index whose memory nobody owns, which only one that was read so has; the owner it names is good while it is there."""
    import faiss  # noqa: PLC0415

    written = faiss.serialize_index(_empty(8))
    index = faiss.read_index(faiss.ZeroCopyIOReader(faiss.swig_ptr(written), written.size))
    return index, written
