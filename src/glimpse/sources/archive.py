"""Pictures and films in uncompressed tars, in place. A member's key is the tar's path, a slash and the member's name.

Members whose names are alike up to the first dot of the last part belong together, as in WebDataset
(https://github.com/webdataset/webdataset): what .json, .txt, .cls and their like hold becomes metadata of the pictures beside
them. Headers are read here and not by `tarfile`, which keeps every member in memory and takes a damaged tar for a short one.
"""

import json
import math
import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import lru_cache
from itertools import chain, groupby, islice
from pathlib import Path
from tarfile import (
    AREGTYPE,
    BLOCKSIZE,
    CONTTYPE,
    GNUTYPE_LONGLINK,
    GNUTYPE_LONGNAME,
    GNUTYPE_SPARSE,
    REGTYPE,
    SOLARIS_XHDTYPE,
    SUPPORTED_TYPES,
    XGLTYPE,
    XHDTYPE,
    HeaderError,
    TarInfo,
)
from typing import Any, BinaryIO, NamedTuple

from glimpse.errors import BadItem, UsageError
from glimpse.sources import folder
from glimpse.sources._rules import EVERYTHING, Rules
from glimpse.values import FAILURE_CODES, Failure, Item, Region, Selection

TEXTS = ("txt", "text", "caption", "transcript")  # these and the next, but for "caption", are WebDataset's own
NUMBERS = ("cls", "cls2", "class", "count", "index", "inx", "id")
OBJECTS = ("json", "jsn")
OTHERS = ("pyd", "pickle", "pth", "ten", "tb", "mp", "msg", "npy", "npz", "cbor")  # data, but no plain values
BESIDE = 1_000_000  # bytes of texts and the like for one group; what comes after is left out
GROUP = 1000  # members that are looked at together at most
HEADER = 1_000_000  # bytes of a long name or of extended attributes; there are no honest ones that are larger
_COMPRESSED = {b"\x1f\x8b": "gzip", b"BZh": "bzip2", b"\xfd7zXZ": "xz", b"(\xb5/\xfd": "zstd", b"\x04\x22M\x18": "lz4"}
_OF_NEXT = (XHDTYPE, SOLARIS_XHDTYPE)
_EXTENDED = (*_OF_NEXT, XGLTYPE, GNUTYPE_LONGNAME, GNUTYPE_LONGLINK)
_FURTHEST = 2**62  # a header's time may be any number, and has to fit in 64 bits


class Member(NamedTuple):
    """One regular file in a tar."""

    name: str
    offset: int
    size: int
    mtime_ns: int

    @property
    def key(self) -> str:
        """What its key has after the tar's: names with and without `./` are the same."""
        return folder.key_of(self.name.removeprefix("./"))

    @property
    def parts(self) -> list[str]:
        """Its name as `Rules` wants it."""
        return [part for part in self.name.split("/") if part not in ("", ".", "..")] or [""]

    @property
    def extension(self) -> str:
        """What comes after the first dot of the last part: "seg.png" of "a/b.seg.png"."""
        return self.name.removeprefix(self.group).removeprefix(".")

    @property
    def group(self) -> str:
        """What comes before it: "a/b" of "a/b.seg.png"."""
        above, slash, last = self.name.rpartition("/")
        first = last.find(".", 1)  # the dot of a hidden file begins no extension
        return above + slash + (last if first < 0 else last[:first])


def items(place: str, selection: Selection = EVERYTHING) -> Iterator[Item | Failure]:
    """The members of a tar, or of all tars that a glob matches, in the order in which they are there.

    Of members with the same name the last counts, as `tar` has it. A tar that is damaged or ends early gives what comes before
    that, and a failure under its own key; one without any file is a failure, too.

    Raises:
        UsageError: there is no such file, or it is compressed.
    """
    for tar in folder.items(place):
        if isinstance(tar, Failure):
            yield tar
        else:
            yield from _items(str(tar.origin[1]), tar, selection)


prefix = folder.prefix


def covers(place: str, key: str) -> bool:
    """Whether a key is that of a member, or the tar's own: no item has that one, but failures, which a tar that is whole ends.

    A folder's "unsupported-format" for a tar ends so, too, once the tar is indexed by its name.
    """
    return folder.covers(place, key)


def region(path: str, offset: int, size: int, _name: str) -> Region:
    """The member's bytes in the tar."""
    return Region(path, offset, size)


def read(path: str, offset: int, size: int, _name: str) -> bytes:
    """The member's bytes.

    Raises:
        BadItem: "vanished", "unreadable", "memory" or "truncated".
    """
    with folder.explained(), Path(path).open("rb") as file:
        file.seek(offset)
        data = file.read(size)
    if len(data) < size:
        raise BadItem("truncated", FAILURE_CODES["truncated"])
    return data


def is_gone(path: str, _offset: int, _size: int, name: str) -> bool:
    """Whether there is no such tar any more, or it is whole and has no member by this name."""
    if folder.is_gone(path):
        return True
    try:
        stat = Path(path).stat()
        names, whole = _names(path, stat.st_mtime_ns, stat.st_size)
    except OSError:
        return False
    return whole and name not in names


@lru_cache(maxsize=2)
def _names(path: str, _mtime_ns: int, _size: int) -> tuple[frozenset[str], bool]:
    """The names in a tar, and whether they are all that it has; time and size are there for the cache."""
    with Path(path).open("rb") as file:
        found = list(members(file))
    return frozenset(one.name for one in found if isinstance(one, Member)), not any(
        isinstance(one, BadItem) for one in found
    )


def _items(path: str, tar: Item, selection: Selection) -> Iterator[Item | Failure]:
    try:
        with folder.explained(), Path(path).open("rb") as file:
            _refuse_compressed(file, path)
            last, found = _replaced(file), members(file)
            if (first := next(found, None)) is None:
                yield Failure(tar.key, "empty", "the tar has no files in it")
                return
            for _, group in groupby(
                chain([first], found), key=lambda one: one.group if isinstance(one, Member) else None
            ):
                while some := list(islice(group, GROUP)):
                    yield from _together(file, tar, [one for one in some if not _is_old(one, last)], selection)
    except BadItem as error:
        yield Failure(tar.key, error.code, error.message)


def _replaced(file: BinaryIO) -> dict[int, int]:
    """Where the last of those members is that are there more than once, by the hash of their name.

    Of all names only the hashes are in memory, a number for each.
    """
    seen, last = set[int](), dict[int, int]()
    for member in members(file):
        if isinstance(member, Member):
            name = hash(member.key)
            if name in seen:
                last[name] = member.offset
            seen.add(name)
    return last


def _is_old(member: Member | BadItem, last: dict[int, int]) -> bool:
    """Whether a picture is there again further on; texts count for the pictures that they are beside."""
    if isinstance(member, BadItem) or not last or _is_beside(member):
        return False
    return last.get(hash(member.key), member.offset) != member.offset


def _refuse_compressed(file: BinaryIO, path: str) -> None:
    start = file.read(6)
    for magic, name in _COMPRESSED.items():
        if start.startswith(magic):
            raise UsageError(
                f"{path} is compressed ({name}): decompress it first, glimpse reads pictures where they are"
            )


def _together(
    file: BinaryIO, tar: Item, found: Sequence[Member | BadItem], selection: Selection
) -> Iterator[Item | Failure]:
    """The pictures of one group, each with what the group's texts and numbers say."""
    meant, beside = (
        Rules(selection),
        Rules(replace(selection, include=())),
    )  # who includes *.jpg still wants the captions
    metadata: dict[str, Any] = {}
    pictures: list[Member] = []
    room = BESIDE
    for member in found:
        if isinstance(member, BadItem):
            yield Failure(tar.key, member.code, member.message)
        elif not _is_beside(member):
            pictures += [member] if meant.allows(member.parts) else []
        elif member.size <= room and _kind(member) not in OTHERS and beside.allows(member.parts):
            room -= member.size
            file.seek(member.offset)
            metadata |= _facts(member, file.read(member.size))
    for member in pictures:
        yield _item(tar, member, metadata)


def _is_beside(member: Member) -> bool:
    return _kind(member) in (*TEXTS, *NUMBERS, *OBJECTS, *OTHERS)


def _kind(member: Member) -> str:
    return member.extension.rpartition(".")[2].lower()


def _item(tar: Item, member: Member, metadata: dict[str, Any]) -> Item:
    origin = ("archive", str(tar.origin[1]), member.offset, member.size, member.name)
    mtime_ns = member.mtime_ns or tar.mtime_ns  # some writers leave all times at zero
    return Item(f"{tar.key}/{member.key}", member.size, mtime_ns, origin, dict(metadata))


def _facts(member: Member, data: bytes) -> dict[str, Any]:
    """What a text, a number or an object says, by the name it goes under; what cannot be parsed says nothing."""
    text, name, kind = data.decode("utf-8", "replace"), member.extension.lower(), _kind(member)
    try:
        if kind in OBJECTS:
            value = _parsed(text)
            return value if isinstance(value, dict) else {name: value}
        return {name: int(text) if kind in NUMBERS else text}
    except (ValueError, RecursionError):
        return {name: text.strip()} if kind in NUMBERS else {}


def _parsed(text: str) -> Any:
    """JSON without what SQLite or other readers of JSON would refuse: infinite numbers, halves of characters."""
    value = json.loads(text, parse_constant=lambda _: None, parse_float=_finite)
    return json.loads(json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")) if "\\u" in text else value


def _finite(text: str) -> float | None:
    return float(text) if math.isfinite(float(text)) else None


def members(file: BinaryIO) -> Iterator[Member | BadItem]:
    """The regular files of a tar, in order; at last, where the tar is broken, how.

    A tar may end without the two empty blocks that mark its end, as `tar` itself allows. Python's `TarFile` would remember all
    members of a large tar, and read extended headers of any size; its `TarInfo` reads the headers here.
    """
    end = os.fstat(file.fileno()).st_size
    if not end:
        yield BadItem("empty", FAILURE_CODES["empty"])
    at, known = 0, dict[str, str]()  # what extended headers say of the member after them
    try:
        while at < end and (header := _header(file, at)):
            data = at + BLOCKSIZE + (_sparse_headers(file) if header.type == GNUTYPE_SPARSE else 0)
            size = _size(header, known)
            if data + size > end:
                raise EOFError  # noqa: TRY301  (one way out for all that ends early)
            if header.type in _EXTENDED:
                known |= _extended(header.type, file.read(min(size, HEADER + 1)))
            else:
                if _is_plain(header, known):
                    yield Member(known.get("path", header.name), data, size, _mtime_ns(header, known))
                known = {}
            at = data + -(-size // BLOCKSIZE) * BLOCKSIZE
    except EOFError:
        yield BadItem("truncated", FAILURE_CODES["truncated"])
    except (HeaderError, ValueError, OverflowError):
        yield BadItem("corrupt", FAILURE_CODES["corrupt"])


def _header(file: BinaryIO, at: int) -> TarInfo | None:
    """The header at a place, or None where the tar ends."""
    file.seek(at)
    block = file.read(BLOCKSIZE)
    if not block.strip(b"\0"):
        return None
    if len(block) < BLOCKSIZE and at:
        raise EOFError
    return TarInfo.frombuf(block, "utf-8", "surrogateescape")


def _sparse_headers(file: BinaryIO) -> int:
    """The bytes that GNU's headers of a file with holes take beyond the first; each says at its end whether one follows."""
    file.seek(-BLOCKSIZE, os.SEEK_CUR)
    more, taken = file.read(BLOCKSIZE)[482], 0
    while more:
        block = file.read(BLOCKSIZE)
        if len(block) < BLOCKSIZE:
            raise EOFError
        more, taken = block[504], taken + BLOCKSIZE
    return taken


def _size(header: TarInfo, known: dict[str, str]) -> int:
    """Bytes of data after a header; links, folders and devices have none, whatever their headers say."""
    if header.type not in _EXTENDED and header.type in SUPPORTED_TYPES and not header.isreg():
        return 0
    size = header.size if header.type in _EXTENDED else int(known.get("size", header.size))
    if size < 0:
        raise ValueError
    return size


def _is_plain(header: TarInfo, known: dict[str, str]) -> bool:
    return header.type in (REGTYPE, AREGTYPE, CONTTYPE) and not any(name.startswith("GNU.sparse.") for name in known)


def _mtime_ns(header: TarInfo, known: dict[str, str]) -> int:
    seconds = float(known.get("mtime", header.mtime))
    return max(0, min(int(seconds * 1e9), _FURTHEST)) if math.isfinite(seconds) else 0


def _extended(kind: bytes, data: bytes) -> dict[str, str]:
    r"""What a header for the next member holds: a long name, or pax's records "length key=value\n"."""
    if len(data) > HEADER:
        raise ValueError
    if kind == GNUTYPE_LONGNAME:
        return {"path": data.partition(b"\0")[0].decode("utf-8", "surrogateescape")}
    found, at = dict[str, str](), 0
    while kind in _OF_NEXT and at < len(data) and data[at]:
        space = data.index(b" ", at)
        length = int(data[at:space])
        if length <= space - at:
            raise ValueError
        key, _, value = data[space + 1 : at + length - 1].partition(b"=")
        found[key.decode("utf-8", "replace")] = value.decode("utf-8", "surrogateescape")
        at += length
    return found
