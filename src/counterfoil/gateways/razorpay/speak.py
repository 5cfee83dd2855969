"""Razorpay's webhooks: verified, told apart, and read. Pure: no network, no clock, no database."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from hashlib import sha256
from typing import Final, TypeVar

from counterfoil.domain.fact import Report
from counterfoil.gateways.base import Event, Headers, Trouble, UnreadableEventError
from counterfoil.gateways.razorpay.events import IGNORED, NOT_KNOWN, READ, TROUBLE
from counterfoil.gateways.razorpay.shapes import Envelope, Payload, Times, Wrapped
from counterfoil.gateways.razorpay.signature import verify
from counterfoil.gateways.razorpay.translate import of_dispute, of_downtime, of_order, of_payment, of_refund
from counterfoil.gateways.wire import decode, moment, plain

__all__ = ["dedupe_key", "read", "verify"]

T = TypeVar("T")
# Razorpay's own are about fifteen characters; the header is not signed, and anyone may have written it.
MAX_EVENT_ID: Final = 64


def dedupe_key(body: bytes) -> str:
    """A digest of the body: the event's id stands in a header that is not signed."""
    return sha256(body).hexdigest()


def read(headers: Headers, body: bytes) -> Event:
    """What the body says. A type that is not read yields no facts and the reason why; its payload is not looked at."""
    envelope = decode(body, Envelope)
    at = _time(envelope)
    reports = tuple(_reports(envelope, at)) if envelope.event in READ else ()
    troubles = (_trouble(envelope),) if envelope.event in TROUBLE else ()
    return Event(
        event_id=_event_id(headers),
        type=plain(envelope.event),
        at=at,
        account=envelope.account_id,
        livemode=None,
        reports=tuple(
            replace(report, detail={**report.detail, "event_type": envelope.event}) for report in reports
        ),
        troubles=troubles,
        ignored_because=None if reports or troubles else IGNORED.get(envelope.event, NOT_KNOWN),
    )


def _reports(envelope: Envelope, at: datetime | None) -> Iterator[Report]:
    payload = decode(envelope.payload, Payload)
    payment = payload.payment.entity if payload.payment else None
    if envelope.event.startswith("refund."):
        yield from of_refund(_need(payload.refund, "refund"), payment, at)
    elif envelope.event.startswith("payment.dispute."):
        yield from of_dispute(_need(payload.dispute, "dispute"), payment, at)
    else:
        yield from of_payment(_need(payload.payment, "payment"), at)
        if payload.order:
            yield of_order(payload.order.entity, at)


def _trouble(envelope: Envelope) -> Trouble:
    return of_downtime(_need(decode(envelope.payload, Payload).downtime, "downtime"))


def _need(part: Wrapped[T] | None, name: str) -> T:
    if part is None:
        raise UnreadableEventError(f"the payload carries no {name}")
    return part.entity


def _time(envelope: Envelope) -> datetime | None:
    at = envelope.created_at or decode(envelope.payload, Times).created_at
    return moment(at) if at else None


def _event_id(headers: Headers) -> str | None:
    """The id in the header: a hint for people, and nothing else."""
    found = [value for name, value in headers if name == b"x-razorpay-event-id"]
    return plain(found[0].decode("ascii", "replace"), MAX_EVENT_ID) if found else None
