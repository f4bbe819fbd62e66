"""One worker as the program sees it: a process, the socket it talks through, and the memory it shares.

Knows what a worker may say and what becomes of it, not how items are shared out: that is the pool's.
"""

import fcntl
import json
import math
import mmap
import os
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from glimpse.workers.events import Frame, Job
from glimpse.workers.limits import Limits
from glimpse.workers.recipe import Recipe

DIGEST = 32  # bytes
PATIENCE = struct.pack(
    "ll", 20, 0
)  # seconds (struct timeval) that a message may take half-way, before the other end counts as dead
AHEAD = 4  # items a worker has beside the one it is at


@dataclass(slots=True)
class Process:
    """One process: what it works on, the memory it shares, and when it last gave a sign of life."""

    recipe: Recipe
    jobs: deque[Job] = field(default_factory=deque)
    was_ready: bool = False
    process: "subprocess.Popen[bytes]" = field(init=False)
    connection: Connection = field(init=False)
    memory: mmap.mmap = field(init=False)
    since: float = field(default_factory=time.monotonic)  # it said something, or was given something to do
    began: float = field(default_factory=time.monotonic)  # it turned to the item that it is at

    def __post_init__(self) -> None:
        """Start the process, tell it what to make."""
        ours, theirs = socket.socketpair()
        with theirs, tempfile.TemporaryFile() if not hasattr(os, "memfd_create") else _memory_file() as file:
            file.truncate(self.recipe.slots * self.recipe.slot_bytes)
            _seal(file)
            for limit in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
                ours.setsockopt(socket.SOL_SOCKET, limit, PATIENCE)
            self.memory = mmap.mmap(file.fileno(), self.recipe.slots * self.recipe.slot_bytes)
            handed = (theirs.fileno(), file.fileno())
            self.process = _spawn(handed)
        self.connection = Connection(ours.detach())
        with suppress(OSError):  # it is dead already, which is noticed when it is listened to
            self.connection.send_bytes(self.recipe.as_json())

    @property
    def is_alone(self) -> bool:
        """Whether it is at an item that is tried alone."""
        return bool(self.jobs) and self.jobs[0].alone

    @property
    def has_room(self) -> bool:
        """Whether it can take another item."""
        return len(self.jobs) <= AHEAD and not self.is_alone

    def take(self, job: Job) -> None:
        """Give it an item."""
        if not self.jobs:
            self.since = self.began = time.monotonic()
        self.jobs.append(job)
        where: dict[str, Any] = {"path": "", "offset": 0, "size": -1}
        if job.region:
            where = {"path": job.region.path, "offset": job.region.offset, "size": job.region.size}
        inline = job.region is None
        sampling = asdict(job.task.sampling) if job.task.sampling else None
        facts = {"known": job.task.known.hex(), "time": job.task.time, "sampling": sampling}
        self.tell(id=job.number, inline=inline, **facts, **where)
        if inline:
            with suppress(OSError):
                self.connection.send_bytes(job.data)

    def tell(self, **message: Any) -> None:
        """Say something to it."""
        with suppress(OSError):  # it is dead, which is noticed when it is listened to
            self.connection.send_bytes(json.dumps(message).encode())

    def heard(self) -> None:
        """Note that it is alive."""
        self.was_ready = True
        self.since = time.monotonic()

    def is_overdue(self, limits: Limits) -> bool:
        """Whether it has been at something for too long without a word, or for too long in all."""
        now = time.monotonic()
        return bool(self.jobs) and (now - self.since > limits.wall or now - self.began > limits.item)

    def frame(self, job: Job, said: dict[str, Any]) -> Frame:
        """Copy a picture out of the shared memory, and give the square back."""
        slot, (height, width) = int(said["slot"]), map(int, said["shape"])
        size = height * width * 3
        fits = 0 < size <= self.recipe.slot_bytes and height > 0
        if not (0 <= slot < self.recipe.slots and fits) or (self.recipe.rules and height != width):
            raise ValueError(slot)
        if self.recipe.rules and height != self.recipe.size:
            raise ValueError(height)
        values = np.frombuffer(self.memory, np.uint8, size, slot * self.recipe.slot_bytes)
        pixels = values.reshape(height, width, 3).copy()
        self.tell(free=slot)
        moment = None if said["time"] is None else sound(said["time"])
        digest = bytes.fromhex(said["digest"])
        if len(digest) != DIGEST:
            raise ValueError(digest)
        return Frame(job.task.item, digest, moment, pixels)

    def cause_of_death(self) -> str:
        """Why it stopped talking, as one of FAILURE_CODES."""
        with suppress(subprocess.TimeoutExpired):  # its socket is closed a little before it is dead
            self.process.wait(1.0)
        # SIGKILL is not ours at this point: the system takes the largest where memory is short.
        return {-signal.SIGXCPU: "timeout", -signal.SIGKILL: "memory"}.get(self.process.returncode, "crashed")

    def end(self) -> None:
        """Make sure that it is gone; it has nothing to lose."""
        self.connection.close()
        self.process.kill()
        self.process.wait()


def _memory_file() -> Any:
    """Memory that is nowhere in the file system, so that nothing is left whatever happens."""
    return open(os.memfd_create("glimpse", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING), "r+b", buffering=0)  # noqa: PTH123  (a descriptor; the caller closes it)


def _seal(file: Any) -> None:
    """Fix the size of the memory: a worker that made it smaller would have the program die where it looks (Linux)."""
    if hasattr(fcntl, "F_ADD_SEALS"):
        with suppress(OSError):  # a plain file, where there is no such memory
            fcntl.fcntl(file, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)


def sound(number: Any) -> float:
    """A finite number, as a worker should say.

    Raises:
        ValueError: it is none.
    """
    found = float(number)
    if not math.isfinite(found):
        raise ValueError(number)
    return found


def _spawn(handed: tuple[int, int]) -> "subprocess.Popen[bytes]":
    """Start a worker: a Python of its own, for the program may have threads that do not survive a fork."""
    paths = os.pathsep.join(path for path in sys.path if path)
    alone = dict.fromkeys(
        ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"), "1"
    )  # their threads' stacks would count as memory
    quiet = None if "GLIMPSE_TRACEBACK" in os.environ else subprocess.DEVNULL
    return subprocess.Popen(  # noqa: S603  (this very Python, and numbers)
        [sys.executable, "-P", "-m", "glimpse.workers.child", *map(str, handed)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=quiet,
        pass_fds=handed,
        env=os.environ | alone | {"PYTHONPATH": paths},
    )
