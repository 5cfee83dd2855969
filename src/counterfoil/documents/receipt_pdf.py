"""A receipt as PDF: PDF/A-3a and PDF/UA-1, the same receipt as JSON inside, identical bytes for an identical receipt."""

from functools import cache
from typing import Final

from counterfoil.documents import receipt_json, typesetting
from counterfoil.documents.receipt_shown import shown
from counterfoil.documents.receipt_signing import Signer
from counterfoil.documents.template import Template
from counterfoil.documents.typesetting import Job, Setter
from counterfoil.documents.warden import Worker
from counterfoil.domain.receipt import Receipt

MEDIA_TYPE: Final = "application/pdf"
ATTACHED: Final = "receipt.json"
BUILT_IN: Final = "receipt.typ"


def job(receipt: Receipt, *, template: Template | None = None) -> Job:
    """What is to be set, as plain values. A template sees `receipt`, its fields, and `shown`, its words and figures."""
    data = {"receipt": receipt_json.document(receipt), "shown": shown(receipt)}
    return Job(
        main=template.main if template else BUILT_IN,
        data=typesetting.data(data),
        attached=receipt_json.render(receipt).decode(),
        attached_as=ATTACHED,
        at=int(receipt.issued_at.timestamp()),
        accessible=template is None,
    )


@cache
def built_in() -> Setter:
    return Setter(typesetting.BUILT_IN)


def render(
    receipt: Receipt,
    *,
    template: Template | None = None,
    signer: Signer | None = None,
) -> bytes:
    """The file. A template of an operator's is set in a worker process of its own.

    Raises TemplateError with the line and the reason. Blocks for some 20 ms, as long as 2 s with a template; where
    others wait, use jail.Renderer.
    """
    work = job(receipt, template=template)
    if template is None:
        made = built_in().pdf(work)
    else:
        with Worker(template) as worker:
            made = worker.pdf(work)
    return signer.sign(made) if signer else made
