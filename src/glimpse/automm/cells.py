"""One cell: whether it is a picture, and a picture in the form that the encoder takes. Knows no column and no model."""

import base64
import math
import os
import re
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from glimpse.decoders import image as decoder
from glimpse.errors import BadItem
from glimpse.values import Named

_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp", ".avif", ".avifs", ".tif", ".tiff", ".heic",
    ".heif", ".jp2", ".j2k", ".jpx", ".jxl", ".ppm", ".pgm", ".pbm", ".pnm", ".ico", ".tga", ".qoi", ".pcx", ".svg", ".psd", ".eps",
    ".dng", ".cr2", ".nef", ".arw",
))  # fmt: skip
_PATH = re.compile(r"(?:~?/|\.{1,2}/|[A-Za-z]:[\\/]|\\\\)\S+|(?:~?/|\.{1,2}/)[^/\n]+/[^\n]+")
_URL = re.compile(r"(?:https?|ftp|s3|gs)://\S+", re.IGNORECASE)
_LONGEST_PATH = 4096
_SHORTEST_BASE64 = 48


def is_empty(cell: Any) -> bool:
    """Whether a cell holds nothing: None, NaN, pandas' NA or NaT."""
    return (
        cell is None or (isinstance(cell, float) and math.isnan(cell)) or type(cell).__name__ in {"NAType", "NaTType"}
    )


def is_picture_object(cell: Any) -> bool:
    """Whether a cell that is no string can be a picture: bytes, a path, a Pillow picture, an array, a source's item."""
    if isinstance(cell, np.ndarray):
        return cell.ndim > 1
    return isinstance(cell, bytes | bytearray | memoryview | os.PathLike | Image.Image | Named)


def looks_like_picture(text: str) -> bool:
    """Whether a text is spelt like a path or the name of a picture file, is one's name, or is a picture in base64."""
    if _is_base64(text):
        return True
    if not 0 < len(text) <= _LONGEST_PATH or "\n" in text:
        return False
    suffix = os.path.splitext(text.partition("?")[0])[1].lower()  # noqa: PTH122
    return suffix in _SUFFIXES or bool(_PATH.fullmatch(text)) or _recognised(text)


def is_picture_file(text: str) -> bool:
    """Whether there is a file by this name, which is named in a way that no text is: with a folder, or as pictures are."""
    if not 0 < len(text) <= _LONGEST_PATH or "\0" in text:
        return False
    suffix = os.path.splitext(text)[1].lower()  # noqa: PTH122
    return (os.sep in text or suffix in _SUFFIXES) and os.path.isfile(_expanded(text))  # noqa: PTH113


def _recognised(text: str) -> bool:
    """Whether there is a picture by this name, whatever it is spelt like."""
    if "\0" in text or not os.path.isfile(_expanded(text)):  # noqa: PTH113
        return False
    try:
        with Path(_expanded(text)).open("rb") as file:
            return decoder.recognises(file.read(decoder.HEAD))
    except OSError:
        return False


def _expanded(text: str) -> str:
    return os.path.expanduser(text)  # noqa: PTH111  (os.path's raises neither for no such user nor for a long text)


def _is_base64(text: str) -> bool:
    """Whether a text is a picture that is written as base64, with or without `data:` before it, by how it begins."""
    body = _body(text)
    try:
        return len(body) >= _SHORTEST_BASE64 and decoder.recognises(base64.b64decode(body[:20], validate=True))
    except ValueError:
        return False


def _body(text: str) -> str:
    return text.partition(",")[2] if text.startswith("data:image/") else text


def picture(cell: Any, place: str) -> Any:
    """A cell as `Encoder.images` takes it; one that holds no picture becomes an item that fails, named by its place."""
    if is_empty(cell) or (isinstance(cell, str) and not cell):
        return _failing(place, "empty", "the cell is empty")
    if isinstance(cell, bytes | bytearray | memoryview):
        return Named(place, lambda: bytes(cell))
    if isinstance(cell, np.ndarray) and not _is_picture_array(cell):
        shapes = "give uint8 (h, w), (h, w, 3) or (h, w, 4)"
        return _failing(place, "unsupported-format", f"an array of {cell.dtype} {cell.shape} is no picture: {shapes}")
    return _named(cell, place) if isinstance(cell, str) else cell


def _named(cell: str, place: str) -> Any:
    """A path, or a picture in base64."""
    if _URL.fullmatch(cell):
        return _failing(cell, "unreadable", "an address is not fetched: glimpse.automm.download(…) gives a file")
    if _is_base64(cell):
        return Named(place, lambda: _decoded(cell))
    is_path = len(cell) <= _LONGEST_PATH and not re.search("[\0\ud800-\udc7f\udd00-\udfff]", cell)
    return _expanded(cell) if is_path else _failing(place, "unreadable", "neither a path nor a picture in base64")


def _decoded(text: str) -> bytes:
    """What base64 says; decoded when it is its turn, for a column of photographs is gigabytes."""
    try:
        return base64.b64decode(_body(text))
    except ValueError as error:
        raise BadItem("truncated", "the base64 of the picture is cut short or damaged") from error


def _is_picture_array(array: "np.ndarray[Any, Any]") -> bool:
    return array.dtype == np.uint8 and array.size > 0 and (array.ndim == 2 or array.shape[2:] in {(3,), (4,)})  # noqa: PLR2004


def _failing(key: str, code: str, message: str) -> Named:
    def read() -> bytes:
        raise BadItem(code, message)

    return Named(key, read)
