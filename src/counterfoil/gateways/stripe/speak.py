"""Stripe's webhooks: verified, told apart, and read. Pure: no network, no clock, no database."""

from collections.abc import Iterable
from dataclasses import replace
from hashlib import sha256
from typing import Final

from counterfoil.domain.fact import Kind, Report
from counterfoil.gateways.base import Event, Headers, UnreadableEventError
from counterfoil.gateways.stripe.events import IGNORED, NOT_KNOWN, READ
from counterfoil.gateways.stripe.shapes import (
    Charge,
    Dispute,
    Envelope,
    EventData,
    EventId,
    Intent,
    Refund,
)
from counterfoil.gateways.stripe.signature import verify
from counterfoil.gateways.stripe.translate import of_charge, of_dispute, of_intent, of_refund, of_warning
from counterfoil.gateways.wire import decode, moment, plain

__all__ = ["dedupe_key", "read", "verify"]

_MOVES: Final = {
    "charge.dispute.funds_withdrawn": Kind.DISPUTE_WITHDRAWN,
    "charge.dispute.funds_reinstated": Kind.DISPUTE_REINSTATED,
}


def dedupe_key(body: bytes) -> str:
    """The event's id, which is inside the signed body; a digest of the body where it names none."""
    try:
        return decode(body, EventId).id
    except UnreadableEventError:
        return sha256(body).hexdigest()


def read(headers: Headers, body: bytes) -> Event:  # noqa: ARG001  a gateway may say things in headers; Stripe does not
    """What the body says. A type that is not read yields no facts and the reason why; its object is not looked at."""
    envelope = decode(body, Envelope)
    if envelope.object != "event":
        raise UnreadableEventError("a thin event, which carries no object: subscribe to snapshot events")
    reports = tuple(_typed(envelope.type, _reports(envelope))) if envelope.type in READ else ()
    return Event(
        event_id=envelope.id,
        type=plain(envelope.type),
        at=moment(envelope.created),
        account=envelope.account,
        livemode=envelope.livemode,
        reports=reports,
        ignored_because=None if reports else IGNORED.get(envelope.type, NOT_KNOWN),
    )


def _reports(envelope: Envelope) -> tuple[Report, ...]:
    at = moment(envelope.created)
    match decode(envelope.data, EventData).object:
        case Intent() as intent:
            return of_intent(intent, at)
        case Charge() as charge:
            return of_charge(charge, at, given_back=envelope.type == "charge.expired")
        case Refund() as refund:
            return (of_refund(refund, at, livemode=envelope.livemode),)
        case Dispute() as dispute:
            return of_dispute(dispute, at, moved=_MOVES.get(envelope.type))
        case warning:
            return (of_warning(warning, at),)


def _typed(event_type: str, reports: Iterable[Report]) -> Iterable[Report]:
    return (replace(report, detail={**report.detail, "event_type": event_type}) for report in reports)
