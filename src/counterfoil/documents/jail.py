"""A pool of worker processes that make documents: warm ones for our own pages, and one of its own for each template.

Whatever is asked for raises DocumentsAwayError where no worker can be started, and the log says why.
"""

import asyncio
import hashlib
import os
from collections import OrderedDict
from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from threading import Lock
from typing import Final, TypeVar

import structlog
from cryptography.x509 import Certificate

from counterfoil.documents import receipt_html, receipt_mails, receipt_pdf
from counterfoil.documents.receipt_signing import Signer, Verdict
from counterfoil.documents.template import MAIL, Template
from counterfoil.documents.typesetting import Job
from counterfoil.documents.warden import THEIRS, Limits, Worker
from counterfoil.domain.errors import DocumentsAwayError
from counterfoil.domain.receipt import Receipt

T = TypeVar("T")

# Workers that stay for templates of operators, each for one template alone. More templates in use begin anew each time.
OWN_TEMPLATES: Final = 4

log = structlog.get_logger()


class Renderer:
    """Renders documents in worker processes, as many at once as there are processors. Workers start when first wanted."""

    def __init__(self, workers: int | None = None) -> None:
        self._threads = ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="documents")
        self._lock = Lock()
        self._ours: list[Worker] = []
        self._theirs: OrderedDict[str, Worker] = OrderedDict()

    async def pdf(
        self,
        receipt: Receipt,
        *,
        template: Template | None = None,
        signer: Signer | None = None,
    ) -> bytes:
        """The receipt as `receipt_pdf.render` makes it, without holding up the event loop. Raises TemplateError."""
        work = partial(self._pdf, receipt, template=template, signer=signer)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def page(self, receipt: Receipt, template: Template, *, attached: bool = True) -> str:
        """The receipt as a page or a mail of an operator's own; `attached`: that mail has the PDF. Raises TemplateError."""
        work = partial(self._page, receipt, template, attached=attached)
        return await asyncio.get_running_loop().run_in_executor(self._threads, work)

    async def document(self, job: Job) -> bytes:
        """A document of ours that may be long, set in a worker that is then ended, which gives back all it took."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _document, job)

    async def verdict(self, pdf: bytes, known: Collection[Certificate]) -> Verdict:
        """What the signature on a file that somebody sent is worth: read in a worker that is then ended."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, _verdict, pdf, tuple(known))

    async def ready(self) -> None:
        """Nothing, where a worker can be started now."""
        await asyncio.get_running_loop().run_in_executor(self._threads, _ready)

    def close(self) -> None:
        """End all workers; what is under way is finished first, what waits is not begun."""
        self._threads.shutdown(cancel_futures=True)
        for worker in (*self._ours, *self._theirs.values()):
            worker.close()

    def _pdf(self, receipt: Receipt, *, template: Template | None, signer: Signer | None) -> bytes:
        job = receipt_pdf.job(receipt, template=template)
        made = self._by(template, lambda worker: worker.pdf(job))
        return signer.sign(made) if signer else made

    def _page(self, receipt: Receipt, template: Template, *, attached: bool) -> str:
        given = receipt_html.given(receipt)
        if template.main == MAIL:
            given["mail"] = receipt_mails.given(receipt, attached=attached)
        return self._by(template, lambda worker: worker.page(template.main, given))

    def _by(self, template: Template | None, act: Callable[[Worker], T]) -> T:
        worker = self._take(template)
        try:
            return act(worker)
        finally:
            self._give_back(worker, template)

    def _take(self, template: Template | None) -> Worker:
        with self._lock:
            if template:
                kept = self._theirs.pop(_key(template), None)
            else:
                kept = self._ours.pop() if self._ours else None
        if kept and not kept.usable:  # the system may end any process
            kept.close()
            kept = None
        return kept or _start(template)

    def _give_back(self, worker: Worker, template: Template | None) -> None:
        """Keep the worker for the same template, where it may still be used; the one that waited longest makes room."""
        leaving = [] if worker.usable else [worker]
        with self._lock:
            if worker.usable and template is None:
                self._ours.append(worker)
            elif worker.usable and template:
                leaving += [before] if (before := self._theirs.pop(_key(template), None)) else []
                self._theirs[_key(template)] = worker
                if len(self._theirs) > OWN_TEMPLATES:
                    leaving.append(self._theirs.popitem(last=False)[1])
        for old in leaving:
            old.close()


def _start(template: Template | None = None, limits: Limits | None = None) -> Worker:
    try:
        return Worker(template, limits)
    except OSError as refused:  # no room for its files, or for another process
        log.warning("no process for documents can be started", because=str(refused))
        raise DocumentsAwayError(str(refused)) from refused


def _ready() -> None:
    _start().close()


def _document(job: Job) -> bytes:
    with _start() as worker:
        return worker.pdf(job)


def _verdict(pdf: bytes, known: Collection[Certificate]) -> Verdict:
    with _start(limits=THEIRS) as worker:
        return worker.verdict(pdf, known)


def _key(template: Template) -> str:
    """One template is told from another by every byte of it."""
    digest = hashlib.sha256(template.main.encode())
    for name, body in sorted(template.files.items()):
        digest.update(b"%d:%s%d:" % (len(name), name.encode(), len(body)) + body)
    return digest.hexdigest()
