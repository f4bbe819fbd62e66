"""An address → a file that is there whole or not at all, over connections that break. Knows only HTTP.

The standard library's client, because none of the usual ones goes on where a broken download stopped. What has arrived when
it gives up is kept under a hidden name that says which version of which address it is part of, and the next call goes on from
there (RFC 9110, §13.1.5: If-Range).
"""

import contextlib
import errno
import hashlib
import http.client
import os
import re
import ssl
import threading
import time
import urllib.error
import urllib.request
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from glimpse import terminal
from glimpse.errors import DownloadError, UsageError

CHUNK = 1 << 20
TIMEOUT = 30.0  # seconds without a byte
WAIT = 0.5  # seconds before the second attempt, twice as long before each that follows
LONGEST_WAIT = 10.0
_TRY_AGAIN = {408, 425, 429, 500, 502, 503, 504}


def download(
    url: str,
    path: str | os.PathLike[str] | None = None,
    overwrite: bool = False,  # noqa: FBT001, FBT002  (AutoGluon's signature)
    sha1_hash: str | None = None,
    retries: int = 5,
    verify_ssl: bool = True,  # noqa: FBT001, FBT002
) -> str:
    """Fetch a file over HTTP or HTTPS.

    Args:
        url: its address; redirects are followed, from HTTPS only to HTTPS.
        path: where to put it: a file, or a folder that is there; the working folder where it is None. In a folder it has the
            name that the address ends in.
        overwrite: fetch it although there is such a file. One whose SHA-1 is not `sha1_hash` is always fetched anew.
        sha1_hash: what its SHA-1 must be, in hexadecimal digits.
        retries: how often to try again, each time from where the connection broke.
        verify_ssl: check the server's certificate.

    Returns:
        The path of the file. Under that name there is only ever the whole file.

    Raises:
        DownloadError: the server refused, could not be reached, broke off too often, or sent something else.
        UsageError: an address or a path that cannot be right.
    """
    host = _host(url)
    if retries < 0:
        raise UsageError(f"retries is {retries}: give a number from 0")
    if not verify_ssl:
        warnings.warn(f"the certificate of {host} is not checked (verify_ssl=False)", stacklevel=2)
    target = _target(url, path)
    if not target.exists() or overwrite or (sha1_hash and _sha1(target) != sha1_hash.lower()):
        target.parent.mkdir(parents=True, exist_ok=True)
        _fetch(_Source(url, _opener(verify=verify_ssl)), target, sha1_hash, retries)
    return str(target)


def _host(url: str) -> str:
    """The host of a web address.

    Raises:
        UsageError: it is none.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = urlsplit("")
    if parts.scheme.lower() not in {"http", "https"} or not parts.hostname:
        raise UsageError(f"{url!r} is no http or https address: check it")
    return parts.hostname


def _target(url: str, path: str | os.PathLike[str] | None) -> Path:
    # os.path's, because Path's raises where there is no such user.
    given = None if path is None else Path(os.path.expanduser(path))  # noqa: PTH111
    if given is not None and not given.is_dir():
        return given
    name = Path(unquote(urlsplit(url).path)).name
    if not name or "\0" in name or "\\" in name:
        raise UsageError(f"{url} does not end in a file's name: give a path")
    return (given or Path()) / name


@dataclass(frozen=True, slots=True)
class _Source:
    """An address, and how it is opened."""

    url: str
    opener: urllib.request.OpenerDirector

    def open(self, headers: Mapping[str, str]) -> Any:
        address = quote(self.url, safe="%/:=&?~#+!$,;'@()*[]")  # addresses are often given with spaces and umlauts
        request = urllib.request.Request(address, headers={"Accept-Encoding": "identity", **headers})  # noqa: S310
        return self.opener.open(request, timeout=TIMEOUT)


class _BrokeOff(Exception):
    """The connection ended before the file did, or something that may be over in a moment."""


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects that stay on the web, and on HTTPS where they began there."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        to = urlsplit(newurl).scheme.lower()
        if to not in {"http", "https"} or (urlsplit(req.full_url).scheme == "https" and to == "http"):
            raise DownloadError(f"{req.full_url} redirects to {newurl}, which is not safe to follow")
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener(*, verify: bool) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Redirects())


# One file ---------------------------------------------------------------------------------------------------------------


def _fetch(source: _Source, target: Path, sha1_hash: str | None, retries: int) -> None:
    part = _Part(target)
    try:
        with _explained(source.url, target), terminal.byte_progress(target.name) as update:
            _attempts(source, part, retries, update)
            if sha1_hash and (found := _sha1(part.path)) != sha1_hash.lower():
                part.forget()
                raise DownloadError(f"{source.url} arrived with SHA-1 {found} instead of {sha1_hash}: nothing was kept")
            part.path.replace(target)
    finally:
        part.leave()


def _attempts(source: _Source, part: "_Part", retries: int, update: Callable[[int, int | None], None]) -> None:
    for left in range(retries, -1, -1):
        try:
            return _attempt(source, part, update)
        except _BrokeOff as error:
            if not left:
                raise DownloadError(f"{source.url} {error}, {retries + 1} times: try again later") from error
            time.sleep(min(LONGEST_WAIT, WAIT * 2 ** (retries - left)))
    raise AssertionError("the loop ends by returning or raising")


def _attempt(source: _Source, part: "_Part", update: Callable[[int, int | None], None]) -> None:
    """Fetch what is missing; raises where it is still not all there."""
    with _temporary(part), source.open(part.wanted()) as response:
        if not part.can_resume(response):
            return _take(response, part, update)
    part.claim()  # what an earlier call has left: asked for again, from where it ends
    return _attempt(source, part, update)


def _take(response: Any, part: "_Part", update: Callable[[int, int | None], None]) -> None:
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise DownloadError(f"{response.url} is sent compressed, which was not asked for: fetch it by other means")
    total = part.begin(response)
    with part.path.open("ab") as file:
        while chunk := response.read(CHUNK):
            file.write(chunk)
            update(file.tell(), total)
    if total is not None and part.size < total:
        raise _BrokeOff("broke off")


class _Part:
    """What has arrived of a file, under a name of this call's own, and which version of it that is."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.part")
        self.validator = ""  # a strong ETag, by which the server knows the version again
        self.path.unlink(missing_ok=True)

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def left_over(self) -> Path:
        """Where a call that gives up leaves what it has of this version."""
        version = hashlib.sha1(self.validator.encode(), usedforsecurity=False).hexdigest()[:12]
        return self.target.with_name(f".{self.target.name}.{version}.part")

    def wanted(self) -> dict[str, str]:
        """The headers that ask for what is missing."""
        if self.size and self.validator:
            return {"Range": f"bytes={self.size}-", "If-Range": self.validator}
        return {}

    def can_resume(self, response: Any) -> bool:
        """Whether an earlier call has left a part of what the server is about to send whole."""
        self.validator = self.validator or _validator(response)
        return (
            response.status == http.HTTPStatus.OK and not self.size and bool(self.validator) and self.left_over.exists()
        )

    def claim(self) -> None:
        """Take over what was left; of two calls at once, one gets it, and the other starts over."""
        try:
            self.left_over.replace(self.path)
        except FileNotFoundError:
            self.path.touch()

    def begin(self, response: Any) -> int | None:
        """Make ready for the body: keep what there is if it goes on there, else start over. Returns the whole length."""
        whole = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", response.headers.get("Content-Range", ""))
        goes_on = response.status == http.HTTPStatus.PARTIAL_CONTENT and whole and int(whole[1]) == self.size
        if response.status == http.HTTPStatus.PARTIAL_CONTENT and not (
            goes_on and _validator(response) in {"", self.validator}
        ):
            self.forget()
            raise _BrokeOff("sent another part than was asked for")
        if whole and goes_on:
            return int(whole[2])
        self.forget()
        self.validator = _validator(response)
        length = response.headers.get("Content-Length", "")
        return int(length) if length.isdecimal() else None

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)

    def leave(self) -> None:
        """Keep what another call could go on with; of what cannot be known again, nothing."""
        if self.size and self.validator:
            self.path.replace(self.left_over)
        self.forget()


def _validator(response: Any) -> str:
    tag = str(response.headers.get("ETag", ""))
    return "" if tag.startswith("W/") else tag


def _sha1(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.sha1(usedforsecurity=False)).hexdigest()


# What goes wrong --------------------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _temporary(part: _Part) -> Iterator[None]:
    """Name what may be over in a moment."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            part.forget()
        elif error.code not in _TRY_AGAIN:
            raise
        raise _BrokeOff(f"answered {error.code}") from error
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise
        raise _BrokeOff("cannot be reached") from error
    except (http.client.HTTPException, TimeoutError, ConnectionError, ssl.SSLError) as error:
        raise _BrokeOff("broke off") from error


@contextlib.contextmanager
def _explained(url: str, target: Path) -> Iterator[None]:
    """Turn what is final into one sentence."""
    try:
        yield
    except urllib.error.HTTPError as error:
        raise DownloadError(f"{url} answered {error.code} {error.reason}: check the address") from None
    except urllib.error.URLError:
        raise DownloadError(
            f"the certificate of {url} is not to be trusted: check the address, or set verify_ssl=False if you know the server"
        ) from None
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        why = "the disk is full: make room" if full else f"{error.strerror or error}: check the path"
        raise DownloadError(f"{target} cannot be written, {why}") from None
