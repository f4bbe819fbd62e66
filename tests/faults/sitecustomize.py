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


def _opened(data):
    if not data.startswith(b"FAULT:"):
        return _real(data)
    kind, _, argument = data.removeprefix(b"FAULT:").decode().strip().partition(" ")
    if kind == "segfault":
        ctypes.string_at(0)
    elif kind == "spin":
        while True:
            pass
    elif kind == "sleep":
        time.sleep(1000)
    elif kind == "killed":  # as the system does where memory is short
        os.kill(os.getpid(), signal.SIGKILL)
    elif kind == "allocate":
        bytearray(1 << 44)
    elif kind == "babble":
        os.write(int(sys.argv[1]), b"\xff" * 4096)
        time.sleep(1000)
    elif kind == "lie":
        os.write(int(sys.argv[1]), (38).to_bytes(4, "big") + b'{"id": 0, "slot": 999999, "shape": [1]}'[:38])
        time.sleep(1000)
    elif kind == "once":  # it dies the first time only
        if not Path(argument).exists():
            Path(argument).touch()
            os.abort()
        return image.Image.new("RGB", (32, 32), "red")
    elif kind == "odd":
        raise KeyError("0x7ffd1234abcd")
    raise AssertionError(kind)


image.opened = _opened
