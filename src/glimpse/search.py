"""Vectors and a query → the best rows. Exact; ties broken by key, or by place. Knows neither models nor files."""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from glimpse.values import Hit, Rows

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


def top(blocks: Iterable[NDArray[np.float32]], k: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """The k largest of each row of scores, which come some columns at a time; largest first, equal ones in their order.

    Args:
        blocks: scores of the same q queries against more and more rows: float32 (q, b), one block at least.
        k: how many, from 1.

    Returns:
        Places of rows, int64 (q, k), and their scores, float32 (q, k). A NaN is never found: where fewer than k are, the places
        that are left are -1, their scores -inf.
    """
    before = 0
    for block in blocks:
        if not before:
            places = np.full((len(block), k), NOWHERE, np.int64)
            scores = np.full((len(block), k), -np.inf, np.float32)
        for row, found in enumerate(block):
            _merge(places[row], scores[row], found, before)
        before += block.shape[1]
    return places, scores


def _merge(places: NDArray[np.int64], scores: NDArray[np.float32], found: NDArray[np.float32], before: int) -> None:
    """Let those of a block's scores that are better into the k best so far, in place."""
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
