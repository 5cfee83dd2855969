"""What runs in a worker process: it gives up its rights, reads jobs from its input, and answers each on its output.

A message is its length in four bytes and then so many bytes. A job is JSON; an answer is one byte and a body: the file,
or what is wrong as JSON. The process ends when its input does, so that none outlives the service.
"""

import json
import struct
import sys
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

from counterfoil.documents import confinement
from counterfoil.documents.template import TemplateError
from counterfoil.documents.typesetting import Job, Setter

LENGTH: Final = struct.Struct(">I")
READY: Final = b"."
FILE: Final = b"+"
WRONG: Final = b"-"


def main(folder: str, memory: str, cpu_s: str) -> None:
    """Answer jobs for the templates of a folder, with so much memory in all and so much processor time for each."""
    confinement.limit(memory=int(memory))
    confinement.confine()
    setter = Setter(Path(folder))
    jobs, answers = sys.stdin.buffer, sys.stdout.buffer
    send(answers, READY)
    while (job := receive(jobs)) is not None:
        confinement.limit_cpu(int(cpu_s))
        send(answers, _answer(setter, Job(**json.loads(job))))


def _answer(setter: Setter, job: Job) -> bytes:
    try:
        return FILE + setter.pdf(job)
    except TemplateError as error:
        return WRONG + json.dumps([error.reason, error.file, error.line, error.column]).encode()


def send(to: IO[bytes], message: bytes) -> None:
    to.write(LENGTH.pack(len(message)) + message)
    to.flush()


def receive(source: IO[bytes]) -> bytes | None:
    """The next message, or None at the end."""
    head = source.read(LENGTH.size)
    return source.read(*LENGTH.unpack(head)) if len(head) == LENGTH.size else None


def asked(job: Job) -> bytes:
    return json.dumps(asdict(job)).encode()


def understood(answer: bytes) -> bytes:
    """The file of an answer. Raises the TemplateError that it tells."""
    if answer[:1] == FILE:
        return answer[1:]
    told: list[Any] = json.loads(answer[1:])
    raise TemplateError(str(told[0]), file=told[1], line=told[2], column=told[3])
