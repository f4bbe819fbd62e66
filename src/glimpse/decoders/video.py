"""Footage, by PyAV: which film, which of its frames, and each of them as an upright RGB picture.

`Film` is all that others need; its parts are in `footage/`. Knows neither models nor where the bytes come from. Importing this
needs no PyAV, opening a film does. What FFmpeg raises on damaged bytes is nearly anything; it is caught there and given a code
of `values.FAILURE_CODES`.
"""

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING, BinaryIO, Self

from PIL import Image

from glimpse.decoders.footage import looks, moments, packets
from glimpse.decoders.footage.containers import HEAD, recognises
from glimpse.decoders.footage.failures import bad
from glimpse.decoders.footage.sampling import Index, Strategy, plan
from glimpse.decoders.footage.shots import Sieve, shots
from glimpse.decoders.footage.track import Alive, Track
from glimpse.values import Sampling

if TYPE_CHECKING:
    from av import VideoFrame

__all__ = ["HEAD", "Film", "Index", "plan", "recognises", "versions"]


def versions() -> str:
    """PyAV's version, and those of the parts of FFmpeg that it came with.

    Raises:
        ImportError: PyAV is not installed.
    """
    import av  # noqa: PLC0415  (an extra)

    parts = (f"{part} {'.'.join(map(str, av.library_versions[part]))}" for part in ("libavcodec", "libavformat"))
    return ", ".join((f"PyAV {av.__version__}", *parts))


class Film:
    """An open film; use it as a context manager, for one `frames` or `at` at a time.

    Attributes:
        duration: seconds, of the video where the file says so, else of the whole file; None where it says neither.

    Raises:
        BadItem: with code "unsupported-format" (no container of the list, or no moving picture in it), "empty",
            "truncated", "corrupt", "bomb", "memory" or "unreadable".
    """

    duration: float | None

    def __init__(self, file: BinaryIO) -> None:
        self._track = Track(file)
        self.duration = self._track.duration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._track.close()

    def frames(self, sampling: Sampling, alive: Alive = lambda: None) -> Iterator[tuple[float, Image.Image]]:
        """The sampled frames in rising order of time; blank ones, and ones like the one before, are left out.

        Args:
            sampling: which frames.
            alive: called after every packet.

        Yields:
            The presentation time in seconds (PyAV's `frame.time`) and the upright RGB picture.

        Raises:
            BadItem: "truncated" or "corrupt", after the frames that could be decoded; "bomb", "memory", "unreadable".
        """
        sampling = replace(sampling, seconds=max(sampling.seconds, 0.001))
        yield from self._sampled(sampling, self._planned(sampling, alive), alive)

    def at(self, time: float) -> Image.Image:
        """The picture on screen at a time in seconds; of a frame's time rounded to milliseconds, that very frame.

        Raises:
            BadItem: as of `frames`, where there is no frame at all.
        """
        frame, _ = moments.shown_at(self._track, time + 0.0005, lambda: None)
        frame = frame or next(self._track.frames(lambda: None), None)
        if frame is None:
            raise self._track.broken() or bad("corrupt")
        return self._picture(frame)

    def _planned(self, sampling: Sampling, alive: Alive) -> Strategy:
        """By the packets, as the container lists them; else as they come, where the plan depends on it."""
        if sampling.mode == "keyframes":
            return "keyframes"
        index = packets.listed(self._track)
        seekable = packets.is_seekable(self._track, index)
        if not seekable and sampling.mode == "shots":
            index = packets.surveyed(self._track, alive)
        return plan(sampling, index, self._track.size, seekable=seekable)

    def _sampled(self, sampling: Sampling, strategy: Strategy, alive: Alive) -> Iterator[tuple[float, Image.Image]]:
        self._track.hurt, kept = False, False
        for frame in self._chosen(sampling, strategy, alive):
            kept = True
            yield frame.time, self._picture(frame)
        broken = self._track.broken()
        if not kept:  # all blank, or no keyframe in it
            first = next(self._track.frames(alive), None)
            if first is None:
                raise broken or self._track.broken() or bad("corrupt")
            yield first.time, self._picture(first)
        if broken:
            raise broken

    def _chosen(self, sampling: Sampling, strategy: Strategy, alive: Alive) -> "Iterator[VideoFrame]":
        sieve = Sieve()
        if strategy == "seeking":
            return filter(sieve.passes, moments.sought(self._track, sampling.seconds, alive))
        frames = self._track.frames(alive, keyframes=strategy == "keyframes")
        if sampling.mode == "shots":
            return shots(frames, sampling.seconds, sieve)
        chosen = moments.on_screen(frames, sampling.seconds) if sampling.mode == "every" else frames
        return filter(sieve.passes, chosen)

    def _picture(self, frame: "VideoFrame") -> Image.Image:
        return looks.picture(frame, self._track.aspect)
