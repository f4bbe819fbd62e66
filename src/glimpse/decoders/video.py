"""Footage, by PyAV: which film, which of its frames, and each of them as an upright RGB picture.

Knows neither models nor where the bytes come from. PyAV is imported when a film is opened, so that `recognises` answers
without it. FFmpeg is given a list of containers and no protocol: a playlist, or a film that names other files, opens nothing.
What FFmpeg raises on damaged bytes is nearly anything; it is caught here and given a code of `values.FAILURE_CODES`.

The way to the wanted frames is chosen for each film by what it costs (`plan`):

    keyframes    only the frames stored whole are decoded
    seeking      for each wanted frame: from the keyframe before it to the frame
    sequential   every frame is decoded
"""

import errno
import itertools
import math
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import TYPE_CHECKING, Any, BinaryIO, Literal, Self, cast

import numpy as np
from PIL import Image

from glimpse.decoders.image import MAX_PIXELS
from glimpse.errors import BadItem
from glimpse.values import FAILURE_CODES, Sampling

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.stream import VideoStream

CONTAINERS = ("asf", "avi", "flv", "matroska", "mov", "mpeg", "mpegts", "mxf", "ogg")
"""FFmpeg's names of the containers that are opened."""

_OPTIONS = {"format_whitelist": ",".join(CONTAINERS), "protocol_whitelist": "none"}
_THREADS = 2  # several workers run side by side, and each frame in flight takes memory

Strategy = Literal["keyframes", "seeking", "sequential"]
Alive = Callable[[], object]
Cells = np.ndarray[tuple[int, ...], np.dtype[np.int16]]  # (32, 32, 3): a frame's mean colours

# --- Which files -------------------------------------------------------------------------------------------------------

HEAD = 4096
"""How many bytes `recognises` wants to see."""

_MOV = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"styp")
# Brands of ISO files that hold still pictures, or only sound.
_NO_FILM = (
    b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"avif", b"avis", b"mif1", b"mif2", b"msf1", b"miaf",
    b"jxl ", b"jp2 ", b"jpx ", b"crx ", b"M4A ", b"M4B ", b"M4P ", b"F4A ",
)  # fmt: skip
_EBML = b"\x1aE\xdf\xa3"
_ASF = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c")
_ASF_DATA = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c")
_STARTS = (_EBML, b"FLV\x01", b"\0\0\1\xba", _ASF, bytes.fromhex("060e2b34020501010d0102"))
_OGG_VIDEO = (b"\x80theora", b"OVP80", b"BBCD", b"\x01video")


def recognises(head: bytes) -> bool:
    """Whether a file that begins so may be a film; PyAV is not asked, and need not be there."""
    return head.startswith(_STARTS) or _is_mov(head) or _is_avi(head) or _is_ogg(head) or _is_ts(head)


def _is_mov(head: bytes) -> bool:
    return head[4:8] in _MOV or (head[4:8] == b"ftyp" and head[8:12] not in _NO_FILM)


def _is_avi(head: bytes) -> bool:
    return head.startswith(b"RIFF") and head[8:12] in {b"AVI ", b"AVI\x19"}


def _is_ogg(head: bytes) -> bool:
    return head.startswith(b"OggS") and any(mark in head for mark in _OGG_VIDEO)  # music is Ogg, too


def _is_ts(head: bytes) -> bool:
    """MPEG-TS: a sync byte at each packet, of 188 bytes or (Blu-ray) 192."""
    return any(
        len(head) > 4 * step and set(head[start::step]) == {0x47}
        for start, step in ((0, 188), (4, 192))
    )  # fmt: skip


# --- Which frames ------------------------------------------------------------------------------------------------------

_EPSILON = 1e-6  # seconds: two times nearer than this are one, whatever the rounding
_SEEK = 8  # packets: what a seek costs, as decoding goes
_FAR_FEWER = 2  # seeking must save more than half of the decoding; its estimate is rough
_SLACK = 1.25  # keyframes may be so much further apart: encoders' usual 250 frames are 10.4 s at 24 a second
_DENSE = 2.0  # seconds: with keyframes so near, no shot worth a picture lies between two
_LIGHT = 1e9  # pixels: decoding so many takes a few seconds
_LOOK = 0.2  # seconds between frames that are compared
_APART = 1.0  # seconds between kept frames, at least
_CUT = 24.0  # mean difference of neighbouring frames' cells, of 255, that makes a new shot
_SAME = 6  # largest difference of any cell in what a person would not tell apart
_FLAT = 16  # spread of all but one in a thousand pixels of a picture of one colour


@dataclass(frozen=True, slots=True)
class Index:
    """What is known of a film before it is decoded.

    Attributes:
        times: seconds of every packet in decoding order, rising; estimates where the container lists keyframes only.
        keys: seconds of the keyframes among them.
    """

    times: Sequence[float]
    keys: Sequence[float]

    @property
    def widest(self) -> float:
        """The longest stretch without a keyframe, in seconds, the one up to the end included."""
        marks = [*self.times[:1], *self.keys, *self.times[-1:]]
        return max((after - before for before, after in itertools.pairwise(marks)), default=0.0)

    def decoded(self, target: float) -> int:
        """How many packets lie between the keyframe before a time and that time."""
        key = bisect_right(self.keys, target + _EPSILON) - 1
        start = bisect_right(self.times, self.keys[key] - _EPSILON) if key >= 0 else 0
        return bisect_right(self.times, target + _EPSILON) - start


def plan(sampling: Sampling, index: Index, pixels: int, *, seekable: bool) -> Strategy:
    """The cheapest way that finds the wanted frames.

    - "keyframes": the keyframes are what is decoded.
    - "every": seeking, where the packets from each keyframe to its target, and 8 for each seek, are less than half of all.
    - "shots": keyframes suffice where they are at most `seconds` (and a quarter) apart; but where they are more than 2 s
      apart and the whole film is decoded in a few seconds (10⁹ pixels), it is, so that short clips lose no shot.

    Args:
        sampling: what is wanted.
        index: the film's packets.
        pixels: of one frame.
        seekable: whether the container has an index of its own, so that seeks land where they should.
    """
    if sampling.mode == "keyframes":
        return "keyframes"
    if sampling.mode == "every":
        return "seeking" if seekable and _seeking_pays(sampling.seconds, index) else "sequential"
    light = len(index.times) * pixels <= _LIGHT
    suffice = index.widest <= _DENSE or (not light and index.widest <= sampling.seconds * _SLACK)
    return "keyframes" if index.keys and suffice else "sequential"


def _seeking_pays(seconds: float, index: Index) -> bool:
    affordable = len(index.times) / _FAR_FEWER
    cost = 0
    for target in _targets(index.times[0] if index.times else 0.0, seconds):
        if not index.keys or target > index.times[-1] or cost > affordable:
            break
        cost += index.decoded(target) + _SEEK
    return bool(index.keys) and cost < affordable


def _targets(first: float, seconds: float) -> Iterator[float]:
    return (first + step * seconds for step in itertools.count())


def _on_screen(frames: "Iterator[VideoFrame]", seconds: float) -> "Iterator[VideoFrame]":
    """Of all frames, the one shown at each multiple of `seconds` from the first frame on, each once."""
    first = shown = next(frames, None)
    if first is None or shown is None:
        return
    target = first.time
    for frame in frames:
        if target < frame.time - _EPSILON:
            yield shown
            target = _next_target(first.time, seconds, frame.time)
        shown = frame
    if _still_shown(shown, target):
        yield shown


def _next_target(first: float, seconds: float, time: float) -> float:
    """The first multiple of `seconds` from `first` on that is not before a time."""
    return first + seconds * math.ceil((time - _EPSILON - first) / seconds)


def _still_shown(last: "VideoFrame", target: float) -> bool:
    return target < max(_end(last), last.time + 2 * _EPSILON)


def _end(frame: "VideoFrame") -> float:
    """When the frame goes, in seconds, where that is known; else when it comes."""
    return frame.time + float((frame.duration or 0) * (frame.time_base or 0))


class _Sieve:
    """Lets frames pass that are neither blank nor like the one that passed before."""

    def __init__(self) -> None:
        self._kept: Cells | None = None

    def passes(self, frame: "VideoFrame", cells: Cells | None = None) -> bool:
        cells = _cells(frame) if cells is None else cells
        if self._same(cells) or _blank(frame, cells):
            return False
        self._kept = cells
        return True

    def _same(self, cells: Cells) -> bool:
        return self._kept is not None and int(np.abs(cells - self._kept).max()) <= _SAME


def _shots(frames: "Iterator[VideoFrame]", seconds: float, sieve: _Sieve) -> "Iterator[VideoFrame]":
    """The frames where the picture changes, and at least one every `seconds`, but no two within a second."""
    kept, before, changed = -math.inf, None, True
    for frame, cells in _looks(frames):
        late = before is not None and frame.time - kept > seconds + _EPSILON and before[0].time - kept > _APART
        if before is not None and late and sieve.passes(*before):  # the last that is in time
            kept = before[0].time
            yield before[0]
        changed = changed or (before is not None and float(np.abs(cells - before[1]).mean()) > _CUT)
        due = _APART if changed else seconds
        if frame.time - kept >= due - _EPSILON and sieve.passes(frame, cells):
            kept, changed = frame.time, False
            yield frame
        before = (frame, cells)


def _looks(frames: "Iterator[VideoFrame]") -> "Iterator[tuple[VideoFrame, Cells]]":
    last = -math.inf
    for frame in frames:
        if frame.time - last >= _LOOK - _EPSILON:
            last = frame.time
            yield frame, _cells(frame)


def _cells(frame: "VideoFrame") -> Cells:
    return _pixels(frame, width=32, height=32, interpolation="AREA").astype(np.int16)


def _blank(frame: "VideoFrame", cells: Cells) -> bool:
    """Whether the frame is nearly one colour; the cells rule most out, and the pixels are asked about the rest."""
    if int(np.ptp(cells, axis=(0, 1)).max()) > 2 * _FLAT:
        return False
    step = 1 + max(frame.width, frame.height) // 2048
    low, high = np.percentile(_pixels(frame)[::step, ::step], (0.1, 99.9), axis=(0, 1))
    return float((high - low).max()) <= _FLAT


# --- How they look -----------------------------------------------------------------------------------------------------

Pixels = np.ndarray[tuple[int, ...], np.dtype[np.uint8]]  # (height, width, 3), RGB

_STRETCH = 10  # pixels longer than this are a mistake in the file
_MATRIX_UNSPECIFIED, _BT709, _BT601 = 2, 1, 5

_TURNS: Mapping[
    tuple[int, ...], Image.Transpose
] = {  # (a, b, c, d) of the display matrix: the stored point (x, y) is shown at (a x + c y, b x + d y)
    (0, 1, -1, 0): Image.Transpose.ROTATE_270,
    (-1, 0, 0, -1): Image.Transpose.ROTATE_180,
    (0, -1, 1, 0): Image.Transpose.ROTATE_90,
    (-1, 0, 0, 1): Image.Transpose.FLIP_LEFT_RIGHT,
    (1, 0, 0, -1): Image.Transpose.FLIP_TOP_BOTTOM,
    (0, 1, 1, 0): Image.Transpose.TRANSPOSE,
    (0, -1, -1, 0): Image.Transpose.TRANSVERSE,
}


def _picture(frame: "VideoFrame", aspect: Fraction | None) -> Image.Image:
    """The frame as it is meant to be seen: RGB, its pixels square, the right way up."""
    picture = _square(Image.fromarray(_pixels(frame)), aspect or Fraction(1))
    turn = _TURNS.get(_quarter(frame))
    return picture if turn is None else picture.transpose(turn)


def _pixels(frame: "VideoFrame", **options: Any) -> Pixels:
    """RGB of 8 bits; the range is the one that the frame says."""
    if frame.width * frame.height > MAX_PIXELS:
        raise _bad("bomb")
    try:
        pixels = frame.to_ndarray(format="rgb24", src_colorspace=_matrix(frame), **options)
    except Exception as error:
        raise _bad(_code(error)) from error
    return cast("Pixels", pixels)


def _matrix(frame: "VideoFrame") -> int:
    """Players' guess where the film does not say: BT.709 for high definition, else BT.601."""
    if frame.colorspace != _MATRIX_UNSPECIFIED:
        return frame.colorspace
    return _BT709 if frame.width >= 1280 or frame.height > 576 else _BT601  # noqa: PLR2004  (where SD ends)


def _square(picture: Image.Image, aspect: Fraction) -> Image.Image:
    """Stretch the side that grows, so that no pixel is lost."""
    if aspect in {0, 1} or not 1 / _STRETCH <= aspect <= _STRETCH:
        return picture
    across, down = max(aspect, Fraction(1)), max(1 / aspect, Fraction(1))
    size = (round(picture.width * across), round(picture.height * down))
    return picture.resize(size, Image.Resampling.BICUBIC) if size[0] * size[1] <= MAX_PIXELS else picture


def _quarter(frame: "VideoFrame") -> tuple[int, ...]:
    """The display matrix as signs, to the nearest quarter turn."""
    data: Any = frame.side_data.get("DISPLAYMATRIX")
    if data is None:
        return (1, 0, 0, 1)
    a, b, _, c, d = (int(value) for value in np.frombuffer(bytes(data), np.int32)[:5])
    if abs(a) + abs(d) >= abs(b) + abs(c):
        return (_sign(a), 0, 0, _sign(d))
    return (0, _sign(b), _sign(c), 0)


def _sign(value: int) -> int:
    return -1 if value < 0 else 1


# --- The film ----------------------------------------------------------------------------------------------------------

_STRIKES = 8  # errors in a row after which no further packet is asked for
_BACK = (0.0, 2.0, 8.0, 32.0)  # seconds further back, where a seek landed behind its target
_OWN_INDEX = ("avi", "matroska", "mov")  # containers that list their keyframes, for seeks to go by


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
        self._source = _Source(file)
        head = self._source.peek(0, HEAD)
        if self._source.failed:
            raise _bad("unreadable")
        if not recognises(head):
            raise _bad("unsupported-format" if head else "empty")
        self._cut = _ends_early(self._source, head)
        self._hurt = self._half = self._fresh = False
        self._end = -math.inf
        self._open()
        self.duration = self._seconds()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._container.close()

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
        index = self._index(sampling, alive)
        strategy = plan(sampling, index, self._size, seekable=self._seekable)
        yield from self._sampled(sampling, strategy, alive)

    def at(self, time: float) -> Image.Image:
        """The picture on screen at a time in seconds; of a frame's time rounded to milliseconds, that very frame.

        Raises:
            BadItem: as of `frames`, where there is no frame at all.
        """
        frame = self._shown(time + 0.0005, lambda: None)[0] or next(self._decoded(lambda: None), None)
        if frame is None:
            raise self._broken() or _bad("corrupt")
        return self._picture(frame)

    def _sampled(self, sampling: Sampling, strategy: Strategy, alive: Alive) -> Iterator[tuple[float, Image.Image]]:
        self._hurt, kept = False, False
        for frame in self._chosen(sampling, strategy, alive):
            kept = True
            yield frame.time, self._picture(frame)
        broken = self._broken()
        if not kept:  # all blank, or no keyframe in it
            first = next(self._decoded(alive), None)
            if first is None:
                raise broken or self._broken() or _bad("corrupt")
            yield first.time, self._picture(first)
        if broken:
            raise broken

    def _chosen(self, sampling: Sampling, strategy: Strategy, alive: Alive) -> "Iterator[VideoFrame]":
        sieve = _Sieve()
        if strategy == "seeking":
            return filter(sieve.passes, self._sought(sampling.seconds, alive))
        frames = self._decoded(alive, keyframes=strategy == "keyframes")
        if sampling.mode == "shots":
            return _shots(frames, sampling.seconds, sieve)
        chosen = _on_screen(frames, sampling.seconds) if sampling.mode == "every" else frames
        return filter(sieve.passes, chosen)

    def _picture(self, frame: "VideoFrame") -> Image.Image:
        return _picture(frame, self._stream.sample_aspect_ratio)

    # Where frames come from: all of them from the start, or one at a time.

    def _decoded(self, alive: Alive, *, keyframes: bool = False) -> "Iterator[VideoFrame]":
        """All frames, or those stored whole, from the start."""
        if not self._fresh:
            self._container.close()
            self._open()
        self._stream.codec_context.skip_frame = "NONKEY" if keyframes else "DEFAULT"
        broadcast = self._container.format.name in {"mpeg", "mpegts"}  # recordings begin anywhere
        frames = self._rising(alive, settled=not broadcast)
        return (frame for frame in frames if frame.key_frame) if keyframes else frames

    def _sought(self, seconds: float, alive: Alive) -> "Iterator[VideoFrame]":
        """What `_on_screen` makes of all frames, by seeking."""
        first = shown = next(self._decoded(alive), None)
        if first is None or shown is None:
            return
        yield first
        target, following = first.time + seconds, first.time
        while following < math.inf:
            frame, following = self._shown(target, alive)
            if frame is None or (following == math.inf and not _still_shown(frame, target)):
                return
            if frame.time > shown.time:
                shown = frame
                yield frame
            target = _next_target(first.time, seconds, max(following, target + 2 * _EPSILON))

    def _shown(self, target: float, alive: Alive) -> "tuple[VideoFrame | None, float]":
        """The frame on screen at a time, and what `_until` says of the one that follows."""
        skipped = 3 if self._container.format.name == "mpeg" else 0  # its times are guesses for a while
        for back in _BACK:
            if not self._seek(target - back):
                continue
            found = _until(_from_key(self._rising(alive, settled=False), skipped), target)
            if found[0] is not None:
                return found
        return _until(self._decoded(alive), target)

    def _seek(self, time: float) -> bool:
        self._fresh = False
        self._stream.codec_context.skip_frame = "DEFAULT"
        try:
            self._container.seek(round(time / (self._stream.time_base or 1)), stream=self._stream)
        except Exception as error:  # noqa: BLE001  (what cannot be sought is decoded from further back)
            self._note(error, settled=False)
            return False
        return True

    def _rising(self, alive: Alive, *, settled: bool) -> "Iterator[VideoFrame]":
        """Good frames from here on, each later than the one before.

        Args:
            alive: called after every packet.
            settled: whether damage counts already; else it does from the first good frame on, for what is before a
                keyframe cannot be decoded, and need not be.
        """
        last = -math.inf
        for packet in self._packets():
            frames = self._frames_of(packet, settled=settled)
            alive()
            for frame in frames:
                if frame.is_corrupt:
                    self._hurt |= settled
                elif frame.time is not None and frame.time > last:
                    last, settled = frame.time, True
                    yield frame

    def _packets(self) -> "Iterator[Packet[VideoStream] | None]":
        """Packets up to the end, beyond errors too; None, to empty the decoder, where there are too many."""
        self._fresh = False
        strikes, demuxer = 0, self._container.demux(self._stream)
        while strikes < _STRIKES:
            try:
                packet = next(demuxer, None)
            except Exception as error:  # noqa: BLE001  (raised again where it is not the film's)
                self._note(error)
                strikes, demuxer = strikes + 1, self._container.demux(self._stream)
                continue
            if packet is None:
                return
            strikes = 0
            yield packet
        yield None

    def _frames_of(self, packet: "Packet[VideoStream] | None", *, settled: bool) -> "list[VideoFrame]":
        if packet is not None and packet.size:
            self._half = packet.is_corrupt
            self._hurt |= settled and packet.is_corrupt
            self._end = max(self._end, _last_moment(packet))
        try:
            return self._stream.decode(packet)
        except EOFError:
            return []
        except Exception as error:  # noqa: BLE001  (raised again where it is not the film's)
            self._note(error, settled=settled)
            return []

    # What is known of the film, and what became of it.

    def _open(self) -> None:
        """Open the container from the start and choose the stream."""
        import av  # noqa: PLC0415  (an extra; `recognises` works without it)

        av.logging.set_level(None)
        self._source.seek(0)
        try:
            self._container: InputContainer = av.open(
                self._source, "r", options=dict(_OPTIONS), metadata_errors="replace"
            )
        except Exception as error:
            code = "truncated" if self._cut and _code(error) == "corrupt" else _code(error)
            raise self._source.failure() or _bad(code) from error
        try:
            self._stream = _choose(self._container)
            self._prepare()
        except Exception as error:
            self._container.close()
            raise error if isinstance(error, BadItem) else _bad(_code(error)) from error

    def _prepare(self) -> None:
        for stream in self._container.streams:
            if stream.index != self._stream.index:
                stream.discard = type(stream.discard).all
        context = self._stream.codec_context
        self._size = context.width * context.height
        if self._size > MAX_PIXELS:
            raise _bad("bomb")
        context.options = {"max_pixels": str(MAX_PIXELS)}
        context.thread_type = "AUTO"
        context.thread_count = _THREADS
        self._fresh, self._half, self._end = True, False, -math.inf

    def _seconds(self) -> float | None:
        """The declared length of the video, or of the file."""
        if self._stream.duration is not None and self._stream.time_base is not None:
            return float(self._stream.duration * self._stream.time_base)
        return None if self._container.duration is None else self._container.duration / 1e6

    def _index(self, sampling: Sampling, alive: Alive) -> Index:
        """The packets, as the container lists them; else as they come, where the plan depends on it."""
        self._seekable = False
        if sampling.mode == "keyframes":
            return Index((), ())
        index = self._listed()
        self._seekable = not self._cut and self._owns_index() and self._complete(index)
        if self._seekable or sampling.mode == "every":
            return index
        return self._surveyed(alive)

    def _owns_index(self) -> bool:
        return any(own in self._container.format.name for own in _OWN_INDEX)

    def _listed(self) -> Index:
        matroska = "matroska" in self._container.format.name
        if matroska:
            self._seek(0)  # this makes FFmpeg read the list of keyframes
        base = float(self._stream.time_base or 1)
        index = _ordered((entry.timestamp * base, entry.is_keyframe) for entry in self._stream.index_entries)
        return Index(self._estimated(), index.keys) if matroska else index

    def _estimated(self) -> list[float]:
        rate = float(self._stream.average_rate or 25)
        count = min(int((self._seconds() or 0.0) * rate), 2_000_000)
        return [place / rate for place in range(count)]

    def _complete(self, index: Index) -> bool:
        """Whether it reaches to the end; of films in fragments, only some are listed at first."""
        return bool(index.times) and index.times[-1] - index.times[0] >= 0.9 * (self._seconds() or math.inf) - 1

    def _surveyed(self, alive: Alive) -> Index:
        """Read every packet and decode none."""
        seen = []
        for packet in self._packets():
            alive()
            if packet is not None and packet.size and packet.dts is not None:
                seen.append((float(packet.dts * packet.time_base), packet.is_keyframe))
        return _ordered(seen)

    def _broken(self) -> BadItem | None:
        """What is to be said of the film at its end."""
        if self._source.failed:
            return _bad("unreadable")
        if self._cut or self._half or self._short():
            return _bad("truncated")
        return _bad("corrupt") if self._hurt else None

    def _short(self) -> bool:
        """Whether an MXF's packets ended before the declared end; others show it otherwise, or not at all."""
        declared = self._seconds()
        if self._container.format.name != "mxf" or declared is None or self._end == -math.inf:
            return False
        return bool(self._end < 0.99 * declared - 0.05)

    def _note(self, error: Exception, *, settled: bool = True) -> None:
        """Damage is remembered; what is not the film's fault is raised."""
        failure = self._source.failure()
        if failure or _code(error) == "memory":
            raise failure or _bad("memory") from error
        self._hurt |= settled


def _choose(container: "InputContainer") -> "VideoStream":
    """The one moving picture that is the default, else the best; covers are not films."""
    videos = [stream for stream in container.streams.video if stream.codec_context is not None]
    films = [stream for stream in videos if not stream.disposition & _disposition("attached_pic")]
    default = [stream for stream in films if stream.disposition & _disposition("default")]
    best = container.streams.best("video")
    if len(default) == 1:
        return default[0]
    chosen = next((stream for stream in films if best is not None and stream.index == best.index), None)
    if not films:
        raise _bad("unsupported-format")
    return chosen or films[0]


def _disposition(name: str) -> int:
    from av.stream import Disposition  # noqa: PLC0415  (an extra)

    return int(Disposition[name])


def _ordered(packets: Iterable[tuple[float, bool]]) -> Index:
    ordered = sorted(packets)
    return Index([time for time, _ in ordered], [time for time, key in ordered if key])


def _last_moment(packet: "Packet[VideoStream]") -> float:
    stamp = packet.pts if packet.pts is not None else packet.dts
    return -math.inf if stamp is None else float((stamp + (packet.duration or 0)) * packet.time_base)


def _from_key(frames: "Iterator[VideoFrame]", skipped: int) -> "Iterator[VideoFrame]":
    """From a keyframe on: what is before it leans on frames before the seek. `skipped` more of them are left out."""
    keys = 0
    for frame in frames:
        keys += frame.key_frame
        if keys > skipped:
            yield frame


def _until(frames: "Iterator[VideoFrame]", target: float) -> "tuple[VideoFrame | None, float]":
    """The last frame that comes at or before a time.

    And when the next one comes, in seconds: infinity where none does, the frame's own time where nobody looked.
    """
    shown = None
    for frame in frames:
        if frame.time > target + _EPSILON:
            return shown, frame.time
        shown = frame
        if frame.time >= target - _EPSILON:
            return frame, frame.time
    return shown, math.inf


def _code(error: Exception) -> str:
    return "memory" if isinstance(error, MemoryError) or getattr(error, "errno", None) == errno.ENOMEM else "corrupt"


def _bad(code: str) -> BadItem:
    return BadItem(code, FAILURE_CODES[code])


# --- The bytes ---------------------------------------------------------------------------------------------------------


class _Source:
    """The file as FFmpeg sees it: one that cannot be read ends, and is remembered, for FFmpeg would hide it.

    Attributes:
        failed: whether a read failed.
        size: bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.failed = False
        self.size = max(self.seek(0, 2), 0)

    def read(self, count: int = -1) -> bytes:
        try:
            return self._file.read(count)
        except (OSError, ValueError):
            self.failed = True
            return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            self.failed |= whence != 0 or offset >= 0  # FFmpeg may ask for nonsense
            return -1

    def tell(self) -> int:
        return self._file.tell()

    def peek(self, offset: int, count: int) -> bytes:
        self.seek(offset)
        return self.read(count)

    def failure(self) -> BadItem | None:
        return _bad("unreadable") if self.failed else None


_BOXES = (*_MOV, b"ftyp", b"moof", b"mfra", b"sidx", b"uuid", b"meta", b"pdin", b"emsg")


def _ends_early(source: _Source, head: bytes) -> bool:
    """Whether the container itself says that there should be more; MPEG-PS and MXF do not say."""
    if head.startswith(b"OggS"):
        return _ogg_ends_early(source.peek(max(source.size - 0x10000, 0), 0x10000))
    if head.startswith(b"FLV"):
        return _flv_ends_early(source)
    if _is_ts(head):
        return source.size % (188 if head[0] == 0x47 and head[188] == 0x47 else 192) != 0  # noqa: PLR2004  (sync byte)
    return _parts_end_early(source)


def _parts_end_early(source: _Source) -> bool:
    """Go from part to part: MP4's boxes, AVI's lists, Matroska's elements, ASF's objects."""
    position = 0
    while position < source.size:
        length = _length(source.peek(position, 32))
        if not length:
            return False
        position += length
    return position > source.size


def _length(head: bytes) -> int:
    """The length of the part that begins so, in bytes; 0 where it is unknown, as of junk after the end."""
    if head[4:8] in _BOXES:
        size = int.from_bytes(head[:4])
        size = int.from_bytes(head[8:16]) if size == 1 else size
        return size if size >= 8 else 0  # noqa: PLR2004  (its own head)
    if head.startswith(b"RIFF"):
        size = int.from_bytes(head[4:8], "little")
        return 0 if size in {0, 0xFFFFFFFF} else 8 + size
    if head.startswith((_EBML, b"\x18S\x80g")):
        return _element_length(head)
    return int.from_bytes(head[16:24], "little") if head.startswith((_ASF, _ASF_DATA)) else 0


def _element_length(head: bytes) -> int:
    """Matroska: four bytes of name, then the size, whose first bit that is set says how many bytes it takes."""
    width = 9 - head[4].bit_length() if len(head) > 4 else 9  # noqa: PLR2004  (behind the name)
    size = int.from_bytes(head[4 : 4 + width]) & ((1 << 7 * width) - 1)
    return 0 if width > 8 or size == (1 << 7 * width) - 1 else 4 + width + size  # noqa: PLR2004  (bytes at most)


def _ogg_ends_early(tail: bytes) -> bool:
    """The last page must be whole, and marked as the last."""
    page = tail[tail.rfind(b"OggS") :] if b"OggS" in tail else b""
    lengths = page[27 : 27 + page[26]] if len(page) > 26 else b""  # noqa: PLR2004  (a page's head)
    return not lengths or not page[5] & 4 or 27 + len(lengths) + sum(lengths) > len(page)


def _flv_ends_early(source: _Source) -> bool:
    """Behind every tag stands its length."""
    length = int.from_bytes(source.peek(source.size - 4, 4))
    tag = source.peek(max(source.size - 4 - length, 0), 4)
    return len(tag) < 4 or tag[0] not in {8, 9, 18} or int.from_bytes(tag[1:]) + 11 != length  # noqa: PLR2004  (a tag's head)
