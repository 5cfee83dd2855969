"""Disputes at Razorpay: contested with a summary and documents, or accepted (gateways 2.5).

Razorpay takes evidence as uploaded documents only. The paper of each text is uploaded first, and then named in the
contest; where one cannot be uploaded nothing is contested. It takes no key: what came of a call without an answer, the
dispute tells.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec

from counterfoil.domain.call import Verb
from counterfoil.domain.failure import FailureCode
from counterfoil.gateways.base import Accepted, Declined, Evidence, Outcome, Refused, Unknown
from counterfoil.gateways.razorpay import paper
from counterfoil.gateways.razorpay.line import Line
from counterfoil.gateways.razorpay.shapes import Dispute, Uploaded
from counterfoil.gateways.razorpay.translate import of_dispute
from counterfoil.gateways.wire import agree, decode, paragraphs, plain

FIELDS: Final[Mapping[str, str]] = {
    "access_log": "access_activity_log",
    "cancellation_policy": "cancellation_proof",
    "customer_communication": "customer_communication",
    "delivery_log": "customer_communication",  # what was sent to the customer, and when
    "product_description": "explanation_letter",
    "receipt": "billing_proof",
    "refund_history": "refund_confirmation",
    "refund_policy": "refund_cancellation_policy",
    "terms": "term_and_conditions",
}
SUMMARY_CHARS: Final = 1000
# The name of a kind of document that Razorpay has no field for.
OTHER_CHARS: Final = 60
# Razorpay publishes no limit of a document. A text as long as any that has 3,000 Chinese signs comes to 780,000.
PAPER_BYTES: Final = 1_000_000


class Disputes:
    """Disputes of `gateways.base`."""

    fields = FIELDS
    paper_bytes: int | None = PAPER_BYTES

    def __init__(self, line: Line) -> None:
        self._line = line

    async def draft(self, ref: str, evidence: Evidence) -> Outcome:
        return await self._contest(ref, evidence, "draft", None)

    async def submit(self, ref: str, evidence: Evidence, *, key: str) -> Outcome:  # noqa: ARG002  Razorpay takes no key here
        return await self._contest(ref, evidence, "submit", Verb.SUBMIT_EVIDENCE)

    async def accept(self, ref: str, *, key: str) -> Outcome:  # noqa: ARG002  the same
        return await self._line.send(
            "disputes.accept",
            ("disputes", ref, "accept"),
            b"{}",
            lambda answer: _told(ref, answer),
            verb=Verb.ACCEPT_DISPUTE,
        )

    async def look_up_dispute(self, ref: str) -> Outcome:
        return await self._line.get(
            "disputes.retrieve", ("disputes", ref), {}, lambda answer: _told(ref, answer)
        )

    async def _contest(self, ref: str, evidence: Evidence, action: str, verb: Verb | None) -> Outcome:
        ids: dict[str, str] = {}
        for name in evidence.texts:
            kept = await self._upload(name, evidence.papers[name])
            if not isinstance(kept, Accepted) or kept.ref is None:
                return _uncontested(name, kept)
            ids[name] = kept.ref
        return await self._line.send(
            "disputes.contest",
            ("disputes", ref, "contest"),
            msgspec.json.encode(_contest(evidence, ids, action)),
            lambda answer: _told(ref, answer),
            verb=verb,
            method="PATCH",
        )

    async def _upload(self, name: str, content: bytes) -> Outcome:
        kind, body = paper.upload(f"{plain(name, OTHER_CHARS)}.pdf", content)
        return await self._line.send("documents.create", ("documents",), body, _uploaded, kind=kind)


def _contest(evidence: Evidence, ids: Mapping[str, str], action: str) -> dict[str, Any]:
    named: dict[str, list[str]] = {}
    for name, id_ in ids.items():
        if name in FIELDS:
            named.setdefault(FIELDS[name], []).append(id_)
    others = [
        {"type": plain(name, OTHER_CHARS), "document_ids": [id_]}
        for name, id_ in ids.items()
        if name not in FIELDS
    ]
    return {
        **({} if evidence.amount is None else {"amount": evidence.amount}),
        "summary": paragraphs(evidence.summary, SUMMARY_CHARS),
        **named,
        **({"others": others} if others else {}),
        "action": action,
    }


def _uploaded(answer: bytes) -> Accepted:
    return Accepted(ref=decode(answer, Uploaded).id)


def _uncontested(name: str, outcome: Outcome) -> Refused:
    """A document that was not kept, or may not have been: either way the dispute itself was not touched."""
    if isinstance(outcome, Refused):
        return outcome
    why = outcome.message if isinstance(outcome, Unknown | Declined) else "no id was given"
    return Refused(
        code=FailureCode.GATEWAY_UNAVAILABLE,
        gateway_code="document_not_kept",
        message=f"The document {plain(name, OTHER_CHARS)} was not uploaded: {why}",
    )


def _told(ref: str, answer: bytes) -> Accepted:
    dispute = decode(answer, Dispute)
    agree("id", ref, dispute.id)
    return Accepted(ref=ref, reports=of_dispute(dispute, None), raw=answer)
