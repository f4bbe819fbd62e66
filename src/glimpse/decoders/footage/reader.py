"""The file as FFmpeg reads it. Knows bytes, and nothing of what they mean."""

from typing import BinaryIO

from glimpse.decoders.footage.failures import bad
from glimpse.errors import BadItem


class Reader:
    """A file that, where it cannot be read, ends, and remembers why, for FFmpeg would hide it.

    Attributes:
        failed: whether a read failed.
        size: bytes.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.failed = False
        self.size = max(self.seek(0, 2), 0)

    def read(self, count: int = -1) -> bytes:
        """As of files; nothing where that fails."""
        try:
            return self._file.read(count)
        except (OSError, ValueError):
            self.failed = True
            return b""

    def seek(self, offset: int, whence: int = 0) -> int:
        """As of files; -1 where that fails."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            self.failed |= whence != 0 or offset >= 0  # FFmpeg may ask for nonsense
            return -1

    def tell(self) -> int:
        """As of files."""
        return self._file.tell()

    def peek(self, offset: int, count: int) -> bytes:
        """So many bytes from a place on."""
        self.seek(offset)
        return self.read(count)

    def failure(self) -> BadItem | None:
        """What to raise where a read failed."""
        return bad("unreadable") if self.failed else None
