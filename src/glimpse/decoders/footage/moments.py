"""The frames on screen at given times: each from the moment it comes until the next one does.

`on_screen` finds them among all frames, `sought` by seeking, and both find the same. Knows times; no pictures.
"""

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

from glimpse.decoders.footage.sampling import EPSILON
from glimpse.decoders.footage.track import Alive, Track

if TYPE_CHECKING:
    from av import VideoFrame

_BACK = (0.0, 2.0, 8.0, 32.0)  # seconds further back, where a seek landed behind its target


def on_screen(frames: "Iterator[VideoFrame]", seconds: float) -> "Iterator[VideoFrame]":
    """Of all frames, the one shown at each multiple of `seconds` from the first frame on, each once."""
    first = shown = next(frames, None)
    if first is None or shown is None:
        return
    target = first.time
    for frame in frames:
        if target < frame.time - EPSILON:
            yield shown
            target = _next_target(first.time, seconds, frame.time)
        shown = frame
    if _still_shown(shown, target):
        yield shown


def sought(track: Track, seconds: float, alive: Alive) -> "Iterator[VideoFrame]":
    """What `on_screen` makes of all frames, by seeking."""
    first = shown = next(track.frames(alive), None)
    if first is None or shown is None:
        return
    yield first
    target, following = first.time + seconds, first.time
    while following < math.inf:
        frame, following = shown_at(track, target, alive)
        if frame is None or (following == math.inf and not _still_shown(frame, target)):
            return
        if frame.time > shown.time:
            shown = frame
            yield frame
        target = _next_target(first.time, seconds, max(following, target + 2 * EPSILON))


def shown_at(track: Track, target: float, alive: Alive) -> "tuple[VideoFrame | None, float]":
    """The frame on screen at a time in seconds, if there is one.

    And when the next one comes, in seconds: infinity where none does, the frame's own time where nobody looked.
    """
    skipped = 3 if track.container == "mpeg" else 0  # its times are guesses for a while
    for back in _BACK:
        frames = track.frames_near(target - back, alive)
        if frames is None:
            continue
        found = _until(_from_key(frames, skipped), target)
        if found[0] is not None:
            return found
    return _until(track.frames(alive), target)


def _next_target(first: float, seconds: float, time: float) -> float:
    """The first multiple of `seconds` from `first` on that is not before a time."""
    return first + seconds * math.ceil((time - EPSILON - first) / seconds)


def _still_shown(last: "VideoFrame", target: float) -> bool:
    return target < max(_end(last), last.time + 2 * EPSILON)


def _end(frame: "VideoFrame") -> float:
    """When the frame goes, in seconds, where that is known; else when it comes."""
    return frame.time + float((frame.duration or 0) * (frame.time_base or 0))


def _from_key(frames: "Iterator[VideoFrame]", skipped: int) -> "Iterator[VideoFrame]":
    """From a keyframe on: what is before it leans on frames before the seek. `skipped` more of them are left out."""
    keys = 0
    for frame in frames:
        keys += frame.key_frame
        if keys > skipped:
            yield frame


def _until(frames: "Iterator[VideoFrame]", target: float) -> "tuple[VideoFrame | None, float]":
    """The last frame that comes at or before a time, and what `shown_at` says of the next one."""
    shown = None
    for frame in frames:
        if frame.time > target + EPSILON:
            return shown, frame.time
        shown = frame
        if frame.time >= target - EPSILON:
            return frame, frame.time
    return shown, math.inf
