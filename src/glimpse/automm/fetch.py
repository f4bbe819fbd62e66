"""An address → a file that is there whole or not at all, over connections that break. Knows only HTTP.

The standard library's client, because none of the usual ones goes on where a broken download stopped. What has arrived when
it gives up is kept, where the server can send the rest, under a hidden name that says which version of which address it is
part of, and the next call goes on from there (RFC 9110, §13.1.5: If-Range).
"""

import contextlib
import errno
import glob
import hashlib
import http.client
import itertools
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

CHUNK = 1 << 16
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
        path: where to put it: a file, or a folder that is there or ends in "/"; the working folder where it is None. In a folder it has the
            name that the address ends in.
        overwrite: fetch it although there is such a file. One whose SHA-1 is not `sha1_hash` is always fetched anew.
        sha1_hash: what its SHA-1 must be, in hexadecimal digits.
        retries: how often to try again, each time from where the connection broke.
        verify_ssl: check the server's certificate.

    Returns:
        The path of the file. Under that name there is only ever the whole file; where a download fails, the one before it.

    Raises:
        DownloadError: the server refused, could not be reached, broke off too often, or sent something else; or the file
            cannot be written.
        UsageError: an argument that cannot be right.
    """
    url = str(url).strip()
    host = _host(url)
    if retries < 0:
        raise UsageError(f"retries is {retries}: give a number from 0")
    if sha1_hash and not re.fullmatch(r"[0-9a-fA-F]{40}", sha1_hash):
        raise UsageError(f"{sha1_hash!r} is no SHA-1: give its 40 hexadecimal digits")
    with _on_disk(path or "the working folder"):
        target = _target(url, path)
        if overwrite or not target.exists() or (sha1_hash and _sha1(target) != sha1_hash.lower()):
            if not verify_ssl:
                warnings.warn(f"the certificate of {host} is not checked (verify_ssl=False)", stacklevel=2)
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
        host = parts.hostname if parts.scheme in {"http", "https"} and parts.port != 0 else None
    except ValueError:
        host = None
    if not host or re.search(r"[\x00-\x1f\x7f]", url):
        raise UsageError(f"{url!r} is no http or https address: check it")
    if "@" in parts.netloc:
        raise UsageError(f"the address on {host} names a user, and none is ever sent: fetch it by other means")
    return host


def _target(url: str, path: str | os.PathLike[str] | None) -> Path:
    # os.path's, because Path's raises where there is no such user.
    given = Path(os.path.expanduser(path or ""))  # noqa: PTH111
    is_folder = given.is_dir() or os.fspath(path or "").endswith(("/", os.sep))
    target = given / _name(url) if is_folder else given
    if "\0" in str(target) or (target.exists() and not target.is_file()):
        raise UsageError(f"{str(target)!r} is no path of a file: give another")
    return target


def _name(url: str) -> str:
    """What an address ends in, as the name of a file and of nothing else."""
    name = unquote(urlsplit(url).path).rpartition("/")[2]
    if name in {"", ".."} or Path(name).name != name or re.search(r"[\x00-\x1f\x7f\\]", name):
        raise UsageError(f"{url} does not end in a file's name: give a path that does")
    return name


@dataclass(frozen=True, slots=True)
class _Source:
    """An address, and how it is opened."""

    url: str
    opener: urllib.request.OpenerDirector

    def open(self, headers: Mapping[str, str]) -> Any:
        with _on_the_web(self.url):
            address = quote(self.url, safe="%/:=&?~#+!$,;'@()*[]")  # addresses are often given with spaces and umlauts
            always = {"Accept-Encoding": "identity", "User-Agent": "glimpse"}
            request = urllib.request.Request(address, headers=always | dict(headers))  # noqa: S310
            return self.opener.open(request, timeout=TIMEOUT)

    def chunks(self, response: Any) -> Iterator[bytes]:
        """What arrives, as it arrives: read() would keep it back till a whole chunk is there, and lose it on a break."""
        with _on_the_web(self.url):
            while chunk := response.read1(CHUNK):
                yield chunk


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects that stay on the web, and on HTTPS where they began there."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        to = urlsplit(newurl).scheme
        if to not in {"http", "https"} or (urlsplit(req.full_url).scheme == "https" and to == "http"):
            raise DownloadError(f"{req.full_url} redirects to {newurl}, which is not safe to follow: check the address")
        return super().redirect_request(req, fp, code, msg, headers, newurl)

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        try:
            return super().http_error_302(req, fp, code, msg, headers)
        except Exception:
            fp.close()  # which the standard library leaves open where a redirect leads nowhere
            raise

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _opener(*, verify: bool) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _Redirects())


# One file ---------------------------------------------------------------------------------------------------------------


def _fetch(source: _Source, target: Path, sha1_hash: str | None, retries: int) -> None:
    part = _Part(source.url, target)
    try:
        with terminal.byte_progress(target.name) as update:
            _attempts(source, part, retries, update)
        if sha1_hash and (found := _sha1(part.path)) != sha1_hash.lower():
            part.forget()
            raise DownloadError(
                f"{source.url} arrived with SHA-1 {found} instead of {sha1_hash}: check the address and the hash"
            )
        part.finish()
    finally:
        part.leave()


def _attempts(source: _Source, part: "_Part", retries: int, update: Callable[[int, int | None], None]) -> None:
    for failed in itertools.count():
        try:
            _attempt(source, part, update)
            return
        except _BrokeOff as error:
            if isinstance(error, _Mismatch):
                part.forget()
            if failed == retries:
                times = f", {retries + 1} times" if retries else ""
                raise DownloadError(f"{source.url} {error}{times}: try again later") from error
        time.sleep(min(LONGEST_WAIT, WAIT * 2 ** min(failed, 10)))


def _attempt(source: _Source, part: "_Part", update: Callable[[int, int | None], None]) -> None:
    """Fetch what is missing; raises where it is still not all there."""
    with source.open(part.wanted()) as response:
        if not part.can_resume(response):
            return _take(source, response, part, update)
    part.claim()  # what an earlier call has left: asked for again, from where it ends
    return _attempt(source, part, update)


def _take(source: _Source, response: Any, part: "_Part", update: Callable[[int, int | None], None]) -> None:
    total = part.begin(response)
    with part.path.open("ab") as file:
        for chunk in source.chunks(response):
            file.write(chunk)
            update(file.tell(), total)
    if total is not None and part.size < total:
        raise _BrokeOff("broke off")
    if total is not None and part.size > total:
        raise _Mismatch("sent more than it said")


class _Part:
    """What has arrived of a file, under a name of this call's own, and which version of it that is."""

    def __init__(self, url: str, target: Path) -> None:
        self.url = url
        self.target = target
        self.path = target.with_name(f".{target.name}.{os.getpid()}-{threading.get_ident()}.part")
        self.validator = ""  # a strong ETag, by which the server knows the version again
        self.in_vain = False  # the server was asked for the rest of what it still had, and sent all of it
        self.forget()

    @property
    def size(self) -> int:
        return self.path.stat().st_size if self.path.exists() else 0

    @property
    def left_over(self) -> Path:
        """Where a call that gives up leaves what it has of this version."""
        version = hashlib.sha1(f"{self.url}\n{self.validator}".encode(), usedforsecurity=False).hexdigest()[:12]
        return self.target.with_name(f".{self.target.name}.{version}.part")

    def wanted(self) -> dict[str, str]:
        """The headers that ask for what is missing; none where it must be everything."""
        if self.size and self.validator and not self.in_vain:
            return {"Range": f"bytes={self.size}-", "If-Range": self.validator}
        return {}

    def can_resume(self, response: Any) -> bool:
        """Whether an earlier call has left a part of what the server is about to send whole."""
        if self.size:
            return False
        self.validator = _validator(response)
        return self.left_over.exists()

    def claim(self) -> None:
        """Take over what was left; of two calls at once, one gets it, and the other starts over."""
        with contextlib.suppress(FileNotFoundError):
            self.left_over.replace(self.path)

    def begin(self, response: Any) -> int | None:
        """Make ready for the body: keep what there is if it goes on there, else start over. Returns the whole length."""
        if response.headers.get("Content-Encoding", "").lower() not in {"", "identity"}:
            raise DownloadError(f"{self.url} is sent compressed, which was not asked for: fetch it by other means")
        if response.status == http.HTTPStatus.PARTIAL_CONTENT:
            return self._go_on(response)
        if response.status != http.HTTPStatus.OK:
            raise DownloadError(f"{self.url} answered {response.status} instead of a file: check the address")
        self.in_vain = self.in_vain or (bool(self.wanted()) and _validator(response) == self.validator)
        self.forget()
        self.validator = _validator(response)
        return self._length(response)

    def _go_on(self, response: Any) -> int:
        place = re.fullmatch(r"bytes (\d{1,18})-\d+/(\d{1,18})", response.headers.get("Content-Range", ""))
        same = response.headers.get("ETag", self.validator) == self.validator
        if not place or int(place[1]) != self.size or not same:
            raise _Mismatch("sent another part than was asked for")
        return int(place[2])

    def _length(self, response: Any) -> int | None:
        length = response.headers.get("Content-Length")
        if length is None or response.chunked:
            return None
        if not re.fullmatch(r"\d{1,18}", length):
            raise DownloadError(f"{self.url} is sent with the length {length[:20]!r}: fetch it by other means")
        return int(length)

    def forget(self) -> None:
        self.path.unlink(missing_ok=True)

    def finish(self) -> None:
        """It is all there."""
        self.path.replace(self.target)
        self._clear()

    def leave(self) -> None:
        """Keep what another call could go on with; of what cannot be known again, nothing."""
        if self.wanted():
            self._clear()
            self.path.replace(self.left_over)
        self.forget()

    def _clear(self) -> None:
        """Remove what earlier calls have left."""
        for path in self.target.parent.glob(f".{glob.escape(self.target.name)}.{'[0-9a-f]' * 12}.part"):
            path.unlink(missing_ok=True)


def _validator(response: Any) -> str:
    """The version's name, where it is a strong one and the server gives parts."""
    tag = str(response.headers.get("ETag", ""))
    is_strong = re.fullmatch(r'"[!#-~\x80-\xff]*"', tag) and response.headers.get("Accept-Ranges") != "none"
    return tag if is_strong else ""


def _sha1(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.sha1(usedforsecurity=False)).hexdigest()


# What goes wrong --------------------------------------------------------------------------------------------------------


class _BrokeOff(Exception):
    """The connection ended before the file did, or something that may be over in a moment."""


class _Mismatch(_BrokeOff):
    """What has arrived is no part of what the server has: to begin anew."""


@contextlib.contextmanager
def _on_the_web(url: str) -> Iterator[None]:
    """Tell what may be over in a moment from what is final."""
    try:
        yield
    except urllib.error.HTTPError as error:
        error.close()
        raise _refusal(url, error.code) from None
    except urllib.error.URLError as error:
        if isinstance(error.reason, ssl.SSLCertVerificationError):
            raise DownloadError(
                f"the certificate of {url} is not to be trusted: check the address, or set verify_ssl=False if you know the server"
            ) from None
        raise _BrokeOff("cannot be reached") from error
    except (http.client.InvalidURL, ValueError):
        raise DownloadError(f"{url} is, or redirects to, what is no address: check it") from None
    except (OSError, http.client.HTTPException) as error:
        raise _BrokeOff("broke off") from error


def _refusal(url: str, code: int) -> Exception:
    if code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
        return _Mismatch(f"answered {code}")
    if code in _TRY_AGAIN:
        return _BrokeOff(f"answered {code}")
    if http.HTTPStatus.MULTIPLE_CHOICES <= code < http.HTTPStatus.BAD_REQUEST:
        return DownloadError(f"{url} redirects in a circle, or to what is no web address: check the address")
    return DownloadError(
        f"{url} answered {code} {http.client.responses.get(code, '')}".rstrip() + ": check the address"
    )


@contextlib.contextmanager
def _on_disk(where: str | os.PathLike[str]) -> Iterator[None]:
    """Turn what goes wrong on this side into one sentence."""
    try:
        yield
    except OSError as error:
        full = error.errno in {errno.ENOSPC, errno.EDQUOT}
        why = "the disk is full: make room" if full else f"{error.strerror or error}: check the path"
        raise DownloadError(f"{os.fspath(where)} cannot be written, {why}") from None
