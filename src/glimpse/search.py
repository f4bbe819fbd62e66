"""Scores of rows → the best items, the best rows, the moments of a film. Exact; ties broken by place. Knows neither models nor files."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from glimpse.values import Rows

NOWHERE = -1


@dataclass(frozen=True, slots=True)
class Matrix:
    """Rows, and which item each belongs to: those of one item stand together, in the order of time.

    Attributes:
        rows: float32 (n, dim), of unit length.
        starts: int64 (items + 1,): the rows of item i are those from starts[i] up to starts[i + 1], at least one.
        times: float64 (n,): seconds in the film, -infinity for pictures.
        durations: float64 (items,): seconds, -1 where nobody knows.
    """

    rows: Rows
    starts: NDArray[np.int64]
    times: NDArray[np.float64]
    durations: NDArray[np.float64]


def nearest(
    scores: NDArray[np.float32], starts: NDArray[np.int64], k: int
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The k items with the best rows, best first, equal ones in their order.

    Args:
        scores: float32 (n,), of rows.
        starts: int64 (items + 1,), see `Matrix`.
        k: how many; all of them where there are fewer.

    Returns:
        Places of items, and of the best row of each: two integer arrays (k,).
    """
    if k <= 0 or not len(scores):
        return np.empty(0, np.intp), np.empty(0, np.intp)
    best = np.maximum.reduceat(scores, starts[:-1])  # (items,)
    items = _candidates(best, k)
    items = items[np.argsort(-best[items], kind="stable")][:k]
    rows = [starts[item] + np.argmax(scores[starts[item] : starts[item + 1]]) for item in items]
    return items, np.asarray(rows, np.intp)


SHARE_OF_BEST = 0.5  # how far between the film's median and its best a score must be to belong to a moment


def moments(scores: NDArray[np.float32], times: NDArray[np.float64], duration: float) -> list[tuple[float, float, int]]:
    """The parts of a film that answer a query.

    A moment is a run of neighbouring frames whose scores are nearer to the film's best than to its median: where the best stand out,
    a moment is as long as they do. It ends where the frame after it is shown, or the film ends.

    Args:
        scores: float32 (frames,).
        times: float64 (frames,), seconds, rising.
        duration: of the film in seconds, -1 where nobody knows.

    Returns:
        Start, end (seconds) and the place of the best frame of each, the best first.
    """
    middle, best = float(np.median(scores)), float(scores.max())
    good = scores >= middle + SHARE_OF_BEST * (best - middle)
    edges = np.flatnonzero(np.diff(np.concatenate([[False], good, [False]])))
    ends = np.append(times[1:], max(duration, float(times[-1])))
    found = [
        (float(times[start]), float(ends[stop - 1]), int(start + np.argmax(scores[start:stop])))
        for start, stop in zip(edges[::2], edges[1::2], strict=True)
    ]
    return sorted(found, key=lambda moment: -float(scores[moment[2]]))


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
