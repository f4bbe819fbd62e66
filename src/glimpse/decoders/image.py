"""Pictures, by Pillow: an allow-list of formats, a pixel ceiling before decoding, and every way of failing named.

A JPEG can be decoded to a half, a quarter or an eighth of its sides for a fraction of the cost (`Least`): its 8 × 8 blocks are made
smaller before they become pixels. Ceilings and checks are of its full size.

Pillow's decoders raise nearly anything on hostile bytes (OSError, ValueError, SyntaxError, struct.error …), so everything is
caught here, once, and given a code of `values.FAILURE_CODES`.
"""

import io
from functools import cache

from PIL import Image, UnidentifiedImageError

from glimpse.errors import BadItem
from glimpse.values import FAILURE_CODES, Least

# Not here: formats that run programs or scripts (EPS, PDF, WMF), scientific and layered ones with a history of holes
# (FITS, PSD, SPIDER, ICNS, McIdas), and all that needs a helper program.
FORMATS = (
    "AVIF", "BMP", "DDS", "DIB", "GIF", "ICO", "JPEG", "JPEG2000", "PCX", "PNG", "PPM", "QOI", "SGI", "TGA", "TIFF",
    "WEBP",
)  # fmt: skip

MAX_PIXELS = 178_956_970
"""The ceiling: where Pillow calls a picture a decompression bomb (half a gigabyte of RGB)."""

MAX_SLOW_PIXELS = 1 << 22

_TRUNCATED = ("truncated", "unexpected end", "eof", "not enough", "premature")


def decode(data: bytes) -> Image.Image:
    """Decode the first frame of a picture.

    Raises:
        BadItem: with code "unsupported-format", "empty", "truncated", "corrupt", "bomb" or "memory".
    """
    return loaded(opened(data))


HEAD = 4096
"""How many bytes `recognises` wants to see."""


def recognises(head: bytes) -> bool:
    """Whether a file that begins so may be a picture; says No to footage and archives before they are read whole."""
    marks = {name: Image.OPEN[name][1] for name in formats()}
    try:
        if any(accept(head[:16]) for accept in marks.values() if accept):
            return True
        Image.open(io.BytesIO(head), formats=[name for name, accept in marks.items() if not accept])
    except Exception:  # noqa: BLE001  (also of what asks for more bytes than there are)
        return False
    return True


@cache
def formats() -> tuple[str, ...]:
    """The formats of the list that this build of Pillow opens; it fails on names it does not know."""
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def opened(data: bytes) -> Image.Image:
    """Look at the head of a picture: its size is known then, its pixels are not decoded yet; raises as `decode` does."""
    if not data:
        raise _bad("empty")
    if _ends_early(data):
        raise _bad("truncated")
    try:
        picture = Image.open(io.BytesIO(data), formats=formats())
    except UnidentifiedImageError as error:
        raise _bad("unsupported-format") from error
    except Exception as error:
        raise _bad(_code(error)) from error
    if picture.width * picture.height > _ceiling(picture):
        raise _bad("bomb", f" ({picture.width} × {picture.height})")
    return picture


def _ceiling(picture: Image.Image) -> int:
    """The most pixels that a picture may have; run-length BMPs, which Pillow decodes in Python, take seconds for each million."""
    slow = any(tile[0] == "bmp_rle" for tile in getattr(picture, "tile", ()))
    return MAX_SLOW_PIXELS if slow else MAX_PIXELS


def _ends_early(data: bytes) -> bool:
    """Whether a WebP is shorter than it says: its decoder does not tell that from damage."""
    return data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) < 8 + int.from_bytes(data[4:8], "little")


def loaded(picture: Image.Image) -> Image.Image:
    """Decode the pixels of what `opened` gave; raises as `decode` does."""
    return reduced(picture, None)[0]


def reduced(picture: Image.Image, least: Least | None) -> tuple[Image.Image, tuple[float, float] | None]:
    """Decode the pixels of what `opened` gave, of a JPEG no more than is asked for; raises as `decode` does.

    Returns:
        The picture, and how much of its width and height is picture where it was made smaller: 1,001 pixels become 125.125, which
        is 126 of which the last is an eighth. None where all of it is.
    """
    try:
        drafted = picture.draft(None, least(*picture.size)) if least else None  # None of what is no JPEG
        picture.load()
    except Exception as error:
        raise _bad(_code(error)) from error
    return picture, drafted and drafted[1][2:]


def _code(error: Exception) -> str:
    if isinstance(error, MemoryError):
        return "memory"
    if isinstance(
        error, (Image.DecompressionBombError, Image.DecompressionBombWarning)
    ):  # workers make the latter an error
        return "bomb"
    text = str(error).lower()
    return "truncated" if isinstance(error, EOFError) or any(word in text for word in _TRUNCATED) else "corrupt"


def _bad(code: str, detail: str = "") -> BadItem:
    return BadItem(code, FAILURE_CODES[code] + detail)
