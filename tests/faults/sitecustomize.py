"""What a worker runs before anything else in the tests of workers: files that begin with FAULT: make its decoder fail in that way.

No picture is known that kills today's decoders; those of tomorrow have not been found yet.
"""

import ctypes
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


def _once(mark):
    """Die the first time only."""
    if not Path(mark).exists():
        Path(mark).touch()
        os.abort()
    return image.Image.new("RGB", (32, 32), "red")


def _odd(_):
    raise KeyError("0x7ffd1234abcd")


_LIE = b'{"id": 0, "slot": 999999, "shape": [1]}'
_FAULTS = {
    "segfault": lambda _: ctypes.string_at(0),
    "spin": _spin,
    "sleep": lambda _: time.sleep(1000),
    "killed": lambda _: os.kill(os.getpid(), signal.SIGKILL),  # as the system does where memory is short
    "allocate": lambda _: bytearray(1 << 44),
    "babble": lambda _: _say(b"\xff" * 4096),
    "lie": lambda _: _say(len(_LIE).to_bytes(4, "big") + _LIE),
    "once": _once,
    "odd": _odd,
}


def _opened(data):
    if not data.startswith(b"FAULT:"):
        return _real(data)
    kind, _, argument = data.removeprefix(b"FAULT:").decode().strip().partition(" ")
    return _FAULTS[kind](argument)


image.opened = _opened
