"""What runs in a worker process: it gives up its rights, reads jobs from its input, and answers each on its output.

A message is its length in four bytes and then so many bytes, of which the first says what it is. Asked is to set a job
(JSON), or what the signature on a file is worth (certificates and the file); answered is a file, a verdict, or what is
wrong as JSON. The process ends when its input does, so that none outlives the service.
"""

import json
import os
import struct
import sys
from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict
from functools import cache, partial
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from counterfoil.documents import confinement, fonts
from counterfoil.documents.template import TemplateError
from counterfoil.documents.typesetting import BUILT_IN, Job, Setter

if TYPE_CHECKING:
    from cryptography.x509 import Certificate

LENGTH: Final = struct.Struct(">I")
READY: Final = b"."
SET: Final = b"s"
DRAW: Final = b"d"
VERIFY: Final = b"v"
FILE: Final = b"+"
WRONG: Final = b"-"
Do = Callable[[bytes], bytes]


def main(folder: str, memory: str, cpu_s: str) -> None:
    """Answer jobs for the templates of a folder, with so much memory in all and so much processor time for each."""
    confinement.limit(memory=int(memory))
    confinement.confine()
    does = doing(Path(folder))
    jobs, answers = sys.stdin.buffer, sys.stdout.buffer
    send(answers, READY)
    try:
        while (message := receive(jobs)) is not None:
            confinement.limit_cpu(float(cpu_s))
            send(answers, answer(does, message))
    except MemoryError:
        os.abort()  # as Typst does: so the warden knows why


def doing(folder: Path) -> Mapping[bytes, Do]:
    """What is done with each kind of message, for the templates of a folder."""
    setter = cache(partial(Setter, folder))
    if folder == BUILT_IN:
        setter()  # ours is warm; the fonts of another are read within the limits of its first job
    return {
        SET: lambda body: _pdf(setter(), body),
        DRAW: partial(_page, folder),
        VERIFY: _verdict,
    }


def answer(does: Mapping[bytes, Do], message: bytes) -> bytes:
    """What comes of a message: a file, or what is wrong with the template, and where."""
    try:
        return FILE + does[message[:1]](message[1:])
    except TemplateError as error:
        return WRONG + json.dumps([error.reason, error.file, error.line, error.column]).encode()


def _pdf(setter: Setter, body: bytes) -> bytes:
    job, undrawn = json.loads(body)
    return setter.pdf(Job(**job), undrawn)


def _page(folder: Path, body: bytes) -> bytes:
    # Ten megabytes that a worker has only when it draws a page.
    from counterfoil.documents import page_template

    main, given = json.loads(body)
    beside = {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()
    }
    files = page_template.files(beside)
    return page_template.render(main, beside[main], given | {"files": files}).encode()


def _verdict(body: bytes) -> bytes:
    # Ten megabytes that a worker has only when it verifies.
    from cryptography.x509 import load_pem_x509_certificates

    from counterfoil.documents.receipt_signing import verify

    (length,) = LENGTH.unpack(body[: LENGTH.size])
    certificates, pdf = body[LENGTH.size :][:length], body[LENGTH.size + length :]
    return verify(pdf, load_pem_x509_certificates(certificates) if length else ()).encode()


def send(to: IO[bytes], message: bytes) -> None:
    to.write(LENGTH.pack(len(message)) + message)
    to.flush()


def receive(source: IO[bytes]) -> bytes | None:
    """The next message, or None at the end."""
    head = source.read(LENGTH.size)
    return source.read(*LENGTH.unpack(head)) if len(head) == LENGTH.size else None


def to_set(job: Job) -> bytes:
    """With the characters that need a font of the template's own: a worker has no time to read all of ours."""
    return SET + json.dumps([asdict(job), fonts.undrawn(job.data)]).encode()


def to_draw(main: str, given: Mapping[str, Any]) -> bytes:
    return DRAW + json.dumps([main, given]).encode()


def to_verify(pdf: bytes, known: "Collection[Certificate]") -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    certificates = b"".join(one.public_bytes(Encoding.PEM) for one in known)
    return VERIFY + LENGTH.pack(len(certificates)) + certificates + pdf


def understood(answer: bytes) -> bytes:
    """The file of an answer. Raises the TemplateError that it tells."""
    if answer[:1] == FILE:
        return answer[1:]
    told: list[Any] = json.loads(answer[1:])
    raise TemplateError(str(told[0]), file=told[1], line=told[2], column=told[3])
