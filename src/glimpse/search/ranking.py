"""Scores → the best places. Ties are broken by place."""

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

NOWHERE = -1


def best(scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Places of the k largest scores, largest first, equal ones in their order; more where several tie with the last.

    Args:
        scores: float32 (n,).
        k: how many; all of them where there are fewer.
    """
    if k <= 0:
        return np.empty(0, np.intp)
    places = _candidates(scores, k)
    return places[np.argsort(-scores[places], kind="stable")]


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
