"""A web server on this machine that breaks off, stalls, lies and changes its mind. Knows nothing of glimpse."""

import contextlib
import re
import socket
import ssl
import struct
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Self
from urllib.parse import unquote, urlsplit


@dataclass(slots=True)
class Page:
    """A file as the server has it now.

    Attributes:
        etag: its ETag, as it is sent; nothing where it is empty.
        ranges: honour Range and If-Range; else they are ignored.
        headers: more of them.
    """

    data: bytes
    etag: str = '"one"'
    ranges: bool = True
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to one request instead of its answer.

    Attributes:
        raw: the bytes to send instead; nothing of ours is added.
        cut: send only so many bytes of the body.
        then: how the connection ends: "close", "reset", or "stall", which is silence until the server ends.
    """

    raw: bytes | None = None
    cut: int | None = None
    then: str = "close"


def answer(status: int, body: bytes = b"", **headers: str) -> Fault:
    """A whole answer, with its right length where no other is given; `Content_Range` is written for Content-Range."""
    lines = {name.replace("_", "-"): value for name, value in headers.items()}
    if not {"Content-Length", "Transfer-Encoding", "Connection"} & set(lines):
        lines["Content-Length"] = str(len(body))
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return Fault(f"HTTP/1.1 {status} As it is\r\n{head}\r\n".encode("latin-1") + body)


def chunked(*chunks: bytes, whole: bool = True, **headers: str) -> Fault:
    """An answer in chunks, with or without the last one, which says that it is over."""
    body = b"".join(b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in (*chunks, b"")[: None if whole else -1])
    return answer(200, body, Transfer_Encoding="chunked", **headers)


@dataclass(frozen=True, slots=True)
class Request:
    """One request that arrived."""

    path: str
    range: str | None
    if_range: str | None


@dataclass(slots=True)
class Web:
    """The server, as a context manager.

    Attributes:
        pages: path, decoded and without a query → file.
        faults: one is used up by each request, before the pages are asked; None lets a request through.
        requests: every request that arrived, in order.
        certificate: files of a certificate and its key: HTTPS.
    """

    pages: dict[str, Page] = field(default_factory=dict)
    faults: Iterator[Fault | None] = field(default_factory=lambda: iter(()))
    requests: list[Request] = field(default_factory=list)
    certificate: tuple[Path, Path] | None = None
    server: "_Server" = field(init=False)
    over: threading.Event = field(default_factory=threading.Event)

    def __enter__(self) -> Self:
        self.server = _Server(("127.0.0.1", 0), type("Bound", (_Handler,), {"web": self}))
        if self.certificate:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*self.certificate)
            # The handshake belongs to the thread of its own connection.
            self.server.socket = context.wrap_socket(self.server.socket, True, do_handshake_on_connect=False)
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()

    def has(self, path: str, data: bytes, etag: str = '"one"', *, ranges: bool = True, **headers: str) -> str:
        """Serve a file, and give its address."""
        lines = {name.replace("_", "-"): value for name, value in headers.items()}
        self.pages[_key(path)] = Page(data, etag, ranges, lines)
        return self.at(path)

    def at(self, path: str) -> str:
        """The address of a path, as a person would write it."""
        return f"{'https' if self.certificate else 'http'}://127.0.0.1:{self.server.server_port}{path}"

    def first(self, *faults: Fault | None) -> None:
        """What happens to the next requests, before all goes well."""
        self.faults = iter(faults)

    def always(self, faults: Iterable[Fault | None]) -> None:
        self.faults = iter(faults)

    def ranges(self) -> list[str | None]:
        """The Range of every request, in order."""
        return [request.range for request in self.requests]


def _key(path: str) -> str:
    return unquote(urlsplit(path).path) or "/"


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: object) -> None:
        """Print nothing: clients that hang up are part of the tests."""


class _Handler(BaseHTTPRequestHandler):
    web: Web

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_GET(self) -> None:
        path = _key(self.path)
        self.web.requests.append(Request(path, self.headers.get("Range"), self.headers.get("If-Range")))
        fault = next(self.web.faults, None) or Fault()
        sent = fault.raw if fault.raw is not None else self._answer(path, fault.cut)
        with contextlib.suppress(OSError):  # a client may have heard enough
            self.wfile.write(sent)
        if fault.then == "stall":
            self.web.over.wait(30)
        elif fault.then == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.rfile.close()
            self.connection.close()

    def _answer(self, path: str, cut: int | None) -> bytes:
        page = self.web.pages.get(path)
        if page is None:
            return answer(404).raw or b""
        status, body, headers = self._part(page)
        head = answer(status, **headers, **page.headers, Content_Length=str(len(body))).raw or b""
        return head + body[:cut]

    def _part(self, page: Page) -> tuple[int, bytes, dict[str, str]]:
        tag = {"ETag": page.etag} if page.etag else {}
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        if not (found and page.ranges and self.headers.get("If-Range", page.etag) == page.etag):
            return 200, page.data, tag
        start, size = int(found[1]), len(page.data)
        if start >= size:
            return 416, b"", {"Content-Range": f"bytes */{size}"}
        return 206, page.data[start:], tag | {"Content-Range": f"bytes {start}-{size - 1}/{size}"}
