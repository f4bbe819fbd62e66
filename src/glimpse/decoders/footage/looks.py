"""How a frame looks: its colours by the film's own matrix, its pixels square, the right way up.

Knows one decoded frame; neither films nor times.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from PIL import Image

from glimpse.decoders.footage.failures import bad, code_of
from glimpse.decoders.image import MAX_PIXELS

if TYPE_CHECKING:
    from av import VideoFrame

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


def picture(frame: "VideoFrame", aspect: Fraction | None) -> Image.Image:
    """The frame as it is meant to be seen: RGB, its pixels square, the right way up.

    Args:
        frame: as it was decoded.
        aspect: a pixel's width by its height; None where the film does not say.

    Raises:
        BadItem: "bomb", "memory" or "corrupt".
    """
    upright = _square(Image.fromarray(pixels(frame)), aspect or Fraction(1))
    turn = _TURNS.get(_quarter(frame))
    return upright if turn is None else upright.transpose(turn)


def pixels(frame: "VideoFrame", **options: Any) -> Pixels:
    """RGB of 8 bits as it is stored, (height, width, 3); the range is the one that the frame says.

    Args:
        frame: as it was decoded.
        options: PyAV's, of `VideoFrame.to_ndarray`: another width and height.

    Raises:
        BadItem: "bomb", "memory" or "corrupt".
    """
    if frame.width * frame.height > MAX_PIXELS:
        raise bad("bomb")
    try:
        found = frame.to_ndarray(format="rgb24", src_colorspace=_matrix(frame), **options)
    except Exception as error:
        raise bad(code_of(error)) from error
    return cast("Pixels", found)


def _matrix(frame: "VideoFrame") -> int:
    """Players' guess where the film does not say: BT.709 for high definition, else BT.601."""
    if frame.colorspace != _MATRIX_UNSPECIFIED:
        return frame.colorspace
    return _BT709 if frame.width >= 1280 or frame.height > 576 else _BT601  # noqa: PLR2004  (where SD ends)


def _square(stored: Image.Image, aspect: Fraction) -> Image.Image:
    """Stretch the side that grows, so that no pixel is lost."""
    if aspect in {0, 1} or not 1 / _STRETCH <= aspect <= _STRETCH:
        return stored
    across, down = max(aspect, Fraction(1)), max(1 / aspect, Fraction(1))
    size = (round(stored.width * across), round(stored.height * down))
    return stored.resize(size, Image.Resampling.BICUBIC) if size[0] * size[1] <= MAX_PIXELS else stored


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
