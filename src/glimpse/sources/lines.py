r"""A list of places on standard input, one on each line: paths, URLs, tars, tables. Knows what no place is, only what stands in the list.

Where the beginning of the list has NULs in it they end the lines, as `find -print0` writes them.
"""

import codecs
import os
import re
import sys
from collections.abc import Iterator
from io import BufferedIOBase
from typing import NoReturn, cast

from glimpse.errors import BadItem, MissingExtra, UsageError
from glimpse.sources import folder, is_url, of_place, remote
from glimpse.sources._rules import EVERYTHING
from glimpse.values import FAILURE_CODES, Failure, Item, Region, Selection

CHUNK = 1 << 16  # bytes read at a time
LONGEST = 1 << 20  # bytes of a line; a list of anything else would fill the memory
_CONTROL = re.compile(rb"[\x01-\x08\x0b\x0c\x0e-\x1f\x7f]")  # all but tabs, the ends of lines, and NUL


def items(_place: str, selection: Selection = EVERYTHING) -> Iterator[Item | Failure]:
    """What each line names, in the order of the lines, while they come in. The list can be read once.

    A line that names nothing, or that cannot be right, or needs a library that is not installed, is a failure.

    Raises:
        UsageError: there is no standard input, or what comes in is no list.
    """
    if sys.stdin is None:
        raise UsageError("there is no standard input to read a list of places from: name the places")
    for line in _lines(cast(BufferedIOBase, sys.stdin.buffer)):
        yield from _items(os.fsdecode(line), selection)


def prefix(_place: str) -> str:
    """What no key begins with: NUL is written as an escape in keys."""
    return "\0"


def covers(_place: str, _key: str) -> bool:
    """False: another list may name the rest."""
    return False


def region(*_where: str | int) -> Region | None:
    """None: whatever is in a list is of another source."""
    return None


def read(*_where: str | int) -> NoReturn:
    """Not here: whatever is in a list is of another source."""
    raise BadItem("vanished", FAILURE_CODES["vanished"])


def is_gone(*_where: str | int) -> bool:
    """False: whatever is in a list is of another source."""
    return False


def _lines(stream: BufferedIOBase) -> Iterator[bytes]:
    """Whole lines, without their ends and the empty ones among them."""
    rest, end, is_first = b"", b"", True
    while chunk := stream.read1(CHUNK):
        if is_first and not _is_list(chunk):
            raise UsageError("standard input is no list of places: one path or URL a line")
        is_first = False
        end = end or (b"\0" if b"\0" in chunk else b"\n")
        *whole, rest = (rest + chunk).split(end)
        yield from filter(None, (line if end == b"\0" else line.rstrip(b"\r") for line in whole))
        if len(rest) > LONGEST:
            raise UsageError(f"standard input has a line of more than {LONGEST} bytes: give a list of places")
    if rest := rest.rstrip(b"\r\n" if end == b"\n" else b"\0"):
        yield rest


def _is_list(start: bytes) -> bool:
    """Whether this may begin a list. Names may be in any encoding, or have odd signs in UTF-8, but hardly both."""
    if not _CONTROL.search(start):
        return True
    try:
        codecs.getincrementaldecoder("utf-8")().decode(start)  # which does not mind a character that goes on
    except UnicodeDecodeError:
        return False
    return True


def _items(line: str, selection: Selection) -> Iterator[Item | Failure]:
    url = is_url(line)
    place = line if url else os.path.abspath(line)  # noqa: PTH100  (resolve() follows links)
    key = folder.key_of(place)
    if not url and folder.is_gone(place):
        yield Failure(key, "vanished", FAILURE_CODES["vanished"])
        return
    try:
        if url and not remote.is_several(line):
            yield remote.item(line)  # asking for each would take a list of a million a day
        else:
            yield from of_place(place).items(place, selection)
    except (UsageError, MissingExtra) as error:
        yield Failure(key, "unreadable", folder.key_of(str(error)))
