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
from glimpse.values import Item

_SUFFIXES = frozenset((
    ".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".apng", ".gif", ".bmp", ".dib", ".webp", ".avif", ".avifs", ".tif", ".tiff", ".heic",
    ".heif", ".jp2", ".j2k", ".jpx", ".jxl", ".ppm", ".pgm", ".pbm", ".pnm", ".ico", ".tga", ".qoi", ".pcx", ".svg", ".psd", ".eps",
    ".dng", ".cr2", ".nef", ".arw",
))  # fmt: skip
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
    return isinstance(cell, bytes | bytearray | memoryview | os.PathLike | Image.Image | Item)


def looks_like_picture(text: str) -> bool:
    """Whether a text is spelt like the name of a picture file, or is a picture in base64."""
    if len(text) <= _LONGEST_PATH and os.path.splitext(text.partition("?")[0])[1].lower() in _SUFFIXES:  # noqa: PTH122
        return "\n" not in text
    return _base64_of(text) is not None


def is_picture_file(text: str) -> bool:
    """Whether there is a file by this name, and it is a picture or named in a way that no text is."""
    if not 0 < len(text) <= _LONGEST_PATH or "\0" in text:
        return False
    path = os.path.expanduser(text)  # noqa: PTH111  (os.path's functions raise neither for no such user nor for a long text)
    if not os.path.isfile(path):  # noqa: PTH113
        return False
    try:
        with Path(path).open("rb") as file:
            return os.sep in text or decoder.recognises(file.read(decoder.HEAD))
    except OSError:
        return True  # there is something, only not for us: it will fail by its name


def _base64_of(text: str) -> bytes | None:
    """The bytes of a picture that is written as base64, with or without `data:` before it."""
    body = text.partition(",")[2] if text.startswith("data:image/") else text
    if len(body) < _SHORTEST_BASE64:
        return None
    try:
        head = base64.b64decode(body[:20], validate=True)
    except ValueError:
        return None
    if not decoder.recognises(head):
        return None
    try:
        return base64.b64decode(body)
    except ValueError:
        return head  # of a picture, but the rest is not right: it will fail as truncated


def picture(cell: Any, place: str) -> Any:
    """A cell as `Encoder.images` takes it; one that holds no picture becomes an item that fails, named by its place."""
    if is_empty(cell) or (isinstance(cell, str) and not cell):
        return _failing(place, "empty", "the cell is empty")
    if isinstance(cell, bytes | bytearray | memoryview):
        return _item(place, bytes(cell))
    if not isinstance(cell, str):
        return cell
    if _URL.fullmatch(cell):
        return _failing(cell, "unreadable", "an address is not fetched: glimpse.automm.download(…) gives a file")
    data = _base64_of(cell)
    if data is None and len(cell) > _LONGEST_PATH:
        return _failing(place, "unreadable", "neither a path nor a picture in base64")
    return os.path.expanduser(cell) if data is None else _item(place, data)  # noqa: PTH111


def _item(key: str, data: bytes) -> Item:
    return Item(key, len(data), 0, lambda size=-1: data if size < 0 else data[:size])


def _failing(key: str, code: str, message: str) -> Item:
    def read(_: int = -1) -> bytes:
        raise BadItem(code, message)

    return Item(key, 0, 0, read)
