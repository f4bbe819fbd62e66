"""Small films made by PyAV as tests need them, and what `Film` finds in them.

Unlike `films`, which writes films for the whole way from file to hit, these are of every container and can be wrong in every way.
"""

import io
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from glimpse.decoders.video import Film
from glimpse.errors import BadItem
from glimpse.values import FAILURE_CODES, Sampling

av = pytest.importorskip("av", reason="footage needs PyAV: pip install 'glimpse-search[video]'")

RATE = 25
STEADY = {"libx264": {"x264-params": "mbtree=0"}}  # the same bytes in every run
CONTAINERS = [
    ("mp4", "libx264"),
    ("mov", "libx264"),
    ("matroska", "libx264"),
    ("webm", "libvpx"),
    ("avi", "mpeg4"),
    ("mpegts", "libx264"),
    ("mpeg", "mpeg2video"),
    ("flv", "libx264"),
    ("ogg", "libvpx"),
    ("asf", "wmv2"),
    ("mxf", "mpeg2video"),
]


def scene(seed: int, shift: int = 0, size: tuple[int, int] = (96, 64)) -> np.ndarray:
    """Coloured blocks that move to the right; another seed is another place."""
    blocks = np.random.default_rng(seed).integers(0, 256, (8, 12, 3), np.uint8)
    picture = np.kron(blocks, np.ones((16, 16, 1), np.uint8))
    return np.ascontiguousarray(np.roll(picture, shift, 1)[: size[1], : size[0]])


def moving(count: int, size: tuple[int, int] = (96, 64)) -> list[np.ndarray]:
    return [scene(0, place * 3, size) for place in range(count)]


def plain(colour: int) -> np.ndarray:
    return np.full((64, 96, 3), colour, np.uint8)


def clip(
    kind: str = "mp4",
    codec: str = "libx264",
    frames=None,
    *,
    times=None,
    gop: int = 12,
    pixels: str = "yuv420p",
    options: dict[str, str] | None = None,
    prepare=lambda _: None,
    fill=lambda _: None,
    sound: float = 0.0,
    to=None,
    **muxing: str,
) -> bytes:
    """A film made by PyAV; `times` are multiples of 1/25 s."""
    frames = moving(50) if frames is None else frames
    file = io.BytesIO()
    with av.open(to or file, "w", format=kind, options=muxing) as container:
        stream = container.add_stream(codec, rate=RATE, options=STEADY.get(codec, {}) | (options or {}))
        first = frames[0]
        stream.height, stream.width = first.shape[:2] if isinstance(first, np.ndarray) else (first.height, first.width)
        stream.pix_fmt, stream.gop_size = pixels, gop
        prepare(stream)
        voice = container.add_stream("aac", rate=44100) if sound else None
        for time, array in zip(times or range(len(frames)), frames, strict=True):
            frame = array if isinstance(array, av.VideoFrame) else av.VideoFrame.from_ndarray(array, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, RATE)
            fill(frame)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
        if voice:
            speak(container, voice, sound)
    return Path(to).read_bytes() if to else file.getvalue()


def speak(container, stream, seconds: float) -> None:
    for start in range(0, int(seconds * 44100), 1024):
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.pts, frame.sample_rate, frame.time_base = start, 44100, Fraction(1, 44100)
        container.mux(stream.encode(frame))
    container.mux(stream.encode())


def wanted(mode: str, seconds: float | None) -> Sampling:
    return Sampling(mode, seconds or (10.0 if mode == "shots" else 0.2))


def sampled(data: bytes, mode: str = "every", seconds: float | None = None) -> list[tuple[float, Image.Image]]:
    with Film(io.BytesIO(data)) as film:
        return list(film.frames(wanted(mode, seconds)))


def times(found) -> list[float]:
    return [time for time, _ in found]


def salvaged(data: bytes, mode: str = "every") -> tuple[list[float], str | None]:
    """The times that were found, and the code of what was raised then, if anything was."""
    found = []
    try:
        with Film(io.BytesIO(data)) as film:
            for time, _ in film.frames(wanted(mode, None)):
                found.append(time)
    except BadItem as error:
        return found, checked(error).code
    return found, None


def checked(error: BadItem) -> BadItem:
    assert error.message == FAILURE_CODES[error.code]
    return error


def decoded(data: bytes) -> list[float]:
    with av.open(io.BytesIO(data)) as container:
        return [frame.time for frame in container.decode(container.streams.best("video"))]


def shown(times: list[float], seconds: float, end: float) -> list[float]:
    """What is on screen at each multiple of `seconds`, the slow way."""
    targets = [times[0] + step * seconds for step in range(1000) if times[0] + step * seconds < end]
    return sorted({max(time for time in times if time <= target + 1e-6) for target in targets})


def near(one, other) -> float:
    """The mean difference of two pictures, of 255."""
    return float(np.abs(np.asarray(one, np.int16) - np.asarray(other, np.int16)).mean())
