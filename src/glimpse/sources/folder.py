"""Files and folders of this machine. A file's key is its absolute path; hidden files and folders are left out.

What a file is, its bytes say (see `decoders`): names are not looked at.
"""

import contextlib
import os
import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from stat import S_ISDIR, S_ISREG

from glimpse.errors import BadItem, UsageError
from glimpse.values import FAILURE_CODES, Item


def root(place: str | os.PathLike[str]) -> Path:
    """The absolute form of a place that there must be; links in it are kept as they are named.

    Raises:
        UsageError: there is no such file or folder, or it cannot be looked into.
    """
    path = Path(os.path.abspath(os.path.expanduser(place)))  # noqa: PTH100, PTH111  (resolve() follows links)
    try:
        found = path.exists()
        if found and path.is_dir():
            os.scandir(path).close()
    except OSError as error:
        raise UsageError(f"{path} cannot be opened: check its permissions") from error
    if not found:
        raise UsageError(f"there is no file or folder {path}: check the name")
    return path


def items(place: Path) -> Iterator[Item]:
    """Every file at or below a place, folder by folder, in the order of their names.

    A folder that cannot be listed is an item too, which fails when it is read: what is in it is not known to be gone.
    """
    for path in [place] if not place.is_dir() else _walk(place):
        try:
            mode = path.stat().st_mode
        except OSError:
            yield item(path)  # reading it will say why
            continue
        if S_ISREG(mode) or S_ISDIR(mode):  # not a socket or a pipe, which may never end
            yield item(path)


def item(path: Path) -> Item:
    """One file; where there is none, reading it will say so."""
    size, mtime_ns = 0, 0
    with contextlib.suppress(OSError, ValueError):
        stat = path.stat()
        size, mtime_ns = stat.st_size, stat.st_mtime_ns
    return Item(key_of(path), size, mtime_ns, partial(read, path))


def read(path: str | os.PathLike[str], size: int = -1) -> bytes:
    """Read a file whole, or its first bytes.

    Raises:
        BadItem: "vanished", "memory", or "unreadable" (as is what is no regular file).
    """
    try:
        if not S_ISREG(Path(path).stat().st_mode):
            raise BadItem("unreadable", FAILURE_CODES["unreadable"])
        with Path(path).open("rb") as file:
            return file.read(size)
    except MemoryError as error:
        raise BadItem("memory", FAILURE_CODES["memory"]) from error
    except FileNotFoundError as error:
        raise BadItem("vanished", FAILURE_CODES["vanished"]) from error
    except (OSError, ValueError) as error:
        raise BadItem("unreadable", FAILURE_CODES["unreadable"]) from error


def key_of(path: Path) -> str:
    """A path as text; bytes that are not UTF-8 are written as escapes, `backslash xNN`."""
    return os.fspath(path).encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def is_gone(key: str) -> bool:
    """Whether there is no file by a key's name any more."""
    unescaped = re.sub(rb"\\x([89a-f][0-9a-f])", lambda found: bytes.fromhex(found[1].decode()), os.fsencode(key))
    return not os.path.lexists(key) and not os.path.lexists(unescaped)


def _walk(folder: Path) -> Iterator[Path]:
    closed: list[Path] = []
    # Does not follow links to folders, so there are no loops.
    for parent, folders, names in os.walk(folder, onerror=lambda error: closed.append(Path(error.filename))):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            if not name.startswith("."):
                yield Path(parent, name)
    yield from closed
