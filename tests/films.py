"""Small films for tests, made by PyAV where they are needed."""

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

av = pytest.importorskip("av")


def scene(number: int, size=(96, 64)) -> Image.Image:
    """A picture unlike that of any other number."""
    numbers = np.random.default_rng(number)
    cells = numbers.integers(0, 255, (8, 12, 3)).astype(np.uint8)
    return Image.fromarray(cells).resize(size, Image.Resampling.NEAREST)


def film(path: Path, scenes, *, seconds=2.0, rate=10, **options) -> Path:
    """Write an mp4 that shows each scene for so long; `options` are the container's."""
    pictures = list(scenes)
    with av.open(str(path), "w", options=options) as container:
        stream = container.add_stream("libx264", rate=rate, options={"crf": "12", "bf": "0"})
        stream.width, stream.height = pictures[0].size
        stream.pix_fmt = "yuv420p"
        for number in range(int(seconds * rate) * len(pictures)):
            frame = av.VideoFrame.from_image(pictures[number // int(seconds * rate)])
            frame.pts, frame.time_base = number, Fraction(1, rate)
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path
