"""Vectors and a query → the best rows. Exact; ties broken by key, or by place. Knows neither models nor files."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from glimpse.values import Hit, Rows

QUERIES = 128  # that are multiplied with a block at a time
NOWHERE = -1


def nearest(query: NDArray[np.float32], keys: Sequence[str], rows: Rows, k: int) -> list[Hit]:
    """The k rows with the largest cosine to a unit query, best first.

    Args:
        query: float32 (dim,), of unit length.
        keys: n names.
        rows: float32 (n, dim), of unit length.
        k: how many; all of them where there are fewer.
    """
    if k <= 0 or not len(rows):
        return []
    scores = rows @ query  # (n,)
    best = _candidates(scores, k)
    hits = [Hit(keys[place], float(scores[place])) for place in best]
    return sorted(hits, key=lambda hit: (-hit.score, hit.key))[:k]


def top(queries: Rows, blocks: Iterable[Rows], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k rows with the largest products for each of many queries, best first, equal ones in the order of their rows.

    Args:
        queries: float32 (q, dim).
        blocks: the rows, float32 (b, dim) at a time; each block is taken once.
        k: how many.

    Returns:
        Places of rows, int64 (q, k), and their products, float32 (q, k). Rows and queries that hold NaN are never found and
        find nothing: where a query has fewer than k rows, the places that are left are -1, their products -inf.
    """
    places = np.full((len(queries), k), NOWHERE, np.int64)
    scores = np.full((len(queries), k), -np.inf, np.float32)
    before = 0
    for block in blocks:
        for first in range(0, len(queries) if k > 0 else 0, QUERIES):
            products = queries[first : first + QUERIES] @ block.T  # (up to QUERIES, b)
            for row, found in enumerate(products, first):
                _merge(places[row], scores[row], found, before)
        before += len(block)
    return places, scores


def _merge(places: NDArray[np.int64], scores: NDArray[np.float32], found: NDArray[np.float32], before: int) -> None:
    """Let those of a block's products that are better into the k best so far, in place."""
    better = np.flatnonzero(found > scores[-1])
    if not len(better):
        return
    better = better[_candidates(found[better], len(scores))]
    every = np.concatenate([scores, found[better]])
    order = np.argsort(-every, kind="stable")[: len(scores)]  # those found earlier stand first, and so they stay
    places[:] = np.concatenate([places, before + better])[order]
    scores[:] = every[order]


def _candidates(scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Places of the k largest and of all that tie with the last of them."""
    if k >= len(scores):
        return np.arange(len(scores))
    least = np.partition(scores, -k)[-k]
    return np.flatnonzero(scores >= least)
