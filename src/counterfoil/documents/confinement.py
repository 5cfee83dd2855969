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

# The system calls that are refused with EPERM, and their numbers on both machines: networks (io_uring could do all that
# follows unseen), other programs, memory, signals and shares of other processes, what processes share, changes to files,
# the system itself. Reading files is not among them: libraries and fonts are read as they are needed.
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
    unshare            272     97
    setns              308     268
    ptrace             101     117
    process_vm_readv   310     270
    process_vm_writev  311     271
    process_madvise    440     440
    pidfd_getfd        438     438
    kcmp               312     272
    migrate_pages      256     238
    move_pages         279     239
    kill               62      129
    tkill              200     130
    rt_sigqueueinfo    129     138
    rt_tgsigqueueinfo  297     240
    pidfd_send_signal  424     424
    setpriority        141     140
    ioprio_set         251     30
    sched_setparam     142     118
    sched_setscheduler 144     119
    sched_setattr      314     274
    sched_setaffinity  203     122
    shmget             29      194
    shmat              30      196
    shmctl             31      195
    semget             64      190
    semop              65      193
    semtimedop         220     192
    semctl             66      191
    msgget             68      186
    msgsnd             69      189
    msgrcv             70      188
    msgctl             71      187
    mq_open            240     180
    mq_unlink          241     181
    creat              85      -
    open_by_handle_at  304     265
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
    fchmodat2          452     452
    chown              92      -
    lchown             94      -
    fchown             93      55
    fchownat           260     54
    utime              132     -
    utimes             235     -
    futimesat          261     -
    utimensat          280     88
    setxattr           188     5
    lsetxattr          189     6
    fsetxattr          190     7
    setxattrat         463     463
    removexattr        197     14
    lremovexattr       198     15
    fremovexattr       199     16
    removexattrat      466     466
    mount              165     40
    umount2            166     39
    open_tree          428     428
    move_mount         429     429
    mount_setattr      442     442
    fsopen             430     430
    fsconfig           431     431
    fsmount            432     432
    fspick             433     433
    pivot_root         155     41
    chroot             161     51
    swapon             167     224
    swapoff            168     225
    bpf                321     280
    perf_event_open    298     241
    userfaultfd        323     282
    add_key            248     217
    request_key        249     218
    keyctl             250     219
    ioperm             173     -
    iopl               172     -
    init_module        175     105
    finit_module       313     273
    delete_module      176     106
    kexec_load         246     104
    kexec_file_load    320     294
    reboot             169     142
    settimeofday       164     170
    clock_settime      227     112
    adjtimex           159     171
    clock_adjtime      305     266
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
# Allowed for the process itself alone: a signal, as where it ends itself, and limits. Nought is oneself to the second.
_OF_ITSELF: Final = """
    name               x86_64  aarch64
    tgkill             234     131
    prlimit64          302     261
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
    """Give up sockets, new processes, whatever touches others, and every change to files.

    Raises OSError where Linux refuses.
    """
    if sys.platform != "linux" or platform.machine() not in _ARCHITECTURE:
        return
    body = b"".join(struct.pack("HBBI", *step) for step in _filter(platform.machine(), os.getpid()))
    program = _Program(len(body) // 8, body)
    libc = ctypes.CDLL(None, use_errno=True)
    for call in ((_NO_NEW_PRIVILEGES, 1, 0, 0, 0), (_SECCOMP, _FILTER, ctypes.byref(program), 0, 0)):
        if libc.prctl(*call):
            raise OSError(ctypes.get_errno(), "this system does not let a process give up its rights")


def _filter(machine: str, own: int) -> list[Instruction]:
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
    for number, _ in _rows(_OF_ITSELF, machine):
        steps += [(_EQUAL, 0, 5, number), (_LOAD, 0, 0, _ARGUMENTS), (_EQUAL, 2, 0, own), (_EQUAL, 1, 0, 0)]
        steps += [(_ANSWER, 0, 0, refused), (_ANSWER, 0, 0, _ALLOW)]
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
