"""A part of a file as a file of its own: a member of an archive, for a decoder that wants to seek. Knows no archives."""

import io
import os
from typing import BinaryIO


class Window(io.RawIOBase):
    """`size` bytes of a file from `offset` on; closing it closes the file."""

    def __init__(self, file: BinaryIO, offset: int, size: int) -> None:
        self._file, self._offset, self._size, self._place = file, offset, size, 0

    def readable(self) -> bool:
        """Yes."""
        return True

    def seekable(self) -> bool:
        """Yes."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Go to a place within the window."""
        start = {os.SEEK_SET: 0, os.SEEK_CUR: self._place, os.SEEK_END: self._size}[whence]
        self._place = max(0, start + offset)
        return self._place

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # RawIOBase's says Buffer, which 3.11 has not
        """Read up to the end of the window."""
        self._file.seek(self._offset + self._place)
        found = self._file.read(max(0, min(len(buffer), self._size - self._place)))
        buffer[: len(found)] = found
        self._place += len(found)
        return len(found)

    def close(self) -> None:
        """Close the file too."""
        self._file.close()
        super().close()
