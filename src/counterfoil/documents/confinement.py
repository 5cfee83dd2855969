"""What a process gives up for good before it touches what a stranger wrote: sockets, other processes, writing, memory.

Linux: a seccomp filter, which needs no rights and can never be taken off again. It holds whether or not the process is
root, in containers too, where new namespaces are often refused. Elsewhere only the limits of resources hold.
Sources: seccomp(2), resource limits as in getrlimit(2), the system call tables of Linux for both machines.
"""

import ctypes
import errno
import os
import platform
import resource
import signal
import struct
import sys
from collections.abc import Iterator
from typing import Final

# The system calls that are refused with EPERM, and their numbers on both machines. io_uring could do the same unseen.
_REFUSED: Final = """
    name               x86_64  aarch64
    socket             41      198
    socketpair         53      199
    connect            42      203
    bind               49      200
    io_uring_setup     425     425
    execve             59      221
    execveat           322     281
    fork               57      -
    vfork              58      -
    ptrace             101     117
    process_vm_writev  311     271
    kill               62      129
    pidfd_send_signal  424     424
    unshare            272     97
    setns              308     268
    mount              165     40
    bpf                321     280
    creat              85      -
    truncate           76      45
    rename             82      -
    renameat           264     38
    renameat2          316     276
    mkdir              83      -
    mkdirat            258     34
    rmdir              84      -
    unlink             87      -
    unlinkat           263     35
    link               86      -
    linkat             265     37
    symlink            88      -
    symlinkat          266     36
    mknod              133     -
    mknodat            259     33
    chmod              90      -
    fchmod             91      52
    fchmodat           268     53
    chown              92      -
    lchown             94      -
    fchown             93      55
    fchownat           260     54
"""
# These say that they do not exist, so that the C library takes the older call, whose arguments a filter can see.
_ABSENT: Final = """
    name               x86_64  aarch64
    clone3             435     435
    openat2            437     437
"""
# Allowed but for some bits of one argument: a new process (no CLONE_THREAD), and opening a file in order to write.
_THREAD: Final = 0x10000
_WRITES: Final = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC
_SOME: Final = """
    name               x86_64  aarch64  argument
    open               2       -        1
    openat             257     56       2
"""
_CLONE: Final = {"x86_64": 56, "aarch64": 220}
_ARCHITECTURE: Final = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_OTHER_ABI: Final = 0x40000000  # calls of x32, which have numbers of their own on x86_64

# Classic BPF: load a word of the call, compare, answer.
_LOAD, _EQUAL, _AT_LEAST, _ANY_BIT, _ANSWER = 0x20, 0x15, 0x35, 0x45, 0x06
_NUMBER, _MACHINE, _ARGUMENTS = 0, 4, 16  # where they stand in seccomp_data
_ALLOW, _ERROR, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_NO_NEW_PRIVILEGES, _SECCOMP, _FILTER = 38, 22, 2  # of prctl(2)

Instruction = tuple[int, int, int, int]


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("body", ctypes.c_char_p))


def limit(*, memory: int) -> None:
    """Take at most so many bytes of memory from now on, write no file and leave no core."""
    resource.setrlimit(resource.RLIMIT_DATA, (memory, memory))
    resource.setrlimit(
        resource.RLIMIT_AS, (4 * memory, 4 * memory)
    )  # fonts and libraries are mapped beside it
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def limit_cpu(seconds: float) -> None:
    """Take at most so much processor time from now on, by whichever threads: then the process is ended by SIGPROF.

    A timer, since RLIMIT_CPU knows whole seconds alone, and only those since the process began.
    """
    signal.setitimer(signal.ITIMER_PROF, seconds)


def confine() -> None:
    """Give up sockets, new processes, signals to others and every change to files. Raises OSError where Linux refuses."""
    if sys.platform != "linux" or platform.machine() not in _ARCHITECTURE:
        return
    body = b"".join(struct.pack("HBBI", *step) for step in _filter(platform.machine()))
    program = _Program(len(body) // 8, body)
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*call):
            raise OSError(ctypes.get_errno(), "this system does not let a process give up its rights")


def _filter(machine: str) -> list[Instruction]:
    refused, absent = _ERROR | errno.EPERM, _ERROR | errno.ENOSYS
    steps = [
        (_LOAD, 0, 0, _MACHINE),
        (_EQUAL, 1, 0, _ARCHITECTURE[machine]),
        (_ANSWER, 0, 0, _KILL),
        (_LOAD, 0, 0, _NUMBER),
        (_AT_LEAST, 0, 1, _OTHER_ABI),
        (_ANSWER, 0, 0, refused),
    ]
    for number, _ in _rows(_REFUSED, machine):
        steps += [(_EQUAL, 0, 1, number), (_ANSWER, 0, 0, refused)]
    for number, _ in _rows(_ABSENT, machine):
        steps += [(_EQUAL, 0, 1, number), (_ANSWER, 0, 0, absent)]
    for number, argument in _rows(_SOME, machine):
        steps += _when(number, argument, _WRITES, bits=refused, none=_ALLOW)
    steps += _when(_CLONE[machine], 0, _THREAD, bits=_ALLOW, none=refused)
    return [*steps, (_ANSWER, 0, 0, _ALLOW)]


def _when(number: int, argument: int, mask: int, *, bits: int, none: int) -> list[Instruction]:
    """For one call: one answer where its argument has a bit of the mask, another where it has none."""
    return [
        (_EQUAL, 0, 4, number),
        (_LOAD, 0, 0, _ARGUMENTS + 8 * argument),
        (_ANY_BIT, 0, 1, mask),
        (_ANSWER, 0, 0, bits),
        (_ANSWER, 0, 0, none),
    ]


def _rows(table: str, machine: str) -> Iterator[tuple[int, int]]:
    """The numbers of a table's calls on a machine, and of an argument where it names one."""
    head, *rows = (line.split() for line in table.strip().splitlines())
    for row in rows:
        cells = dict(zip(head, row, strict=True))
        if cells[machine] != "-":
            yield int(cells[machine]), int(cells.get("argument", 0))
