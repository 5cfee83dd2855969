import json
import platform
import subprocess
import sys

import pytest

from counterfoil.documents import confinement

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux lets a process give up its rights"
)

# Each is tried in a process of its own, after it gave up its rights; what it prints is what came of it.
TRIED = {
    "a socket of the internet": "socket.socket()",
    "a socket of this machine": "socket.socket(socket.AF_UNIX)",
    "a pair of sockets": "socket.socketpair()",
    "a new process": "os.fork() or os._exit(0)",
    "a bomb of processes": "[os.fork() or os._exit(0) for _ in range(20)]",
    "another program": "os.execv('/bin/true', ['true'])",
    "another program beside it": "subprocess.run(['/bin/true'])",
    "writing a new file": "open(folder + '/new', 'w')",
    "writing over a file": "open(folder + '/old', 'r+')",
    "adding to a file": "os.open(folder + '/old', os.O_WRONLY | os.O_APPEND)",
    "removing a file": "os.unlink(folder + '/old')",
    "renaming a file": "os.rename(folder + '/old', folder + '/other')",
    "a folder": "os.mkdir(folder + '/sub')",
    "a link": "os.symlink('/etc/passwd', folder + '/link')",
    "rights of a file": "os.chmod(folder + '/old', 0o777)",
    "ending its parent": "os.kill(os.getppid(), 9)",
    "times of a file": "os.utime(folder + '/old', (0, 0))",
    "notes on a file": "os.setxattr(folder + '/old', 'user.note', b'x')",
    "a signal to a thread of its parent": "call('tgkill', os.getppid(), os.getppid(), 0)",
    "a signal to a thread": "call('tkill', os.getppid(), 0)",
    "a signal with a value": "call('rt_sigqueueinfo', os.getppid(), 0, None)",
    "memory of its parent": "call('process_vm_readv', os.getppid(), None, 0, None, 0, 0)",
    "limits of its parent": "resource.prlimit(os.getppid(), resource.RLIMIT_CORE)",
    "the turn of its parent": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "a processor for its parent": "os.sched_setaffinity(os.getppid(), os.sched_getaffinity(0))",
    "memory shared with others": "call('shmget', 0, 4096, 0o600)",
    "another root": "os.chroot('/')",
}
# What no module of Python calls, by its number on this machine.
NUMBERS = {
    "tgkill": {"x86_64": 234, "aarch64": 131},
    "tkill": {"x86_64": 200, "aarch64": 130},
    "rt_sigqueueinfo": {"x86_64": 129, "aarch64": 138},
    "process_vm_readv": {"x86_64": 310, "aarch64": 270},
    "shmget": {"x86_64": 29, "aarch64": 194},
}
ALLOWED = {
    "reading a file": "open(folder + '/old').read()",
    "a thread": "[thread.start() or thread.join() for thread in [threading.Thread(target=int)]]",
    "memory within its limit": "len(bytearray(10 << 20))",
    "its own limits": "[resource.prlimit(pid, resource.RLIMIT_CORE) for pid in (0, os.getpid())]",
    "a signal to itself": "call('tgkill', os.getpid(), os.getpid(), 0)",
}


def outcome(statement, folder, setup="confinement.confine()"):
    """The name of the error that a statement ends with, or "done"; a signal's number where it ended the process."""
    code = (
        "import ctypes, json, os, resource, socket, subprocess, sys, threading\n"
        f"sys.path[:0] = {[path for path in sys.path if path]!r}\n"
        "from counterfoil.documents import confinement\n"
        f"folder, numbers = {str(folder)!r}, { {name: on[platform.machine()] for name, on in NUMBERS.items()} }\n"
        "libc = ctypes.CDLL(None, use_errno=True)\n"
        "def call(name, *arguments):\n"
        "    words = [ctypes.c_long(one or 0) for one in (numbers[name], *arguments)]\n"
        "    if libc.syscall(*words) < 0: raise OSError(ctypes.get_errno(), name)\n"
        f"{setup}\n"
        f"try:\n    {statement}\n    said = 'done'\n"
        "except BaseException as error:\n    said = type(error).__name__\n"
        "print(json.dumps(said), flush=True)\n"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    return json.loads(ended.stdout) if ended.stdout else ended.returncode


@pytest.mark.parametrize("name", TRIED)
def test_a_worker_gave_up(name, tmp_path):
    (tmp_path / "old").write_text("old")
    assert outcome(TRIED[name], tmp_path) == "PermissionError"
    assert [file.name for file in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"


@pytest.mark.parametrize("name", ALLOWED)
def test_a_worker_kept(name, tmp_path):
    (tmp_path / "old").write_text("old")
    limited = "confinement.limit(memory=50 << 20); confinement.confine()"
    assert outcome(ALLOWED[name], tmp_path, limited) == "done"


def test_without_giving_up_the_same_would_have_worked(tmp_path):
    (tmp_path / "old").write_text("old")
    for name in (
        "a socket of the internet",
        "writing a new file",
        "times of a file",
        "removing a file",
        "another program beside it",
        "a signal to a thread of its parent",
        "memory of its parent",
        "limits of its parent",
    ):
        assert outcome(TRIED[name], tmp_path, setup="") == "done"


def test_memory_is_refused_beyond_the_limit(tmp_path):
    assert outcome("bytearray(100 << 20)", tmp_path, "confinement.limit(memory=50 << 20)") == "MemoryError"


def test_no_file_grows_even_where_one_is_open(tmp_path):
    setup = "file = open(folder + '/old', 'w'); confinement.limit(memory=50 << 20)"
    assert outcome("file.write('x'); file.flush()", tmp_path, setup) == "OSError"


def test_processor_time_ends(tmp_path):
    assert outcome("while True: pass", tmp_path, "confinement.limit_cpu(0.2)") == -27  # SIGPROF


def test_processor_time_is_counted_from_now_on(tmp_path):
    spend = "import time; until = time.process_time() + 0.3\nwhile time.process_time() < until: pass"
    assert outcome("confinement.limit_cpu(0.2)", tmp_path, spend) == "done"


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_every_jump_of_the_filter_lands_within_it(machine):
    steps = confinement._filter(machine, own=1234)
    assert len(steps) < 4096
    for at, (code, yes, no, _) in enumerate(steps):
        if code in {confinement._EQUAL, confinement._AT_LEAST, confinement._ANY_BIT}:
            assert at + 1 + max(yes, no) < len(steps)
    assert steps[-1] == (confinement._ANSWER, 0, 0, confinement._ALLOW)


def test_a_system_that_takes_no_filter_is_told(monkeypatch):
    class Libc:
        @staticmethod
        def prctl(*_):
            return -1

    monkeypatch.setattr(confinement.ctypes, "CDLL", lambda *_, **__: Libc)
    with pytest.raises(OSError, match="does not let a process give up its rights"):
        confinement.confine()


def test_elsewhere_than_on_linux_only_resources_are_limited(monkeypatch):
    monkeypatch.setattr(confinement.sys, "platform", "darwin")
    monkeypatch.setattr(confinement.ctypes, "CDLL", None)
    confinement.confine()
