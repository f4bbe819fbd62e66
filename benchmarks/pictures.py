"""Pictures to measure with: 640 × 480 JPEGs of the size and detail of photographs, the same on every machine.

Or the person's own: the other scripts take `--pictures FOLDER`.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from measure import bench_folder, say

SIZE = (640, 480)
QUALITY = 90
GRAIN = 4.0  # noise of a sensor, in levels of 255: with it the files have 60 to 120 kB, as photographs do
SUFFIXES = {".jpg", ".jpeg"}


def take(count: int, own: Path | None = None) -> list[Path]:
    """So many pictures: the first of the person's own folder, or generated ones."""
    if own is None:
        return make(count)
    found = sorted(path for path in own.expanduser().rglob("*") if path.suffix.lower() in SUFFIXES)[:count]
    if not found:
        say(f"there is no JPEG in {own}: name another folder")
        sys.exit(2)
    return found


def make(count: int) -> list[Path]:
    """Make so many pictures, or take those that are there."""
    folder = bench_folder() / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{i:05}.jpg" for i in range(count)]
    for i, path in enumerate(paths):
        if not path.exists():
            part = path.with_suffix(".part")
            _picture(np.random.default_rng(i)).save(part, "jpeg", quality=QUALITY)
            part.replace(path)
    return paths


def _picture(random: np.random.Generator) -> Image.Image:
    """A background of smooth noise, objects with edges, and grain over all of it."""
    picture = Image.fromarray(np.clip(_noise(random), 0, 255).astype(np.uint8))
    pen = ImageDraw.Draw(picture)
    for i in range(24):
        _draw_shape(pen, random, round_one=i % 2 == 0)
    soft = picture.filter(ImageFilter.GaussianBlur(0.7))  # a lens
    grainy = np.asarray(soft, np.float32) + random.normal(0, GRAIN, (SIZE[1], SIZE[0], 1)).astype(np.float32)
    return Image.fromarray(np.clip(grainy, 0, 255).astype(np.uint8))


def _noise(random: np.random.Generator) -> NDArray[np.float32]:
    """Octaves of noise, each half as strong as the one twice as coarse, as in pictures of nature: (h, w, 3)."""
    total = np.full((SIZE[1], SIZE[0], 3), 128, np.float32)
    for octave in range(1, 8):
        grid = random.normal(0, 100 / 2**octave, (3, 3 * 2**octave, 4 * 2**octave)).astype(np.float32)
        planes = [Image.fromarray(plane).resize(SIZE, Image.Resampling.BICUBIC) for plane in grid]
        total += np.stack([np.asarray(plane) for plane in planes], 2)
    return total


def _draw_shape(pen: ImageDraw.ImageDraw, random: np.random.Generator, *, round_one: bool) -> None:
    x, y = random.integers(0, SIZE[0]), random.integers(0, SIZE[1])
    width, height = random.integers(10, 160, 2)
    colour = tuple(map(int, random.integers(0, 256, 3)))
    box = (int(x - width), int(y - height), int(x + width // 2), int(y + height // 2))
    (pen.ellipse if round_one else pen.rectangle)(box, fill=colour)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Make pictures to measure with.")
    parser.add_argument("--count", type=int, default=96)
    print(*make(parser.parse_args().count), sep="\n")
