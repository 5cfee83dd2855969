"""Disputes at Stripe: evidence kept or submitted, or the dispute closed as lost (gateways 1.7).

Evidence goes as text. Stripe has text fields for some of it and takes the rest as files only: that stands in the
uncategorized text, each part under its name.
"""

from collections.abc import Iterator, Mapping
from typing import Final

from counterfoil.domain.call import Verb
from counterfoil.gateways.base import Accepted, Evidence, Outcome
from counterfoil.gateways.stripe import form
from counterfoil.gateways.stripe.line import Line
from counterfoil.gateways.stripe.shapes import Dispute
from counterfoil.gateways.stripe.translate import of_dispute
from counterfoil.gateways.wire import agree, decode, paragraphs

FIELDS: Final[Mapping[str, str]] = {
    "access_log": "access_activity_log",
    "cancellation_policy": "cancellation_policy_disclosure",
    "customer_email": "customer_email_address",
    "customer_ip": "customer_purchase_ip",
    "customer_name": "customer_name",
    "product_description": "product_description",
    "refund_policy": "refund_policy_disclosure",
    "refund_refusal": "refund_refusal_explanation",
    "service_date": "service_date",
}
REST: Final = "uncategorized_text"
# What Stripe takes in one text; all of them together may have 150,000, more than there are fields for.
TEXT_CHARS: Final = 20_000


class Disputes:
    """Disputes of `gateways.base`. A part of a dispute cannot be contested: the evidence is about all of it."""

    fields = FIELDS
    paper_bytes: int | None = None

    def __init__(self, line: Line) -> None:
        self._line = line

    async def draft(self, ref: str, evidence: Evidence) -> Outcome:
        params: Mapping[str, form.Value] = {"evidence": written(evidence), "submit": False}
        return await self._line.put(
            "disputes.update", ("disputes", ref), params, lambda answer: self._told(ref, answer)
        )

    async def submit(self, ref: str, evidence: Evidence, *, key: str) -> Outcome:
        params: Mapping[str, form.Value] = {"evidence": written(evidence), "submit": True}
        return await self._post(Verb.SUBMIT_EVIDENCE, "update", ("disputes", ref), params, key)

    async def accept(self, ref: str, *, key: str) -> Outcome:
        return await self._post(Verb.ACCEPT_DISPUTE, "close", ("disputes", ref, "close"), {}, key)

    async def look_up_dispute(self, ref: str) -> Outcome:
        return await self._line.get(
            "disputes.retrieve", ("disputes", ref), {}, lambda answer: self._told(ref, answer)
        )

    async def _post(
        self, verb: Verb, call: str, path: tuple[str, ...], params: Mapping[str, form.Value], key: str
    ) -> Outcome:
        return await self._line.post(
            f"disputes.{call}",
            path,
            form.encode(params),
            lambda answer: self._told(path[1], answer),
            verb=verb,
            key=key,
        )

    def _told(self, ref: str, answer: bytes) -> Accepted:
        dispute = decode(answer, Dispute)
        agree("id", ref, dispute.id)
        agree("livemode", self._line.live, dispute.livemode)
        return Accepted(ref=ref, reports=of_dispute(dispute), raw=answer)


def written(evidence: Evidence) -> dict[str, str]:
    """The evidence in Stripe's fields. What is empty is left out: an empty text would remove what stands there."""
    own = {FIELDS[name]: text for name, text in evidence.texts.items() if name in FIELDS}
    texts = {**own, REST: "\n\n".join(_rest(evidence))}
    return {field: kept for field, text in texts.items() if (kept := paragraphs(text, TEXT_CHARS))}


def _rest(evidence: Evidence) -> Iterator[str]:
    if evidence.summary:
        yield evidence.summary
    for name, text in evidence.texts.items():
        if name not in FIELDS and text:
            yield f"{name.replace('_', ' ').capitalize()}\n{text}"
