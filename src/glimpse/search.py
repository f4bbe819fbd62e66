"""Vectors and a query → the best rows. Exact; ties broken by key. Knows neither models nor files."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from glimpse.values import Hit, Rows


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


def _candidates(scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """Places of the k largest and of all that tie with the last of them."""
    if k >= len(scores):
        return np.arange(len(scores))
    least = np.partition(scores, -k)[-k]
    return np.flatnonzero(scores >= least)
