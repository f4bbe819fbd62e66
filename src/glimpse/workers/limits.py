"""What a worker may use (memory, processor time, time), and what it may not do: reach a network, run programs, write files.

Knows no pictures. The system enforces all of it (`setrlimit(2)`, and on Linux `seccomp(2)`, see `syscalls.py`), so that it holds for
a decoder that was taken over by a hostile file too. What such a one still can: read what the person can read, and lie about the
picture that it was given.
"""

import contextlib
import os
import resource
import signal
import sys
from dataclasses import dataclass

from glimpse.workers import syscalls

GIGABYTE = 1024**3
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
PIXELS_PER_SECOND = 3_000_000  # of the slowest decoder on the slowest machine that is worth waiting for


@dataclass(frozen=True, slots=True)
class Limits:
    """What one worker may use.

    Attributes:
        memory: bytes of address space. 0: a share of what the machine has, 1 to 4 GB.
        cpu: seconds of processor time for an item (or between two frames of a film), and more for each pixel it has.
        wall: seconds of waiting for a sign of life.
        item: seconds for an item in all, however much life it shows: a film may take hours.
    """

    memory: int = 0
    cpu: float = 10.0
    wall: float = 120.0
    item: float = 24 * 3600.0

    @property
    def address_space(self) -> int:
        """Bytes of address space."""
        return self.memory or min(4 * GIGABYTE, max(GIGABYTE, _physical_memory() // (2 * (os.cpu_count() or 1))))


def _physical_memory() -> int:
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def confine(limits: Limits) -> None:
    """Give up, for good, what a worker does not need."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which ends its workers
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # a write then fails instead
    _lower(resource.RLIMIT_AS, limits.address_space)
    _lower(resource.RLIMIT_CORE, 0)
    _lower(resource.RLIMIT_FSIZE, 0)
    if sys.platform == "linux" and sys.maxsize > 2**32:
        syscalls.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        syscalls.forbid()


def allow_cpu(seconds: float) -> None:
    """Let the process use so much more processor time before the system ends it."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    _, hard = resource.getrlimit(resource.RLIMIT_CPU)
    soft = int(used.ru_utime + used.ru_stime + seconds) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (soft if hard == resource.RLIM_INFINITY else min(soft, hard), hard))


def _lower(what: int, to: int) -> None:
    _, hard = resource.getrlimit(what)
    limit = to if hard == resource.RLIM_INFINITY else min(to, hard)
    with contextlib.suppress(ValueError, OSError):  # macOS has no limit on address space
        resource.setrlimit(what, (limit, limit))
