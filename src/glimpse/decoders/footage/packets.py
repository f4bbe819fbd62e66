"""A film's packets before it is decoded: as its container lists them, else as they come. Knows times; no pictures."""

import math
from collections.abc import Iterable

from glimpse.decoders.footage.sampling import Index
from glimpse.decoders.footage.track import Alive, Track

_OWN_INDEX = ("avi", "matroska", "mov")  # containers that list their keyframes, for seeks to go by
_MOST = 2_000_000  # packets; a length that promises more is a mistake in the file


def listed(track: Track) -> Index:
    """What the container lists by itself; of Matroska, which lists keyframes only, all else is estimated."""
    matroska = "matroska" in track.container
    if matroska:
        track.seek(0)  # this makes FFmpeg read the list of keyframes
    base = float(track.stream.time_base or 1)
    index = _ordered((entry.timestamp * base, entry.is_keyframe) for entry in track.stream.index_entries)
    return Index(_estimated(track), index.keys) if matroska else index


def is_seekable(track: Track, index: Index) -> bool:
    """Whether the container lists the whole film, so that seeks land where they should."""
    owns = any(own in track.container for own in _OWN_INDEX)
    return not track.cut and owns and _complete(track, index)


def surveyed(track: Track, alive: Alive) -> Index:
    """Read every packet and decode none."""
    seen = []
    for packet in track.packets():
        alive()
        if packet is not None and packet.size and packet.dts is not None:
            seen.append((float(packet.dts * packet.time_base), packet.is_keyframe))
    return _ordered(seen)


def _estimated(track: Track) -> list[float]:
    rate = float(track.stream.average_rate or 25)
    count = min(int((track.duration or 0.0) * rate), _MOST)
    return [place / rate for place in range(count)]


def _complete(track: Track, index: Index) -> bool:
    """Whether it reaches to the end; of films in fragments, only some are listed at first."""
    return bool(index.times) and index.times[-1] - index.times[0] >= 0.9 * (track.duration or math.inf) - 1


def _ordered(packets: Iterable[tuple[float, bool]]) -> Index:
    ordered = sorted(packets)
    return Index([time for time, _ in ordered], [time for time, key in ordered if key])
