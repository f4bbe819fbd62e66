"""What callers give as pictures and texts: checked, and made what the rest of the way expects.

Nothing is guessed: a string among pictures is a path. Knows no model.
"""

import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from glimpse.decoders import image as decoder
from glimpse.errors import BadItem, UsageError
from glimpse.sources.folder import read
from glimpse.values import FAILURE_CODES, Least, Named

PictureLike = str | os.PathLike[str] | bytes | Image.Image | np.ndarray[Any, Any] | Named
"""A path, the bytes of a picture file, a Pillow picture, a uint8 array (h, w), (h, w, 3) or (h, w, 4), or bytes with a name."""

LARGE = 1_000_000  # bytes; a larger file is looked at before it is read whole


def pictures(given: Iterable[PictureLike]) -> Iterable[PictureLike]:
    """Refuse a single picture where several are meant."""
    one_array = isinstance(given, np.ndarray) and given.ndim != 4  # noqa: PLR2004  (n, h, w, 3)
    if one_array or isinstance(given, str | bytes | os.PathLike | Image.Image):
        raise UsageError("pictures is a single picture: put it into a list")
    return given


def texts(given: Iterable[str]) -> list[str]:
    """Refuse a single text where several are meant, and what is no text."""
    if isinstance(given, str):
        raise UsageError(f"texts is a single text: put it into a list, [{given!r}]")
    asked = list(given)
    for place, text in enumerate(asked):
        if not isinstance(text, str):
            raise UsageError(f"texts[{place}] is a {type(text).__name__}, not a text")
        if not text.isascii() and any("\ud800" <= letter <= "\udfff" for letter in text):
            raise UsageError(f"texts[{place}] holds bytes that are no UTF-8: check where it comes from")
    return asked


def templates(given: str | Sequence[str]) -> list[str]:
    """Sentences with a place for a label; one may come by itself."""
    several = [given] if isinstance(given, str) else list(given)
    if not several or not all("{}" in one for one in several):
        raise UsageError("a template needs a place for the label, written {}: for example 'a photo of a {}'")
    return several


def filled(template: str, labels: Sequence[str]) -> list[str]:
    """Put every label into a sentence."""
    return [template.replace("{}", label) for label in labels]


def opened(picture: PictureLike, least: Least | None = None) -> tuple[Image.Image, tuple[float, float] | None]:
    """Decode a picture, whatever it was given as; files and bytes no larger than asked for, where that is cheaper.

    Returns:
        The picture, and how much of it is shown: see `decoders.image.reduced`.

    Raises:
        BadItem: it cannot be read or decoded.
        UsageError: it is no picture at all.
    """
    if isinstance(picture, Image.Image):
        return picture, None
    if isinstance(picture, np.ndarray):
        return _from_array(picture), None
    return decoder.reduced(decoder.opened(_bytes_of(picture)), least)


def _bytes_of(picture: Any) -> bytes:
    if isinstance(picture, bytes | bytearray | memoryview):
        return bytes(picture)
    if isinstance(picture, str | os.PathLike):
        return _picture_bytes(picture)
    if isinstance(picture, Named):
        return picture.read()
    raise UsageError(
        f"a {type(picture).__name__} is not a picture: give a path, bytes, a Pillow picture or a uint8 array"
    )


def _picture_bytes(path: str | os.PathLike[str]) -> bytes:
    """All bytes of a file; of a large one only if it may be a picture, and not a film of gigabytes."""
    head = read(path, LARGE)
    if len(head) < LARGE:
        return head
    if not decoder.recognises(head[: decoder.HEAD]):
        raise BadItem("unsupported-format", FAILURE_CODES["unsupported-format"])
    return read(path)


def name_of(picture: PictureLike) -> str:
    """What a picture is called, where it has a name."""
    if isinstance(picture, Named):
        return picture.key
    return os.fspath(picture) if isinstance(picture, str | os.PathLike) else ""


def _from_array(array: np.ndarray[Any, Any]) -> Image.Image:
    channels = {2: (None,), 3: (3, 4)}.get(array.ndim, ())
    if array.dtype != np.uint8 or (array.shape[2] if array.ndim > 2 else None) not in channels or not array.size:  # noqa: PLR2004
        raise UsageError(
            f"an array of {array.dtype} {array.shape} is not a picture: give uint8 (h, w), (h, w, 3) or (h, w, 4)"
        )
    return Image.fromarray(array)
