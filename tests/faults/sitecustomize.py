"""What a worker runs before anything else in the tests of workers: files that begin with FAULT: make its decoder fail in that way.

No picture is known that kills today's decoders; those of tomorrow have not been found yet.
"""

import ctypes
import json
import os
import signal
import sys
import time
from pathlib import Path

from glimpse.decoders import image

_real = image.opened


def _spin(_):
    while True:
        pass


def _say(nonsense):
    os.write(int(sys.argv[1]), nonsense)
    time.sleep(1000)


_STARTS = Path(os.environ.get("GLIMPSE_TEST_STARTS", os.devnull))
with _STARTS.open("a") as _file:  # now, for a worker may not write later
    _file.write("started\n")
_IS_FIRST = _STARTS.stat().st_size == len("started\n")


def _once(_):
    """Die the first time only: in the first worker that was started."""
    if _IS_FIRST:
        os.abort()
    return image.Image.new("RGB", (32, 32), "red")


def _odd(_):
    raise KeyError("0x7ffd1234abcd")


def _framed(text):
    return len(text).to_bytes(4, "big") + text


def _shrink(_):
    """Make the memory that is shared with the program smaller, and have it look there."""
    os.ftruncate(int(sys.argv[2]), 0)


def _frame(**facts):
    """Say that there is a picture, for the item that the program takes this worker to be at."""
    usual = {"slot": 0, "shape": [32, 32], "time": None, "digest": "00" * 32}
    return lambda number: _say(_framed(json.dumps({"id": int(number)} | usual | facts).encode()))


_FAULTS = {
    "segfault": lambda _: ctypes.string_at(0),
    "spin": _spin,
    "sleep": lambda _: time.sleep(1000),
    "killed": lambda _: signal.raise_signal(signal.SIGKILL),  # as the system does where memory is short
    "allocate": lambda _: bytearray(1 << 44),
    "babble": lambda _: _say(b"\xff" * 4096),
    "nested": lambda _: _say(_framed(b"[" * 60_000)),
    "half": lambda _: _say((5000).to_bytes(4, "big") + b"{"),
    "shrink": _shrink,
    "slot": _frame(slot=999_999),
    "infinite": lambda number: _say(_framed(b'{"id": %d, "slot": Infinity, "shape": [32, 32]}' % int(number))),
    "nan": lambda number: _say(
        _framed(b'{"id": %d, "slot": 0, "shape": [32, 32], "time": NaN, "digest": "%s"}' % (int(number), b"00" * 32))
    ),
    "shape": _frame(shape=[16, 16]),
    "once": _once,
    "odd": _odd,
}


def _opened(data):
    if not data.startswith(b"FAULT:"):
        return _real(data)
    kind, _, argument = data.removeprefix(b"FAULT:").decode().strip().partition(" ")
    return _FAULTS[kind](argument)


image.opened = _opened
