"""What a worker may use (memory, processor time, time), and what it may not do: reach a network, run programs, write files.

Knows no pictures. The system enforces all of it (`setrlimit(2)`, and on Linux `seccomp(2)`), so that it holds for a decoder that
was taken over by a hostile file too. What such a one still can: read what the person can read, empty files that the person may
write, and, where the system lets processes of one person into each other's memory (ptrace_scope 0, or root), get at the program.
"""

import contextlib
import ctypes
import os
import platform
import resource
import signal
import struct
import sys
from dataclasses import dataclass

GIGABYTE = 1024**3
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
        _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        _forbid(_FORBIDDEN.get(platform.machine(), ()))


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


# No network, no programs (Linux) --------------------------------------------------------------------------------------

_PR_SET_PDEATHSIG, _PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 1, 22, 38  # linux/prctl.h
_FILTER_MODE = 2  # linux/seccomp.h
_ERRNO, _ALLOW = 0x0005_0001, 0x7FFF_0000  # SECCOMP_RET_ERRNO with EPERM, SECCOMP_RET_ALLOW
_LOAD_WORD, _JUMP_IF_EQUAL, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06  # linux/bpf_common.h
_NUMBER, _ARCHITECTURE = 0, 4  # offsets in struct seccomp_data
_FOREIGN = 0x4000_0000  # where the numbers of the x32 interface begin

# socket, connect, bind, socketpair; execve, execveat; ptrace, process_vm_writev, kill, tkill, io_uring_setup;
# truncate, ftruncate; then unlink, rmdir, rename, link, symlink, mkdir, mknod, chmod, fchmod, chown and those of them that end in -at, -at2
_FORBIDDEN = {
    "x86_64": (
        0xC000003E, 41, 42, 49, 53, 59, 322, 101, 311, 62, 200, 425, 76, 77,
        87, 263, 84, 82, 264, 316, 86, 265, 88, 266, 83, 258, 133, 259, 90, 91, 268, 452, 92, 93, 94, 260,
    ),
    "aarch64": (
        0xC00000B7, 198, 203, 200, 199, 221, 281, 117, 271, 129, 130, 425, 45, 46,
        35, 38, 276, 37, 36, 34, 33, 52, 53, 452, 54, 55,
    ),
}  # fmt: skip
"""By machine: its AUDIT_ARCH, and the numbers of system calls that no decoder needs."""


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def _prctl(*arguments: object) -> int:
    return int(ctypes.CDLL(None).prctl(*arguments))


def _forbid(numbers: tuple[int, ...]) -> None:
    """Make system calls fail with EPERM (seccomp(2), a filter in classic BPF); a kernel without seccomp goes without."""
    if not numbers:
        return
    architecture, *calls = numbers
    checks = [(_LOAD_WORD, 0, 0, _ARCHITECTURE), (_JUMP_IF_EQUAL, 0, len(calls) + 2, architecture)]
    checks += [(_LOAD_WORD, 0, 0, _NUMBER), (_JUMP_IF_AT_LEAST, len(calls), 0, _FOREIGN)]
    checks += [(_JUMP_IF_EQUAL, len(calls) - 1 - place, 0, call) for place, call in enumerate(calls)]
    checks[-1] = (_JUMP_IF_EQUAL, 0, 1, calls[-1])
    program = [*checks, (_RETURN, 0, 0, _ERRNO), (_RETURN, 0, 0, _ALLOW)]
    packed = b"".join(struct.pack("HBBI", *one) for one in program)
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    _prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(_Program(len(program), packed)))
