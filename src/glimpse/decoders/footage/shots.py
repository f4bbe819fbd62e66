"""The frames worth a picture: where the shot changes, and none that is blank or like the one before.

Knows frames in order of time, reduced to 32 × 32 colours; not how they are reached.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from glimpse.decoders.footage.looks import pixels
from glimpse.decoders.footage.sampling import EPSILON

if TYPE_CHECKING:
    from av import VideoFrame

Cells = np.ndarray[tuple[int, ...], np.dtype[np.int16]]  # (32, 32, 3): a frame's mean colours

_LOOK = 0.2  # seconds between frames that are compared
_APART = 1.0  # seconds between kept frames, at least
_CUT = 24.0  # mean difference of neighbouring frames' cells, of 255, that makes a new shot
_SAME = 6  # largest difference of any cell in what a person would not tell apart
_FLAT = 16  # spread of all but one in a thousand pixels of a picture of one colour


class Sieve:
    """Lets frames pass that are neither blank nor like the one that passed before."""

    def __init__(self) -> None:
        self._kept: Cells | None = None

    def passes(self, frame: "VideoFrame", cells: Cells | None = None) -> bool:
        """Whether the frame is worth a picture; `cells` are its mean colours, where they are known already."""
        cells = _cells(frame) if cells is None else cells
        if self._same(cells) or _blank(frame, cells):
            return False
        self._kept = cells
        return True

    def _same(self, cells: Cells) -> bool:
        return self._kept is not None and int(np.abs(cells - self._kept).max()) <= _SAME


def shots(frames: "Iterator[VideoFrame]", seconds: float, sieve: Sieve) -> "Iterator[VideoFrame]":
    """The frames where the picture changes, and at least one every `seconds`, but no two within a second."""
    kept, before, changed = -math.inf, None, True
    for frame, cells in _looks(frames):
        late = before is not None and frame.time - kept > seconds + EPSILON and before[0].time - kept > _APART
        if before is not None and late and sieve.passes(*before):  # the last that is in time
            kept = before[0].time
            yield before[0]
        changed = changed or (before is not None and float(np.abs(cells - before[1]).mean()) > _CUT)
        due = _APART if changed else seconds
        if frame.time - kept >= due - EPSILON and sieve.passes(frame, cells):
            kept, changed = frame.time, False
            yield frame
        before = (frame, cells)


def _looks(frames: "Iterator[VideoFrame]") -> "Iterator[tuple[VideoFrame, Cells]]":
    last = -math.inf
    for frame in frames:
        if frame.time - last >= _LOOK - EPSILON:
            last = frame.time
            yield frame, _cells(frame)


def _cells(frame: "VideoFrame") -> Cells:
    return pixels(frame, width=32, height=32, interpolation="AREA").astype(np.int16)


def _blank(frame: "VideoFrame", cells: Cells) -> bool:
    """Whether the frame is nearly one colour; the cells rule most out, and the pixels are asked about the rest."""
    if int(np.ptp(cells, axis=(0, 1)).max()) > 2 * _FLAT:
        return False
    step = 1 + max(frame.width, frame.height) // 2048
    low, high = np.percentile(pixels(frame)[::step, ::step], (0.1, 99.9), axis=(0, 1))
    return float((high - low).max()) <= _FLAT
