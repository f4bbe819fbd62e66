"""Files, folders and globs of this machine. A file's key is its absolute path.

What a file is, its bytes say (see `decoders`): names are looked at only to leave out what nobody asked for.
"""

# ruff: noqa: PTH111, PTH112, PTH116, PTH118, PTH206  (ten million paths stay text, as the system gives them)

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from stat import S_ISREG

from glimpse.errors import BadItem, UsageError
from glimpse.sources._rules import EVERYTHING, Rules, matches, split
from glimpse.values import FAILURE_CODES, Failure, Item, Region, Selection

PathLike = str | os.PathLike[str]
_ESCAPED = re.compile(r"\\(?=x(?:00|5c|[89a-f][0-9a-f])|ud[89a-f][0-9a-f]{2})")
_HALVES = re.compile(r"[\ud800-\udc7f\udd00-\udfff]")  # of characters; the rest stand for bytes that are not UTF-8


def items(place: PathLike, selection: Selection = EVERYTHING) -> Iterator[Item | Failure]:
    """Every regular file of a place, in the order of their names, a folder's own before those of the folders in it.

    Links to files are followed, links to folders are not. A file that cannot be looked at has size -1: reading it says why.
    Only the names of one folder are in memory at a time.

    Raises:
        UsageError: as `root` does; of a glob, for the folder before its first *, ? or [.
    """
    base, segments = _split(place)
    if not segments:
        return items_at(base, selection)
    path = os.fspath(root(base))
    return _walk(path, Rules(selection, segments)) if os.path.isdir(path) else iter(())


def items_at(path: PathLike, selection: Selection = EVERYTHING) -> Iterator[Item | Failure]:
    """As `items`, of a path that is meant literally, whatever signs are in it.

    Raises:
        UsageError: as `root` does.
    """
    path = os.fspath(root(os.path.abspath(path)))  # noqa: PTH100  (resolve() follows links)
    return _walk(path, Rules(selection)) if os.path.isdir(path) else _named(path, selection)


def prefix(place: PathLike) -> str:
    """The key of the file or folder; of a glob, of the folder before its first *, ? or [."""
    return key_of(_absolute(_split(place)[0]))


def covers(place: PathLike, key: str) -> bool:
    """Whether a key is the place's own or is below it; of a glob, whether the key or a folder above it matches."""
    base, segments = _split(place)
    if not segments:
        return covers_path(_absolute(base), key)
    inside = os.path.join(key_of(_absolute(base)), "")
    parts = key.removeprefix(inside).split(os.sep)
    return key.startswith(inside) and matches(parts, [key_of(segment) for segment in segments])


def prefix_path(path: PathLike) -> str:
    """As `prefix`, of a path that is meant literally, and may be there no more."""
    return key_of(os.path.abspath(path))  # noqa: PTH100  (resolve() follows links)


def covers_path(path: PathLike, key: str) -> bool:
    """As `covers`, of a path that is meant literally, and may be there no more."""
    top = prefix_path(path)
    return key == top or key.startswith(os.path.join(top, ""))


def region(path: str) -> Region:
    """All of the file, whatever it is: who opens it finds out, in a process that may have to wait for a disk."""
    return Region(path)


def read(path: PathLike, size: int = -1) -> bytes:
    """Read a file whole, or its first bytes.

    Raises:
        BadItem: "vanished", "memory", or "unreadable" (as is what is no regular file).
    """
    with explained():
        if not S_ISREG(os.stat(path).st_mode):  # a pipe may never end
            raise BadItem("unreadable", FAILURE_CODES["unreadable"])
        with Path(path).open("rb") as file:
            return file.read(size)


@contextmanager
def explained() -> Iterator[None]:
    """What the system says while a file is read, as a code.

    Raises:
        BadItem: "vanished", "memory" or "unreadable".
    """
    try:
        yield
    except MemoryError as error:
        raise BadItem("memory", FAILURE_CODES["memory"]) from error
    except FileNotFoundError as error:
        raise BadItem("vanished", FAILURE_CODES["vanished"]) from error
    except (OSError, ValueError) as error:
        raise BadItem("unreadable", FAILURE_CODES["unreadable"]) from error


def is_gone(path: str) -> bool:
    """Whether there is no file by this name any more; one that cannot be asked about is not known to be gone."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError, ValueError):
        return True
    except OSError:
        return False
    return False


def allows(place: PathLike, path: PathLike, selection: Selection) -> bool:
    """Whether a file that may be there or not would be among the items of a place, told by names alone."""
    base, segments = _split(place)
    top, asked = _absolute(base), _absolute(path)
    if asked == top:
        return not segments and _takes_named(asked, selection)
    inside = os.path.join(top, "")
    return asked.startswith(inside) and Rules(selection, segments).allows(asked.removeprefix(inside).split(os.sep))


def root(place: PathLike) -> Path:
    """The absolute form of a place that there must be; links in it are kept as they are named.

    Raises:
        UsageError: there is no such file or folder, or it cannot be looked into.
    """
    path = Path(_absolute(place))
    try:
        os.lstat(path)
        if path.is_dir():
            os.scandir(path).close()
    except (FileNotFoundError, NotADirectoryError, ValueError) as error:
        raise UsageError(f"there is no file or folder {path}: check the name") from error
    except OSError as error:
        raise UsageError(f"{path} cannot be opened: check its permissions") from error
    return path


def item(path: PathLike) -> Item:
    """One file by its name; where there is none, or none can be looked at, reading it will say so."""
    where = os.fspath(path)
    try:
        stat = os.stat(where)
    except (OSError, ValueError):
        return Item(key_of(where), -1, 0, ("folder", where))
    return Item(key_of(where), stat.st_size, stat.st_mtime_ns, ("folder", where))


def key_of(path: PathLike) -> str:
    r"""A path as text that can be stored, another one for every path.

    Bytes that are not UTF-8, and NUL, are written as escapes, `\xff`, and halves of characters as `\ud800`; where a name has such an escape of its own, its
    backslash is written as one: `\x5cxff`.
    """
    text = _ESCAPED.sub(r"\\x5c", os.fspath(path)).replace("\0", r"\x00")
    text = _HALVES.sub(lambda half: f"\\u{ord(half[0]):04x}", text)
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def _absolute(place: PathLike) -> str:
    return os.path.abspath(os.path.expanduser(place))  # noqa: PTH100  (resolve() follows links)


def _split(place: PathLike) -> tuple[str, tuple[str, ...]]:
    return split(os.path.normpath(os.path.expanduser(place)), os.sep, os.path.lexists)


def _named(path: str, selection: Selection) -> Iterator[Item]:
    if _takes_named(path, selection):
        yield from _regular(path)


def _takes_named(path: str, selection: Selection) -> bool:
    """A file that is named is meant, hidden or not; patterns are about its last name."""
    return Rules(replace(selection, hidden=True)).takes((os.path.basename(path),))


def _walk(top: str, rules: Rules) -> Iterator[Item | Failure]:
    left: list[tuple[str, ...]] = [()]  # folders to be looked into, the next one last
    while left:
        parts = left.pop()
        folder = os.path.join(top, *parts)
        try:
            folders, names = _listed(folder)
        except FileNotFoundError:
            continue
        except OSError:
            yield Failure(key_of(folder), "unreadable", "the folder cannot be listed: check its permissions")
            continue
        for name in names:
            if rules.takes((*parts, name)):
                yield from _regular(os.path.join(folder, name))
        left += [(*parts, name) for name in reversed(folders) if rules.enters((*parts, name))]


def _listed(folder: str) -> tuple[list[str], list[str]]:
    """The names of the folders in a folder, and of all else; links to folders are no folders, so there are no loops."""
    folders, names = list[str](), list[str]()
    with os.scandir(folder) as entries:
        for entry in entries:
            (folders if entry.is_dir(follow_symlinks=False) else names).append(entry.name)
    return sorted(folders), sorted(names)


def _regular(path: str) -> Iterator[Item]:
    """The file as an item, unless it is a folder behind a link, a socket, a pipe or a device."""
    try:
        stat = os.stat(path)
    except OSError:
        yield Item(key_of(path), -1, 0, ("folder", path))
        return
    if S_ISREG(stat.st_mode):
        yield Item(key_of(path), stat.st_size, stat.st_mtime_ns, ("folder", path))
