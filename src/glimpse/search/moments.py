"""Scores of a film's frames → the parts of the film that answer."""

import numpy as np
from numpy.typing import NDArray

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
