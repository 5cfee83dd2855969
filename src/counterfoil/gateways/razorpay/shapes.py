"""The parts of Razorpay's entities that we read. Fields beside them are ignored.

Amounts are integers of minor units, times are Unix seconds. Where nothing is said there may be null, an empty string,
an empty list for a map, or no field at all; all of them read as nothing (gateways 2.1, 2.6).
"""

from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from counterfoil.gateways.wire import Id, Minor, UnixTime

T = TypeVar("T")
Notes: TypeAlias = dict[str, Any] | list[Any] | str | None


class Card(msgspec.Struct):
    network: str | None = None
    last4: str | None = None
    issuer: str | None = None


class Payment(msgspec.Struct):
    id: Id
    amount: Minor
    currency: str
    status: Literal["created", "authorized", "captured", "refunded", "failed"]
    created_at: UnixTime
    bank: str | None = None
    captured: bool = False
    card: Card | None = None
    error_code: str | None = None
    error_description: str | None = None
    error_reason: str | None = None
    fee: Minor | None = None
    method: str | None = None
    notes: Notes = None
    order_id: Id | None = None
    tax: Minor | None = None
    vpa: str | None = None
    wallet: str | None = None


class Order(msgspec.Struct):
    id: Id
    amount: Minor
    currency: str
    status: Literal["created", "attempted", "paid"]
    created_at: UnixTime
    notes: Notes = None
    receipt: str | None = None


class Entity(msgspec.Struct):
    """By what any object may be known here."""

    id: Id
    order_id: Id | None = None
    payment_id: Id | None = None


class AcquirerData(msgspec.Struct):
    arn: str | None = None
    rrn: str | None = None


class Refund(msgspec.Struct):
    id: Id
    amount: Minor
    currency: str
    payment_id: Id
    status: Literal["pending", "processed", "failed"]
    created_at: UnixTime
    acquirer_data: AcquirerData | list[Any] | None = None
    speed_processed: str | None = None
    speed_requested: str | None = None
    notes: Notes = None


class Asked(msgspec.Struct):
    """What a refund was asked for with, as far as its answer must agree with it."""

    amount: int


class Uploaded(msgspec.Struct):
    """A document that Razorpay keeps."""

    id: Id


class Submission(msgspec.Struct):
    """The evidence of a dispute. Its amount is not to be relied on (gateways 2.5)."""

    submitted_at: UnixTime | None = None


class Dispute(msgspec.Struct):
    id: Id
    amount: Minor
    currency: str
    payment_id: Id
    status: Literal["open", "under_review", "won", "lost", "closed"]
    created_at: UnixTime
    amount_deducted: Minor = 0
    evidence: Submission | None = None
    phase: str | None = None
    reason_code: str | None = None
    respond_by: UnixTime | None = None


class Collection(msgspec.Struct, Generic[T]):
    items: list[T]


class Complaint(msgspec.Struct):
    """The `error` of an answer; its reason may be null or "NA"."""

    code: str | None = None
    description: str | None = None
    reason: str | None = None


class ErrorBody(msgspec.Struct):
    error: Complaint


class Wrapped(msgspec.Struct, Generic[T]):
    entity: T


class Downtime(msgspec.Struct):
    id: Id
    method: str
    begin: UnixTime
    severity: Literal["low", "medium", "high"]
    status: Literal["scheduled", "started", "updated", "resolved"]
    updated_at: UnixTime
    end: UnixTime | None = None
    instrument: dict[str, str | None] = {}


class Payload(msgspec.Struct, rename={"downtime": "payment.downtime"}):
    dispute: Wrapped[Dispute] | None = None
    downtime: Wrapped[Downtime] | None = None
    order: Wrapped[Order] | None = None
    payment: Wrapped[Payment] | None = None
    refund: Wrapped[Refund] | None = None


class Times(msgspec.Struct):
    """One documented sample has the event's time inside the payload."""

    created_at: UnixTime | None = None


class Envelope(msgspec.Struct):
    """An event around its entities. `payload` is read only for the types that yield facts."""

    event: str
    account_id: Id | None = None
    created_at: UnixTime | None = None
    payload: msgspec.Raw = msgspec.Raw(b"{}")
