"""The video track of a file: its packets, and its good frames in rising order of time, from the start or from a keyframe.

Damage does not end it; it is noted, and `broken` says in the end what there was. Knows neither which frames are wanted nor
how they look.
"""

import math
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, BinaryIO

from glimpse.decoders.footage.containers import HEAD, recognises
from glimpse.decoders.footage.endings import ends_early
from glimpse.decoders.footage.failures import bad, code_of
from glimpse.decoders.footage.opening import opened
from glimpse.decoders.footage.reader import Reader
from glimpse.errors import BadItem

if TYPE_CHECKING:
    from av import VideoFrame
    from av.packet import Packet
    from av.video.stream import VideoStream

Alive = Callable[[], object]

_STRIKES = 8  # errors in a row after which no further packet is asked for


class Track:
    """An open video track.

    Attributes:
        stream: PyAV's; another one whenever the container is opened anew.
        size: pixels of one frame.
        cut: whether the file ends before its container says that it does.
        hurt: whether damage was met; who decodes anew sets it back.

    Raises:
        BadItem: with code "unsupported-format", "empty", "truncated", "corrupt", "bomb", "memory" or "unreadable".
    """

    def __init__(self, file: BinaryIO) -> None:
        self._reader = Reader(file)
        head = self._reader.peek(0, HEAD)
        if self._reader.failed:
            raise bad("unreadable")
        if not recognises(head):
            raise bad("unsupported-format" if head else "empty")
        self.cut = ends_early(self._reader, head)
        self.hurt = False
        self._open()

    def close(self) -> None:
        """Let go of the container, but not of the file."""
        self._container.close()

    def _open(self) -> None:
        self._container, self.stream = opened(self._reader, cut=self.cut)
        self.size = self.stream.codec_context.width * self.stream.codec_context.height
        self._fresh, self._half, self._end = True, False, -math.inf

    # What it says of itself

    @property
    def container(self) -> str:
        """FFmpeg's name of the container; several, with commas, of those that are one to FFmpeg."""
        return self._container.format.name

    @property
    def duration(self) -> float | None:
        """The declared length in seconds of the video, or of the file."""
        if self.stream.duration is not None and self.stream.time_base is not None:
            return float(self.stream.duration * self.stream.time_base)
        return None if self._container.duration is None else self._container.duration / 1e6

    @property
    def aspect(self) -> Fraction | None:
        """A pixel's width by its height."""
        return self.stream.sample_aspect_ratio

    # Its packets and frames

    def frames(self, alive: Alive, *, keyframes: bool = False) -> "Iterator[VideoFrame]":
        """All good frames, or those stored whole, from the start."""
        if not self._fresh:
            self._container.close()
            self._open()
        self.stream.codec_context.skip_frame = "NONKEY" if keyframes else "DEFAULT"
        broadcast = self.container in {"mpeg", "mpegts"}  # recordings begin anywhere
        frames = self._rising(alive, settled=not broadcast)
        return (frame for frame in frames if frame.key_frame) if keyframes else frames

    def frames_near(self, time: float, alive: Alive) -> "Iterator[VideoFrame] | None":
        """Good frames from where a seek to a time lands, usually at the keyframe before; None where it fails."""
        return self._rising(alive, settled=False) if self.seek(time) else None

    def seek(self, time: float) -> bool:
        """Go to the keyframe before a time in seconds; whether that was possible."""
        self._fresh = False
        self.stream.codec_context.skip_frame = "DEFAULT"
        try:
            self._container.seek(round(time / (self.stream.time_base or 1)), stream=self.stream)
        except Exception as error:  # noqa: BLE001  (what cannot be sought is decoded from further back)
            self._note(error, settled=False)
            return False
        return True

    def packets(self) -> "Iterator[Packet[VideoStream] | None]":
        """Packets up to the end, beyond errors too; None, to empty the decoder, where there are too many."""
        self._fresh = False
        strikes, demuxer = 0, self._container.demux(self.stream)
        while strikes < _STRIKES:
            try:
                packet = next(demuxer, None)
            except Exception as error:  # noqa: BLE001  (raised again where it is not the film's)
                self._note(error)
                strikes, demuxer = strikes + 1, self._container.demux(self.stream)
                continue
            if packet is None:
                return
            strikes = 0
            yield packet
        yield None

    def _rising(self, alive: Alive, *, settled: bool) -> "Iterator[VideoFrame]":
        """Good frames from here on, each later than the one before.

        Args:
            alive: called after every packet.
            settled: whether damage counts already; else it does from the first good frame on, for what is before a
                keyframe cannot be decoded, and need not be.
        """
        last = -math.inf
        for packet in self.packets():
            frames = self._decoded(packet, settled=settled)
            alive()
            for frame in frames:
                if frame.is_corrupt:
                    self.hurt |= settled
                elif frame.time is not None and frame.time > last:
                    last, settled = frame.time, True
                    yield frame

    def _decoded(self, packet: "Packet[VideoStream] | None", *, settled: bool) -> "list[VideoFrame]":
        if packet is not None and packet.size:
            self._half = packet.is_corrupt
            self.hurt |= settled and packet.is_corrupt
            self._end = max(self._end, _last_moment(packet))
        try:
            return self.stream.decode(packet)
        except EOFError:
            return []
        except Exception as error:  # noqa: BLE001  (raised again where it is not the film's)
            self._note(error, settled=settled)
            return []

    # What became of it

    def broken(self) -> BadItem | None:
        """What is to be said of the film at its end."""
        if self._reader.failed:
            return bad("unreadable")
        if self.cut or self._half or self._short():
            return bad("truncated")
        return bad("corrupt") if self.hurt else None

    def _short(self) -> bool:
        """Whether an MXF's packets ended before the declared end; others show it otherwise, or not at all."""
        if self.container != "mxf" or self.duration is None or self._end == -math.inf:
            return False
        return bool(self._end < 0.99 * self.duration - 0.05)

    def _note(self, error: Exception, *, settled: bool = True) -> None:
        """Damage is remembered; what is not the film's fault is raised."""
        failure = self._reader.failure()
        if failure or code_of(error) == "memory":
            raise failure or bad("memory") from error
        self.hurt |= settled


def _last_moment(packet: "Packet[VideoStream]") -> float:
    stamp = packet.pts if packet.pts is not None else packet.dts
    return -math.inf if stamp is None else float((stamp + (packet.duration or 0)) * packet.time_base)
