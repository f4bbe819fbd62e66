"""Objects on servers, through fsspec: S3, Google Cloud Storage, HTTP, and whatever else it opens. A key is the full URL.

Credentials and endpoints are the libraries' own business (see docs/sources.md) and never stand in a key.
"""

import logging
import re
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from hashlib import blake2b
from typing import Any
from urllib.parse import urlsplit

from glimpse.errors import BadItem, MissingExtra, UsageError
from glimpse.sources import is_url
from glimpse.sources._rules import EVERYTHING, Rules, matches, split
from glimpse.sources.folder import key_of
from glimpse.values import FAILURE_CODES, Failure, Item, Region, Selection

MAX_BYTES = 512 << 20  # of one object; it is in memory as a whole
CONNECT, READ, WHOLE = (
    10.0,
    30.0,
    300.0,
)  # seconds until there is a connection, until the next bytes, until all is there
WAITS = (0.2, 1.0)  # seconds before asking a web server again; the libraries for stores do so themselves
_LOUD, _SILENCE = "gcsfs", logging.NullHandler()
_PIECE = 1 << 20
_PASSING = (408, 425, 429, 500, 502, 503, 504)
_HERE = ("file", "local", "dir", "memory", "data")  # what fsspec opens, too, but is on no server, or is made of others
_UNTRIED = ("ftp",)  # needs more than a URL to be opened, and prints what it stumbles over
_LAYERS = (
    "zip",
    "tar",
    "libarchive",
    "reference",
    "cached",
    "blockcache",
    "filecache",
    "simplecache",
    "generic",
    "dask",
)
_STAMPS = (
    "md5Hash",
    "ETag",
    "etag",
    "content_md5",
    "LastModified",
    "Last-Modified",
    "last_modified",
    "updated",
    "mtime",
    "modified",
)


def items(place: str, selection: Selection = EVERYTHING) -> Iterator[Item | Failure]:
    """One object, or all below a prefix that ends in a slash, or those that a glob matches; folder by folder, sorted.

    Only the names of one folder are in memory at a time.

    Raises:
        UsageError: there is no such object, the server refuses, or the URL cannot be right.
        MissingExtra: the library for this kind of server is not installed.
    """
    base, segments = _split(_checked(place))
    system = _system(base)
    several = base.endswith("/") or segments
    if several and _is_http(base):
        raise UsageError(
            f"{place}: a web server does not list what it has: name each URL, in a file or on standard input (-)"
        )
    try:
        found = {"type": "directory"} if several else _tried(lambda: system.info(base), _waits(base))
    except Exception as error:
        raise _refusal(base, error) from error
    if found["type"] == "directory":
        yield from _walk(system, base.rstrip("/"), Rules(selection, segments))
    elif Rules(Selection(selection.include, selection.exclude, hidden=True)).takes((base.rpartition("/")[2],)):
        yield _item(base, found)


def prefix(place: str) -> str:
    """The URL without slashes at its end; of a glob, up to the folder before its first *, ? or [."""
    return key_of(_split(place)[0].rstrip("/"))


def covers(place: str, key: str) -> bool:
    """Whether a key is the place's own or is below it; of a glob, whether the key or a folder above it matches."""
    base, segments = _split(place)
    top = key_of(base.rstrip("/"))
    if key == top:
        return not segments
    inner = [key_of(segment) for segment in segments]
    return key.startswith(f"{top}/") and matches(key.removeprefix(f"{top}/").split("/"), inner)


def region(_url: str) -> Region | None:
    """None: it is on a server."""
    return None


def read(url: str) -> bytes:
    """Fetch an object whole; what may pass is tried again.

    Raises:
        BadItem: "vanished", "unreadable" (as is what no library here opens), "timeout", or "memory" for more than MAX_BYTES.
    """
    try:
        url.encode()
        system = _system(url)
    except UnicodeEncodeError as error:
        raise BadItem("unreadable", "the URL is no UTF-8: write such bytes as %FF") from error
    except (UsageError, MissingExtra) as error:
        raise BadItem("unreadable", str(error)) from error
    fetch = (
        partial(_streamed, system, url) if _is_http(url) else partial(system.cat_file, url, start=0, end=MAX_BYTES + 1)
    )
    try:
        data = _tried(fetch, _waits(url))
    except Exception as error:
        if _status(error) == 416:  # noqa: PLR2004  (no bytes in that range: the object is empty)
            return b""
        raise _explained(error) from error
    if len(data) > MAX_BYTES:
        raise BadItem("memory", f"it has more than {MAX_BYTES >> 20} MB")
    return bytes(data)


def is_gone(url: str) -> bool:
    """Whether the server says that there is no such object; False where it does not answer or refuses, or cannot be asked."""
    try:
        url.encode()
        system = _system(url)
    except (UnicodeEncodeError, UsageError, MissingExtra):
        return False
    try:
        return bool(_tried(lambda: system.info(url), _waits(url))["type"] != "file")
    except Exception as error:  # noqa: BLE001  (each library has its own)
        return _explained(error).code == "vanished"


def item(url: str) -> Item:
    """An object as it is named; the server is not asked, so nothing is known of size and time.

    Raises:
        UsageError: the URL cannot be right.
    """
    where = _checked(url)
    return Item(key_of(where), -1, 0, ("remote", where))


def is_several(url: str) -> bool:
    """Whether a URL is written as a prefix or a glob."""
    return not _is_http(url) and (url.endswith("/") or bool(_split(url)[1]))


def _checked(url: str) -> str:
    """The URL with its scheme in small letters.

    Raises:
        UsageError: it is no server's, or has a password in it.
    """
    scheme, _, rest = url.partition("://")
    scheme = scheme.lower()
    if not is_url(url) or scheme in _HERE:
        raise UsageError(f"{url} is no place on a server: name the path")
    if scheme in _LAYERS or "::" in url:
        raise UsageError(f"{scheme}:// is no server: give the URL of the pictures themselves")
    try:
        password = urlsplit(url).password
    except ValueError as error:
        raise UsageError(f"{url} is no URL: check it") from error
    if not rest.strip("/"):
        raise UsageError(f"{url} names no server: check it")
    if scheme in _UNTRIED:
        raise UsageError(_unknown(scheme))
    if password is not None:
        raise UsageError(
            f"{scheme}://…@{rest.rpartition('@')[2]}: leave the password out, see docs/sources.md for where it goes"
        )
    return f"{scheme}://{rest}"


def _is_http(url: str) -> bool:
    return re.match(r"https?:", url, re.IGNORECASE) is not None


def _split(url: str) -> tuple[str, tuple[str, ...]]:
    """The part before a glob, with a slash at its end, and the glob. An address of the web has none: ? begins its query."""
    base, segments = (url, ()) if _is_http(url) else split(url, "/", lambda _: False)
    return (f"{base}/", segments) if segments else (base, ())


def _system(url: str) -> Any:
    """What speaks to this kind of server. fsspec keeps one for each process, and one for each thread where it must."""
    scheme = _checked(url).partition("://")[0]
    try:
        import fsspec  # noqa: PLC0415  (an extra)

        logging.getLogger(_LOUD).addHandler(_SILENCE)  # or it writes to standard error, as do those below it
        return fsspec.filesystem(scheme, use_listings_cache=False, **_options(scheme))
    except ImportError as error:
        raise MissingExtra(_missing(scheme)) from error
    except (ValueError, TypeError) as error:  # no such name, or one that needs more than the name
        raise UsageError(_unknown(scheme)) from error
    except Exception as error:
        raise _refusal(url, error) from error


def _options(scheme: str) -> dict[str, Any]:
    """The limits on time, as each library calls them."""
    if scheme in ("http", "https"):
        from aiohttp import ClientTimeout  # noqa: PLC0415  (an extra)

        return {"client_kwargs": {"timeout": ClientTimeout(total=WHOLE, connect=CONNECT, sock_read=READ)}}
    if scheme in ("s3", "s3a"):
        return {"config_kwargs": {"connect_timeout": CONNECT, "read_timeout": READ}}
    return {"requests_timeout": READ} if scheme in ("gs", "gcs") else {}


def _unknown(scheme: str) -> str:
    return f"there is no kind of server called {scheme}:// that could be opened: check the URL"


def _missing(scheme: str) -> str:
    own = {"http": "aiohttp", "https": "aiohttp", "s3": "s3fs", "s3a": "s3fs", "gs": "gcsfs", "gcs": "gcsfs"}
    if scheme in own:
        return f"{scheme}:// needs {own[scheme]}: pip install 'glimpse-search[remote]'"
    return f"{scheme}:// needs a library that is not installed: look for {scheme} in the documentation of fsspec"


def _walk(system: Any, top: str, rules: Rules) -> Iterator[Item | Failure]:
    left: list[tuple[str, ...]] = [()]  # folders to be looked into, the next one last
    while left:
        parts = left.pop()
        url = "/".join((top, *parts))
        try:
            found = system.ls(url, detail=True)
        except Exception as error:
            if not parts:
                raise _refusal(top, error) from error
            why = _explained(error)
            yield Failure(key_of(url), why.code, why.message)
            continue
        inner = []
        for name, info in _named(system, url, found):
            if info["type"] == "directory":
                inner += [(*parts, name)] if rules.enters((*parts, name)) else []
            elif rules.takes((*parts, name)):
                yield _item(f"{url}/{name}", info)
        left += reversed(inner)


def _named(system: Any, url: str, found: list[dict[str, Any]]) -> list[tuple[str, dict[str, Any]]]:
    """What a folder has, by name; an object that is called like the folder, as consoles make them, is left out."""
    above = f"{system._strip_protocol(url)}/"  # noqa: SLF001  (fsspec's word for its own names)
    named = ((info["name"].rstrip("/").removeprefix(above), info) for info in found if info["name"].startswith(above))
    return sorted(((name, info) for name, info in named if name and "/" not in name), key=lambda pair: pair[0])


def _item(url: str, info: dict[str, Any]) -> Item:
    size = info.get("size")
    return Item(key_of(url), -1 if size is None else int(size), _stamp(info), ("remote", url))


def _stamp(info: dict[str, Any]) -> int:
    """A number that is another one when the object changed, from what the server says of it; 0 where it says nothing."""
    said = next((str(info[name]) for name in _STAMPS if info.get(name)), "")
    return int.from_bytes(blake2b(said.encode(), digest_size=8).digest(), "big") >> 1 if said else 0


def _streamed(system: Any, url: str) -> bytes:
    """The body of an answer in pieces: servers may ignore a range that is asked for, and never end."""
    pieces, got = [], 0
    with system.open(url, block_size=0, size=1) as file:  # a size, though a wrong one, saves asking for it
        while got <= MAX_BYTES and (piece := file.read(_PIECE)):
            pieces.append(piece)
            got += len(piece)
    return b"".join(pieces)


def _tried(ask: Callable[[], Any], waits: Sequence[float] = ()) -> Any:
    """Ask, and ask again after a while where the answer may be another one."""
    for wait in waits:
        try:
            return ask()
        except Exception as error:
            if not _may_pass(error):
                raise
            time.sleep(wait)
    return ask()


def _waits(url: str) -> Sequence[float]:
    return WAITS if _is_http(url) else ()


def _may_pass(error: Exception) -> bool:
    status = _status(error)
    if status:
        return status in _PASSING
    return (
        _explained(error).code == "unreadable"
        and not isinstance(error, PermissionError)
        and not _is_about_credentials(error)
    )


def _status(error: BaseException) -> int:
    """The HTTP status an error is about, wherever its library keeps it; 0 for none."""
    for one in filter(None, (error, error.__cause__)):
        answer = getattr(one, "response", None)
        said = answer.get("ResponseMetadata", {}).get("HTTPStatusCode") if isinstance(answer, dict) else None
        status = str(said or getattr(one, "status", None) or getattr(one, "code", None))
        if status.isdigit():
            return int(status)
    return 0


def _is_about_credentials(error: BaseException) -> bool:
    kinds = [type(one) for one in filter(None, (error, error.__cause__))]
    names = " ".join(f"{kind.__module__}.{kind.__name__}" for kind in kinds).lower()
    return any(word in names for word in ("credential", "auth", "permission"))


def _explained(error: BaseException) -> BadItem:
    """Whatever a library raises → a code and a sentence; its own text may name secrets, or nothing a reader knows."""
    status, cause = _status(error), error.__cause__ or error
    if status in (404, 410) or (isinstance(error, FileNotFoundError) and not status and cause is error):
        return BadItem("vanished", "the server has no such object")
    if status in (401, 403) or _is_about_credentials(error):
        return BadItem("unreadable", "the server refuses: check the credentials and the permissions")
    if status:
        return BadItem("unreadable", f"the server answers with status {status}")
    if isinstance(error, MemoryError):
        return BadItem("memory", FAILURE_CODES["memory"])
    if any("timeout" in type(one).__name__.lower() for one in (error, cause)):
        return BadItem("timeout", "the server takes too long")
    return BadItem("unreadable", "the server cannot be reached, or broke off")


def _refusal(url: str, error: Exception) -> UsageError:
    why = _explained(error)
    fix = ": check the name" if why.code == "vanished" else ""
    return UsageError(f"{url}: {why.message}{fix}")
