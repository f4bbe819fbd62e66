"""The bytes of an item as a worker gets at them: opened, looked at, read, hashed; and every way in which that fails, named.

Knows no decoder.
"""

import hashlib
import io
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from stat import S_ISREG
from typing import Any, BinaryIO, cast

from glimpse.errors import BadItem
from glimpse.values import FAILURE_CODES
from glimpse.workers.window import Window

HEAD = 4096  # bytes that are enough to tell what a file is
STEP = 1 << 20  # bytes hashed at a time


class Content:
    """The bytes of an item: opened, looked at, read, hashed; what the file said of itself when it was opened.

    Attributes:
        size, mtime_ns: of the opened file, which may have changed since it was listed.
        seconds: spent reading and hashing.
        digest: SHA-256 of all bytes, empty before they were read.
    """

    def __init__(self, task: Mapping[str, Any]) -> None:
        self._task = task
        self.size, self.mtime_ns, self.seconds, self.digest = task["size"], -1, 0.0, b""
        self.file: BinaryIO

    @contextmanager
    def opened(self) -> Iterator[None]:
        """Have `file` open for a while.

        Raises:
            BadItem: "vanished" or "unreadable".
        """
        with self._counted(), _explained():
            self.file = self._open()
        with self.file:
            yield

    def _open(self) -> BinaryIO:
        task = self._task
        if task["inline"]:
            self.size = len(task["data"])
            return io.BytesIO(task["data"])
        if not S_ISREG(os.stat(task["path"]).st_mode):  # noqa: PTH116  (a pipe would be waited for)
            raise BadItem("unreadable", FAILURE_CODES["unreadable"])
        file = open(task["path"], "rb", buffering=0)  # noqa: PTH123, SIM115  (paths that are no text; `opened` closes it)
        found = os.fstat(file.fileno())
        if task["size"] < 0:
            self.size, self.mtime_ns = found.st_size, found.st_mtime_ns
            return cast("BinaryIO", file)
        return cast("BinaryIO", Window(cast("BinaryIO", file), task["offset"], task["size"]))

    @cached_property
    def head(self) -> bytes:
        """The first bytes."""
        with self._counted(), _explained():
            found = self.file.read(HEAD)
            self.file.seek(0)
        return found

    def read(self) -> bytes:
        """All bytes; the digest is known then.

        Raises:
            BadItem: "unreadable", "memory", or "truncated" where an archive ends before its member does.
        """
        with self._counted(), _explained():
            data = self.file.read()
            self.digest = hashlib.sha256(data).digest()
        if len(data) < self.size:
            raise BadItem("truncated", FAILURE_CODES["truncated"])
        return data

    def hash(self, alive: Callable[[], object]) -> None:
        """Make the digest without keeping the bytes, and leave the file at the place where it is."""
        made = hashlib.sha256()
        with self._counted(), _explained():
            place = self.file.tell()
            self.file.seek(0)
            while block := self.file.read(STEP):
                made.update(block)
                alive()
            self.file.seek(place)
        self.digest = made.digest()

    @contextmanager
    def _counted(self) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.seconds += time.perf_counter() - began


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise BadItem("vanished", FAILURE_CODES["vanished"]) from error
    except MemoryError as error:
        raise BadItem("memory", FAILURE_CODES["memory"]) from error
    except (OSError, ValueError) as error:
        raise BadItem("unreadable", FAILURE_CODES["unreadable"]) from error
