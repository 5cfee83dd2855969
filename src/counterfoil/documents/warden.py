"""Starts worker processes, hands them jobs, and ends them when they take too long or too much.

A worker has no network, starts nothing, writes nothing and sees none of our environment (confinement.py, cell.py). A
template's files are written anew into a fresh folder, which no symbolic link can be in. So a hostile template costs its
own document and two seconds of one processor, and nothing else.
"""

import os
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from cryptography.x509 import Certificate

import counterfoil
from counterfoil.documents import cell, receipt_signing, typesetting
from counterfoil.documents.receipt_signing import Verdict
from counterfoil.documents.template import Template, TemplateError
from counterfoil.documents.typesetting import Job

MB: Final = 1024 * 1024
START_S: Final = 20.0  # a quarter of a second when nothing else runs
JOBS: Final = 1_000  # then a worker is replaced, whatever it may have gathered
MAX_ANSWER: Final = 64 * MB
_CHUNK: Final = 256 * 1024
_COMPLAINT: Final = 2_000  # bytes
_SOURCES: Final = Path(counterfoil.__file__).parents[1]
_BEGIN: Final = "import sys; sys.path.insert(0, sys.argv[1]); from counterfoil.documents import cell; cell.main(*sys.argv[2:])"
_NOWHERE: Final = "http://127.0.0.1:9"  # where a worker that could still reach a network is sent first
_ENVIRONMENT: Final[Mapping[str, str]] = {
    "RAYON_NUM_THREADS": "1",  # a worker is one core; there are as many workers as cores
    "MALLOC_ARENA_MAX": "1",
    "LANG": "C.UTF-8",
    "ALL_PROXY": _NOWHERE,
    "HTTPS_PROXY": _NOWHERE,
}


@dataclass(frozen=True, slots=True)
class Limits:
    """What a worker may take: processor and wall time for a job, and memory, not counting what is mapped from files."""

    cpu_s: float
    wall_s: float
    memory: int


# Ours may be long: a receipt of a thousand lines takes two seconds and 160 MB.
OURS: Final = Limits(cpu_s=60.0, wall_s=60.0, memory=1024 * MB)
# What a page needs is 0.05 s and 35 MB. Libraries and fonts come to 40 MB beside it, so that all stays under 200. Wall time
# leaves room for a machine that has much else to do: a template does nothing but compute.
THEIRS: Final = Limits(cpu_s=1.2, wall_s=10.0, memory=150 * MB)


class Worker:
    """One worker, for the built-in templates or for one of an operator's. Used by one thread at a time.

    Raises OSError where it cannot be started, or the template's files cannot be written.
    """

    def __init__(self, template: Template | None = None, limits: Limits | None = None) -> None:
        self._limits = limits or (THEIRS if template else OURS)
        self._own = Path(tempfile.mkdtemp(prefix="counterfoil-")) if template else None
        self._jobs = 0
        try:
            if template and self._own:
                _write(template, self._own)
            self._process = self._start(self._own or typesetting.BUILT_IN)
        except OSError:  # no room for the files, or for another process
            self._remove()
            raise
        if self._answer(time.monotonic() + START_S) != cell.READY:
            complaint = self._complaint()
            self.close()
            raise OSError(f"a worker for documents did not start: {complaint}")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def usable(self) -> bool:
        return self._process.poll() is None and self._jobs < JOBS

    def pdf(self, job: Job) -> bytes:
        """The file. Raises TemplateError where the template is wrong or takes too much; in that case the worker ends."""
        return cell.understood(self._ask(cell.to_set(job)))

    def page(self, main: str, given: Mapping[str, Any]) -> str:
        """The page that a file of the template makes of these values. Raises TemplateError as `pdf` does."""
        return cell.understood(self._ask(cell.to_draw(main, given))).decode()

    def verdict(self, pdf: bytes, known: Collection[Certificate]) -> Verdict:
        """What `receipt_signing.verify` says. A file that breaks its reader is none that we signed."""
        receipt_signing.require()
        try:
            return Verdict(cell.understood(self._ask(cell.to_verify(pdf, known))).decode())
        except TemplateError:
            return Verdict.UNSIGNED

    def _ask(self, message: bytes) -> bytes:
        self._jobs += 1
        until = time.monotonic() + self._limits.wall_s
        try:
            cell.send(self._pipe(self._process.stdin), message)
            answer = self._answer(until)
        except BrokenPipeError:
            answer = None
        if answer is None:
            reason = self._reason(late=time.monotonic() >= until)
            self.close()
            raise TemplateError(reason)
        return answer

    def close(self) -> None:
        """End the worker and remove its folder."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._process.stderr):
            try:
                self._pipe(pipe).close()
            except BrokenPipeError:  # what was not read any more
                continue
        self._remove()

    def _remove(self) -> None:
        if self._own:
            shutil.rmtree(self._own, ignore_errors=True)

    def _start(self, folder: Path) -> subprocess.Popen[bytes]:
        limits = [str(self._limits.memory), str(self._limits.cpu_s)]
        return subprocess.Popen(  # noqa: S603  our own program; what a template says is never part of the command
            [sys.executable, "-I", "-B", "-c", _BEGIN, str(_SOURCES), str(folder), *limits],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd="/",
            env=_ENVIRONMENT,
            start_new_session=True,  # the service ends it in its own order, not the terminal
        )

    def _answer(self, until: float) -> bytes | None:
        """The next message, or None where the worker ended first, was too slow, or would not stop."""
        head = self._read(cell.LENGTH.size, until)
        if head is None:
            return None
        (length,) = cell.LENGTH.unpack(head)
        return self._read(length, until) if length <= MAX_ANSWER else None

    def _read(self, length: int, until: float) -> bytes | None:
        pipe = self._pipe(self._process.stdout).fileno()
        waiting, got = select.poll(), bytearray()
        waiting.register(pipe, select.POLLIN)
        while len(got) < length:
            left = until - time.monotonic()
            if left <= 0 or not waiting.poll(left * 1000):
                return None
            part = os.read(pipe, min(length - len(got), _CHUNK))
            if not part:
                return None
            got += part
        return bytes(got)

    def _reason(self, *, late: bool) -> str:
        """Why there was no answer, in words for whoever wrote the template."""
        if late:
            return f"it took longer than {self._limits.wall_s:g} s"
        try:
            code = self._process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            return "it made a file that is too large"
        if code == -signal.SIGPROF:
            return f"it took more than {self._limits.cpu_s:g} s of processor time"
        if code in {-signal.SIGABRT, -signal.SIGKILL}:
            return f"it needed more than {self._limits.memory // MB} MB of memory"
        return "it ended the process that rendered it, as what is nested too deeply does"

    def _complaint(self) -> str:
        """What a worker that did not start said last."""
        self._process.kill()
        return self._pipe(self._process.stderr).read()[-_COMPLAINT:].decode(errors="replace").strip()

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None  # noqa: S101  all three were asked for
        return pipe


def _write(template: Template, folder: Path) -> None:
    """The template's files and nothing else, into a fresh folder."""
    for name, body in template.files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(body)
