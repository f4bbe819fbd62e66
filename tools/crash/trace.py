"""What strace saw of one folder, as events of `disk`; a call that the model does not know is an error, and not left out."""

import re
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from crash.disk import FOLDER, Cut, Event, Name, Said, Sync, Write
from crash.tally import Skipped

_CALLS = (
    "open,openat,openat2,creat,write,pwrite64,writev,pwritev,pwritev2,ftruncate,truncate,fallocate,fsync,fdatasync,"
    "sync_file_range,copy_file_range,sendfile,rename,renameat,renameat2,link,linkat,symlink,symlinkat,unlink,unlinkat,mkdir,mkdirat,mmap"
)
_LINE = re.compile(r"(\d+) +(\w+)\((.*)\) += (-?\d+|0x[0-9a-f]+)(.*)", re.DOTALL)
_UNFINISHED = re.compile(r"(\d+) +(.*) <unfinished \.\.\.>", re.DOTALL)
_RESUMED = re.compile(r"(\d+) +<\.\.\. \w+ resumed>(.*)", re.DOTALL)
_ARGUMENT = re.compile(r'(?:AT_FDCWD|\d+)<[^>]*>|"[^"]*"|\[[^\]]*\]|[^,\s][^,]*')


def under(output: Path) -> list[str]:
    """The command that another command has to be run by.

    Raises:
        Skipped: strace is not installed.
    """
    if not shutil.which("strace"):
        raise Skipped("strace is not installed (Debian: apt-get install strace)")
    options = ["-f", "--seccomp-bpf", "-y", "-xx", "-s", "100000000", "-e", "signal=none", "-e", f"trace={_CALLS}"]
    return ["strace", *options, "-o", str(output)]


def events(text: Iterable[str], folder: Path, log: Path, known: Iterable[str]) -> list[Event]:
    """What was done in a folder, and said in a log.

    Args:
        text: lines of strace.
        folder: nothing is followed outside of it, and not in folders below it.
        log: the witness's.
        known: names in the folder at the beginning, numbered as by `disk.held`.
    """
    reader = _Reader(folder, log, known)
    return [event for line in _whole(text) for event in reader.read(line)]


def _whole(lines: Iterable[str]) -> Iterator[str]:
    """Calls that were interrupted by another thread's in one piece, where they ended."""
    begun: dict[str, str] = {}
    for line in lines:
        if found := _UNFINISHED.match(line):
            begun[found[1]] = found[2]
        elif found := _RESUMED.match(line):
            yield f"{found[1]} {begun.pop(found[1])}{found[2]}"
        else:
            yield line


class _Reader:
    """Knows which file a name leads to at present."""

    def __init__(self, folder: Path, log: Path, known: Iterable[str]) -> None:
        self._folder, self._log = str(folder), str(log)
        self._numbers = {name: number for number, name in enumerate(known, FOLDER + 1)}
        self._last = max(self._numbers.values(), default=FOLDER)

    def read(self, line: str) -> Iterator[Event]:
        """What a line says, if it is about the folder or the log."""
        found = _LINE.match(line)
        if not found or found[4].startswith("-"):
            return
        call, arguments = found[2], _ARGUMENT.findall(found[3])
        path = next((path for path in map(_path, arguments) if self._is_ours(path)), None)
        if path == self._log and call == "write":
            yield Said(_bytes(arguments[1]).decode())
        elif path and path != self._log and not path.endswith("-shm"):  # which is made anew
            yield from self._understood(call, path, arguments)

    def _is_ours(self, path: str | None) -> bool:
        return path is not None and (path in {self._log, self._folder} or path.rpartition("/")[0] == self._folder)

    def _understood(self, call: str, path: str, arguments: list[str]) -> Iterator[Event]:
        name = path.rpartition("/")[2]
        if call in {"open", "openat"}:
            yield from self._opened(path, name, arguments)
        elif call in {"fsync", "fdatasync"}:
            yield Sync(FOLDER if path == self._folder else self._numbers[name])
        elif call == "pwrite64":
            yield Write(self._numbers[name], int(arguments[3]), _bytes(arguments[1]))
        elif call == "ftruncate":
            yield Cut(self._numbers[name], int(arguments[1]))
        elif call == "unlink":
            del self._numbers[name]
            yield Name(name, None)
        else:
            raise ValueError(f"the model does not know what {call} does to {path}")

    def _opened(self, path: str, name: str, arguments: list[str]) -> Iterator[Event]:
        if path != self._folder and name not in self._numbers:
            self._last += 1
            self._numbers[name] = self._last
            yield Name(name, self._last)
        if name in self._numbers and any("O_TRUNC" in argument for argument in arguments):
            yield Cut(self._numbers[name], 0)


def _path(argument: str) -> str | None:
    """The path that an argument names, or that its descriptor leads to."""
    if argument.startswith('"'):
        return _bytes(argument).decode(errors="replace")
    found = re.fullmatch(r"\d+<(.*)>", argument)
    return bytes.fromhex(found[1].replace("\\x", "")).decode(errors="replace") if found else None


def _bytes(argument: str) -> bytes:
    return bytes.fromhex(argument.strip('"').replace("\\x", ""))
