"""What a worker may not ask of Linux, whatever took it over: a table of system calls, and the filter made of it (seccomp(2)).

Knows no limits on memory and time, and nothing of pictures. Other systems, and other machines than those of the table, go without.
"""

import ctypes
import os
import platform
import struct
import sys

_MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}  # column of the tables, AUDIT_ARCH
_ABSENT = -1  # 64-bit ARM has only the newer of two calls

_FORBIDDEN = {
    # a network, programs, processes
    "socket": (41, 198), "socketpair": (53, 199), "connect": (42, 203), "bind": (49, 200), "execve": (59, 221),
    "execveat": (322, 281), "fork": (57, _ABSENT), "vfork": (58, _ABSENT),
    # other processes
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "pidfd_open": (434, 434),
    "pidfd_getfd": (438, 438), "pidfd_send_signal": (424, 424), "tkill": (200, 130), "rt_sigqueueinfo": (129, 138),
    "rt_tgsigqueueinfo": (297, 240),
    # names of files
    "unlink": (87, _ABSENT), "unlinkat": (263, 35), "rename": (82, _ABSENT), "renameat": (264, 38), "renameat2": (316, 276),
    "symlink": (88, _ABSENT), "symlinkat": (266, 36), "link": (86, _ABSENT), "linkat": (265, 37), "mkdir": (83, _ABSENT),
    "mkdirat": (258, 34), "rmdir": (84, _ABSENT), "mknod": (133, _ABSENT), "mknodat": (259, 33),
    # files, by name or open
    "creat": (85, _ABSENT), "open_by_handle_at": (304, 265), "truncate": (76, 45), "ftruncate": (77, 46),
    "fallocate": (285, 47), "chmod": (90, _ABSENT), "fchmod": (91, 52), "fchmodat": (268, 53), "fchmodat2": (452, 452),
    "chown": (92, _ABSENT), "fchown": (93, 55), "lchown": (94, _ABSENT), "fchownat": (260, 54), "utime": (132, _ABSENT),
    "utimes": (235, _ABSENT), "futimesat": (261, _ABSENT), "utimensat": (280, 88), "setxattr": (188, 5), "lsetxattr": (189, 6),
    "fsetxattr": (190, 7), "removexattr": (197, 14), "lremovexattr": (198, 15), "fremovexattr": (199, 16),
    # ways around all this
    "io_uring_setup": (425, 425), "mount": (165, 40), "umount2": (166, 39), "unshare": (272, 97), "setns": (308, 268),
}  # fmt: skip
"""Calls that no decoder needs, with their numbers on x86_64 and aarch64: they fail with EPERM."""

_MISSING = {"clone3": (435, 435), "openat2": (437, 437)}
"""Calls with flags behind a pointer, where no filter sees them: they fail with ENOSYS, upon which libraries use the older ones."""

_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_CLONE_THREAD = 0x10000  # linux/sched.h
_F_SETOWN, _F_SETSIG, _F_SETOWN_EX = 8, 10, 15  # asm-generic/fcntl.h: have a signal sent to another process
_FIOSETOWN, _SIOCSPGRP = 0x8901, 0x8902  # asm-generic/sockios.h: likewise
_TIOCSTI, _TIOCLINUX = 0x5412, 0x541C  # asm-generic/ioctls.h: type into the user's terminal

_EPERM, _ENOSYS, _ALLOW = 0x0005_0001, 0x0005_0026, 0x7FFF_0000  # SECCOMP_RET_ERRNO with either, SECCOMP_RET_ALLOW
_LOAD_WORD, _IF_EQUAL, _IF_AT_LEAST, _IF_ANY_BIT, _RETURN = 0x20, 0x15, 0x35, 0x45, 0x06  # linux/bpf_common.h
_NUMBER, _ARCHITECTURE, _ARGUMENTS = 0, 4, 16  # offsets in struct seccomp_data
_FOREIGN = 0x4000_0000  # where the numbers of the x32 interface begin
_PR_SET_SECCOMP, _PR_SET_NO_NEW_PRIVS = 22, 38  # linux/prctl.h
_FILTER_MODE = 2  # linux/seccomp.h

_Instruction = tuple[int, int, int, int]  # what, instructions to skip if true, and if false, operand


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_char_p))


def prctl(*arguments: object) -> int:
    """Set what Linux keeps of this process, as the call of that name does."""
    return int(ctypes.CDLL(None).prctl(*arguments))


def forbid() -> None:
    """Make the calls fail from now on in this thread and those it starts; a kernel without seccomp goes without."""
    if platform.machine() not in _MACHINES or sys.maxsize < 2**32:
        return
    program = _program(*_MACHINES[platform.machine()])
    packed = b"".join(struct.pack("HBBI", *one) for one in program)
    prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    prctl(_PR_SET_SECCOMP, _FILTER_MODE, ctypes.byref(_Program(len(program), packed)))


def _program(column: int, architecture: int) -> list[_Instruction]:
    """The filter, in classic BPF: a call goes from one check to the next, until one of them knows it."""
    program = [(_LOAD_WORD, 0, 0, _ARCHITECTURE), (_IF_EQUAL, 1, 0, architecture), (_RETURN, 0, 0, _EPERM)]
    program += [(_LOAD_WORD, 0, 0, _NUMBER), (_IF_AT_LEAST, 0, 1, _FOREIGN), (_RETURN, 0, 0, _EPERM)]
    for table, answer in ((_FORBIDDEN, _EPERM), (_MISSING, _ENOSYS)):
        for numbers in table.values():
            program += _check(numbers[column], [(_RETURN, 0, 0, answer)])
    for numbers, checks in _by_argument():
        program += _check(numbers[column], checks)
    return [*program, (_RETURN, 0, 0, _ALLOW)]


def _check(number: int, then: list[_Instruction]) -> list[_Instruction]:
    return [] if number == _ABSENT else [(_IF_EQUAL, 0, len(then), number), *then]


def _by_argument() -> list[tuple[tuple[int, int], list[_Instruction]]]:
    """Calls that depend on what they are given, with their numbers as above."""
    me = os.getpid()  # `abort` sends a signal too
    return [
        ((2, _ABSENT), _look(1, _IF_ANY_BIT, [_WRITING], _EPERM, _ALLOW)),  # open
        ((257, 56), _look(2, _IF_ANY_BIT, [_WRITING], _EPERM, _ALLOW)),  # openat
        ((56, 220), _look(0, _IF_ANY_BIT, [_CLONE_THREAD], _ALLOW, _EPERM)),  # clone
        ((62, 129), _look(0, _IF_EQUAL, [me], _ALLOW, _EPERM)),  # kill
        ((234, 131), _look(0, _IF_EQUAL, [me], _ALLOW, _EPERM)),  # tgkill
        ((302, 261), _look(0, _IF_EQUAL, [0, me], _ALLOW, _EPERM)),  # prlimit64: limits of other processes
        ((72, 25), _look(1, _IF_EQUAL, [_F_SETOWN, _F_SETSIG, _F_SETOWN_EX], _EPERM, _ALLOW)),  # fcntl
        ((16, 29), _look(1, _IF_EQUAL, [_FIOSETOWN, _SIOCSPGRP, _TIOCSTI, _TIOCLINUX], _EPERM, _ALLOW)),  # ioctl
    ]


def _look(argument: int, condition: int, values: list[int], hit: int, otherwise: int) -> list[_Instruction]:
    """Decide by the low half of an argument (both machines are little-endian), all that the kernel itself reads of these."""
    program: list[_Instruction] = [(_LOAD_WORD, 0, 0, _ARGUMENTS + 8 * argument)]
    for value in values:
        program += [(condition, 0, 1, value), (_RETURN, 0, 0, hit)]
    return [*program, (_RETURN, 0, 0, otherwise)]
