"""A folder to index: pictures that all differ, films with many scenes, and files that cannot be used."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

from glimpse.demo import PICTURES

RATE = 5  # frames of a film per second


def make(folder: Path, pictures: int, seconds: int) -> None:
    """Fill a folder: so many pictures, two films so long, one that ends early, and three bad files."""
    folder.mkdir(parents=True)
    bundled = sorted(PICTURES.glob("*.jpg"))
    for number in range(pictures):
        _picture(bundled[number % len(bundled)], folder / f"{number:04}.jpg", number)
    for number in range(3):
        _film(folder / f"film-{number}.mkv", seconds, number)
    _cut(folder / "film-2.mkv", 0.7)
    (folder / "bad-empty.png").touch()
    (folder / "bad-notes.txt").write_text("no picture")
    (folder / "bad-cut.jpg").write_bytes((folder / "0000.jpg").read_bytes())
    _cut(folder / "bad-cut.jpg", 0.5)


def _picture(source: Path, target: Path, number: int) -> None:
    pixels = np.asarray(Image.open(source).convert("RGB").resize((240, 180))).copy()
    pixels[:30, :30] = np.random.default_rng(number).integers(0, 256, 3)
    Image.fromarray(pixels).save(target)


def _film(path: Path, seconds: int, seed: int) -> None:
    """Another scene every second, whose blocks move."""
    random = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt, stream.gop_size = 96, 64, "yuv420p", RATE
        for time in range(seconds * RATE):
            if time % RATE == 0:
                scene = np.kron(random.integers(0, 256, (4, 6, 3), np.uint8), np.ones((16, 16, 1), np.uint8))
            frame = av.VideoFrame.from_ndarray(np.roll(scene, 3 * time, 1), format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, RATE)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def _cut(path: Path, share: float) -> None:
    """Take the end of a file away."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
