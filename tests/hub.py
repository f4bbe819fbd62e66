"""A hub on this machine: the few routes of the Hugging Face hub's API that its client needs, over real HTTP.

Serves folders as repositories, with revisions, ETags, Range, and large files on a second host, as the real one does.
Faults are switched on by the test, and every request is kept. Knows nothing of glimpse.
"""

import hashlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

LARGE = (".safetensors", ".bin", ".pt")  # what the real hub keeps apart, named by SHA-256


@dataclass(frozen=True, slots=True)
class Request:
    """One request that arrived."""

    method: str
    path: str
    range: str | None
    token: str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """An answer to give instead: to every request whose path contains `where`."""

    status: int
    where: str = ""
    code: str = ""  # the hub's X-Error-Code


@dataclass(slots=True)
class Hub:
    """The server, as a context manager; point HF_ENDPOINT at `endpoint`.

    Attributes:
        repositories: "org/name" → revision → folder.
        faults: answers to give instead of files.
        cut_after: break the connection off after so many bytes of a large file; `cuts` times, and
            have the fault `then` from there on.
        spoil: send the large files with their last byte changed.
    """

    repositories: dict[str, dict[str, Path]] = field(default_factory=dict)
    faults: list[Fault] = field(default_factory=list)
    cut_after: int | None = None
    cuts: int = 1
    then: Fault | None = None
    spoil: bool = False
    requests: list[Request] = field(default_factory=list)
    server: ThreadingHTTPServer = field(init=False)

    def __enter__(self) -> Self:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"hub": self}))
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.server.shutdown()
        self.server.server_close()

    @property
    def endpoint(self) -> str:
        """The address for HF_ENDPOINT."""
        return f"http://127.0.0.1:{self.server.server_port}"

    @property
    def large_files(self) -> str:
        """The same server by another name: another host, to which a token must not go."""
        return f"http://localhost:{self.server.server_port}"

    def asked_for(self) -> set[str]:
        """Names of the files that were asked for."""
        return {request.path.rsplit("/", 1)[-1] for request in self.requests if "/resolve/" in request.path}

    def ranges(self) -> list[str]:
        """Every Range that arrived, in order."""
        return [request.range for request in self.requests if request.range]


def commit_of(repository: str, revision: str) -> str:
    """The commit that a revision is at."""
    if re.fullmatch(r"[0-9a-f]{40}", revision):
        return revision
    return hashlib.sha1(f"{repository}@{revision}".encode()).hexdigest()


def etag_of(path: Path) -> str:
    """SHA-256 of a large file, git's SHA-1 of a small one."""
    if path.name.endswith(LARGE):
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    data = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Print nothing."""

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        headers = self.headers
        self.hub.requests.append(Request(self.command, path, headers.get("Range"), headers.get("Authorization")))
        fault = next((fault for fault in self.hub.faults if fault.where in path), None)
        if fault:
            self._send(fault.status, b"", {"X-Error-Code": fault.code} if fault.code else {})
        elif found := re.fullmatch(r"/api/models/([^/]+/[^/]+)(?:/revision/(.+))?", path):
            self._info(found[1], found[2] or "main")
        elif found := re.fullmatch(r"/([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path):
            self._resolve(*found.groups())
        elif found := re.fullmatch(r"/large/([^/]+/[^/]+)/([^/]+)/(.+)", path):
            self._large(*found.groups())
        else:
            self._send(404, b"", {})

    def _folder(self, repository: str, revision: str) -> Path | None:
        revisions = self.hub.repositories.get(repository)
        if revisions is None:
            self._send(404, b"", {"X-Error-Code": "RepoNotFound"})
            return None
        folder = {commit_of(repository, name): path for name, path in revisions.items()}.get(
            commit_of(repository, revision)
        )
        if folder is None:
            self._send(404, b"", {"X-Error-Code": "RevisionNotFound"})
        return folder

    def _info(self, repository: str, revision: str) -> None:
        folder = self._folder(repository, revision)
        if folder is None:
            return
        files = [{"rfilename": path.relative_to(folder).as_posix()} for path in folder.rglob("*") if path.is_file()]
        info: dict[str, Any] = {"id": repository, "sha": commit_of(repository, revision), "siblings": files}
        self._send(200, json.dumps(info).encode(), {"Content-Type": "application/json"})

    def _resolve(self, repository: str, revision: str, name: str) -> None:
        folder = self._folder(repository, revision)
        if folder is None:
            return
        path, commit = folder / name, commit_of(repository, revision)
        if not path.is_file():
            self._send(404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        elif name.endswith(LARGE):
            linked = {"X-Linked-Etag": f'"{etag_of(path)}"', "X-Linked-Size": str(path.stat().st_size)}
            place = {"Location": f"{self.hub.large_files}/large/{repository}/{commit}/{name}"}
            self._send(302, b"", {"X-Repo-Commit": commit} | linked | place)
        else:
            self._send(200, path.read_bytes(), {"X-Repo-Commit": commit, "ETag": f'"{etag_of(path)}"'})

    def _large(self, repository: str, commit: str, name: str) -> None:
        folder = self._folder(repository, commit)
        if folder is None:
            return
        data = (folder / name).read_bytes()
        if self.hub.spoil:
            data = data[:-1] + bytes([data[-1] ^ 1])
        found = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range") or "")
        start = int(found[1]) if found else 0
        ranged = {"Content-Range": f"bytes {start}-{len(data) - 1}/{len(data)}"} if found else {}
        self._send(206 if found else 200, memoryview(data)[start:], {"ETag": f'"{etag_of(folder / name)}"'} | ranged)

    def _send(self, status: int, body: bytes | memoryview, headers: Mapping[str, str]) -> None:
        self.send_response(status)
        for key, value in ({"Content-Length": str(len(body))} | dict(headers)).items():
            self.send_header(key, value)
        self.end_headers()
        if self.command == "HEAD":
            return
        if self.path.startswith("/large/") and self.hub.cut_after is not None and self.hub.cuts > 0:
            self.hub.cuts -= 1
            self.hub.faults += [self.hub.then] if self.hub.then else []
            self.wfile.write(body[: self.hub.cut_after])
            self.close_connection = True
            return
        self.wfile.write(body)
