"""The parts of Stripe's objects that we read, as of version 2026-10-28.endive. Fields beside them are ignored.

Amounts are integers of Stripe's own minor units (gateways 1.13), times are Unix seconds.
"""

from typing import Any, Generic, Literal, TypeAlias, TypeVar

import msgspec

from counterfoil.gateways.wire import Id, Minor, Signed, UnixTime

T = TypeVar("T")


class Wallet(msgspec.Struct):
    type: str | None = None


class Card(msgspec.Struct):
    brand: str | None = None
    last4: str | None = None
    fingerprint: str | None = None
    wallet: Wallet | None = None


class BankDebit(msgspec.Struct):
    bank_name: str | None = None
    last4: str | None = None
    fingerprint: str | None = None


class Method(msgspec.Struct):
    """What was charged: a PaymentMethod, or a charge's `payment_method_details`, which has no id."""

    id: Id | None = None
    type: str | None = None
    card: Card | None = None
    acss_debit: BankDebit | None = None
    au_becs_debit: BankDebit | None = None
    bacs_debit: BankDebit | None = None
    sepa_debit: BankDebit | None = None
    us_bank_account: BankDebit | None = None


class FeeDetail(msgspec.Struct):
    amount: Signed
    type: str


class BalanceTransaction(msgspec.Struct):
    """A row of the Stripe balance, in the settlement currency."""

    id: Id
    amount: Signed
    currency: str
    fee: Signed = 0
    fee_details: list[FeeDetail] = []


class ChargeOutcome(msgspec.Struct):
    reason: str | None = None


class Charge(msgspec.Struct, tag_field="object", tag="charge"):
    id: Id
    amount: Minor
    currency: str
    status: Literal["succeeded", "pending", "failed"]
    created: UnixTime
    amount_captured: Minor = 0
    captured: bool = False
    refunded: bool = False
    livemode: bool | None = None
    payment_intent: Id | None = None
    metadata: dict[str, str] | None = None
    payment_method_details: Method | None = None
    balance_transaction: Id | BalanceTransaction | None = None
    failure_code: str | None = None
    failure_message: str | None = None
    outcome: ChargeOutcome | None = None


class PaymentError(msgspec.Struct):
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None
    charge: Id | None = None
    payment_method: Method | None = None


IntentStatus: TypeAlias = Literal[
    "requires_payment_method",
    "requires_confirmation",
    "requires_action",
    "processing",
    "requires_capture",
    "succeeded",
    "canceled",
]


class Intent(msgspec.Struct, tag_field="object", tag="payment_intent"):
    id: Id
    amount: Minor
    currency: str
    status: IntentStatus
    created: UnixTime
    livemode: bool
    amount_received: Minor = 0
    canceled_at: UnixTime | None = None
    client_secret: str | None = None
    last_payment_error: PaymentError | None = None
    latest_charge: Id | Charge | None = None
    metadata: dict[str, str] | None = None
    next_action: dict[str, Any] | None = None


class RefundReference(msgspec.Struct):
    """Where the customer's bank can find a refund, by kind of card or account; named once it exists."""

    reference: str | None = None


class Destination(msgspec.Struct):
    type: str | None = None
    card: RefundReference | None = None


class Refund(msgspec.Struct, tag_field="object", tag="refund"):
    id: Id
    amount: Minor
    currency: str
    status: Literal["pending", "requires_action", "succeeded", "failed", "canceled"]
    created: UnixTime
    charge: Id | None = None
    payment_intent: Id | None = None
    destination_details: Destination | None = None
    failure_reason: str | None = None
    pending_reason: str | None = None
    reason: str | None = None
    metadata: dict[str, str] | None = None


class EvidenceDetails(msgspec.Struct):
    due_by: UnixTime | None = None
    submission_count: Minor = 0


DisputeStatus: TypeAlias = Literal[
    "warning_needs_response",
    "warning_under_review",
    "warning_closed",
    "needs_response",
    "under_review",
    "appeal_needs_response",
    "appeal_under_review",
    "won",
    "lost",
    "prevented",
]


class Dispute(msgspec.Struct, tag_field="object", tag="dispute"):
    id: Id
    amount: Minor
    currency: str
    status: DisputeStatus
    created: UnixTime
    balance_transactions: list[BalanceTransaction] = []
    charge: Id | None = None
    evidence_details: EvidenceDetails | None = None
    is_charge_refundable: bool | None = None
    livemode: bool | None = None
    payment_intent: Id | None = None
    reason: str | None = None


class FraudWarning(msgspec.Struct, tag_field="object", tag="radar.early_fraud_warning"):
    """What an issuer suspects, before any dispute."""

    id: Id
    charge: Id
    created: UnixTime
    actionable: bool | None = None
    fraud_type: str | None = None
    livemode: bool | None = None
    payment_intent: Id | None = None


class Page(msgspec.Struct, Generic[T]):
    """One page of a list, newest first."""

    data: list[T]
    has_more: bool


class Complaint(msgspec.Struct):
    """The `error` of an answer. The intent inside may be no more than an id and a status."""

    type: str | None = None
    code: str | None = None
    decline_code: str | None = None
    message: str | None = None
    payment_intent: msgspec.Raw = msgspec.Raw(b"{}")


class ErrorBody(msgspec.Struct):
    error: Complaint


class IntentStub(msgspec.Struct):
    id: Id | None = None
    status: str | None = None


class Envelope(msgspec.Struct):
    """An event around its object. `data` is read only for the types that yield facts."""

    id: Id
    type: str
    created: UnixTime
    livemode: bool
    object: str = "event"
    data: msgspec.Raw = msgspec.Raw(b"{}")
    account: Id | None = None


class EventData(msgspec.Struct):
    object: Intent | Charge | Refund | Dispute | FraudWarning


class EventId(msgspec.Struct):
    id: Id
