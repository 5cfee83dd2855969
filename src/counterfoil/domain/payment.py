"""The three levels: a payment is owed, an attempt is one try at one gateway account, a charge is what came of it.

States of what gateways report are ranked; what we decide is a closed table; the payment's status follows from both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from counterfoil.domain.fact import Kind
from counterfoil.domain.machine import Machine, highest
from counterfoil.domain.money import Money


class ChargeState(StrEnum):
    CREATED = "created"
    FAILED = "failed"
    AUTHORIZED = "authorized"
    VOIDED = "voided"
    CAPTURED = "captured"


# A charge is the highest of all that its gateway has ever said of it. Failed is low: both gateways may authorise after
# they have reported a failure (Razorpay's late authorisation, a UPI retry inside the app; gateways 2.3).
CHARGE_RANK = (
    ChargeState.CREATED,
    ChargeState.FAILED,
    ChargeState.AUTHORIZED,
    ChargeState.VOIDED,
    ChargeState.CAPTURED,
)
# Both true of one charge: keep the higher, and call a person.
CONTRADICTIONS = (frozenset({ChargeState.VOIDED, ChargeState.CAPTURED}),)

CHARGE_SAYS = {
    Kind.CHARGE_CREATED: ChargeState.CREATED,
    Kind.CHARGE_FAILED: ChargeState.FAILED,
    Kind.CHARGE_AUTHORIZED: ChargeState.AUTHORIZED,
    Kind.CHARGE_VOIDED: ChargeState.VOIDED,
    Kind.CHARGE_CAPTURED: ChargeState.CAPTURED,
}


def charge_state(said: Iterable[Kind]) -> ChargeState:
    return highest(CHARGE_RANK, (CHARGE_SAYS[kind] for kind in said))


def contradictions(said: Iterable[Kind]) -> list[str]:
    """The pairs of states that cannot both be true, as sentences for a person."""
    states = {CHARGE_SAYS[kind] for kind in said}
    return [" and ".join(sorted(pair)) for pair in CONTRADICTIONS if pair <= states]


class RefundState(StrEnum):
    """What a gateway says of a refund. Failed is highest: a refund that succeeded can still bounce, days later."""

    PENDING = "pending"
    SUCCEEDED = "succeeded"
    FAILED = "failed"


REFUND_RANK = (RefundState.PENDING, RefundState.SUCCEEDED, RefundState.FAILED)
REFUND_SAYS = {
    Kind.REFUND_PENDING: RefundState.PENDING,
    Kind.REFUND_SUCCEEDED: RefundState.SUCCEEDED,
    Kind.REFUND_FAILED: RefundState.FAILED,
}


def refund_state(said: Iterable[Kind]) -> RefundState:
    return highest(REFUND_RANK, (REFUND_SAYS[kind] for kind in said))


class AttemptState(StrEnum):
    OPEN = "open"
    UNKNOWN = "unknown"  # a call was made and its outcome is not known: read before anything else
    FENCED = "fenced"  # we shall never capture on it
    WON = "won"  # the payment's money is taken here
    DEAD = "dead"  # never came to be, or was abandoned before a browser saw it


ENDED = frozenset({AttemptState.FENCED, AttemptState.DEAD})


def attempt_state(*, won: bool, fenced: bool, dead: bool, unsettled_calls: int) -> AttemptState:
    """The attempt's state from our decisions and the calls whose outcome we do not know yet."""
    if dead:
        return AttemptState.DEAD
    if unsettled_calls:
        return AttemptState.UNKNOWN
    if won:
        return AttemptState.WON
    return AttemptState.FENCED if fenced else AttemptState.OPEN


class Status(StrEnum):
    CREATED = "created"
    PENDING = "pending"  # the customer or the bank is acting
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    FAILED = "failed"
    CANCELLED = "cancelled"


class Command(StrEnum):
    CONFIRM = "confirm"
    CAPTURE = "capture"
    CANCEL = "cancel"


# What a caller may ask of a payment. "." may be asked (what comes of it, facts decide); "!" is refused.
COMMANDS = Machine.read(
    Status,
    Command,
    """
                confirm  capture  cancel
    created     .        !        .
    pending     .        !        .
    authorized  !        .        .
    captured    !        !        !
    failed      !        !        !
    cancelled   !        !        .
    """,
)


@dataclass(frozen=True, slots=True)
class ChargeView:
    """What the payment's status needs to know of a charge."""

    state: ChargeState
    attempt: AttemptState
    winner: bool


def status(
    attempts: Sequence[AttemptState],
    charges: Sequence[ChargeView],
    *,
    acting: bool,
    cancel_requested: bool,
    expired: bool,
) -> Status:
    """The payment's status. `acting` says that the customer or the bank has been heard of.

    Failed only when nothing can still succeed: an open or unknown attempt keeps the payment pending, and age alone
    decides nothing while one lives.
    """
    if any(charge.winner and charge.state is ChargeState.CAPTURED for charge in charges):
        return Status.CAPTURED
    if any(charge.state is ChargeState.AUTHORIZED and charge.attempt not in ENDED for charge in charges):
        return Status.AUTHORIZED
    if all(attempt in ENDED for attempt in attempts):
        if cancel_requested:
            return Status.CANCELLED
        if attempts or expired:
            return Status.FAILED
    if acting or AttemptState.UNKNOWN in attempts:
        return Status.PENDING
    return Status.CREATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Payment:
    """What is owed, and what we have decided about it. Amounts are minor units of `currency`."""

    id: str
    merchant_id: str
    mode: str
    amount: int
    currency: str
    reference: str | None
    description: str | None
    customer: Mapping[str, Any]
    metadata: Mapping[str, str]
    line_items: Sequence[Mapping[str, Any]]
    capture: str
    gateway: str | None
    return_url: str | None
    status: Status
    amount_captured: int
    amount_refunded: int
    winner_attempt_id: str | None
    cancel_requested_at: datetime | None
    capture_requested: int | None
    expires_at: datetime
    next_check_at: datetime | None
    checks: int
    version: int
    created_at: datetime
    updated_at: datetime

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """Our one PaymentIntent or order at one gateway account, ours to fence."""

    id: str
    payment_id: str
    number: int
    account_id: str
    gateway: str
    mode: str
    amount: int
    currency: str
    capture: str
    reason: str
    ref: str | None
    state: AttemptState
    failure: Mapping[str, Any] | None
    disclosed_at: datetime | None
    fenced_at: datetime | None
    dead_at: datetime | None
    created_at: datetime

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


@dataclass(frozen=True, slots=True, kw_only=True)
class Charge:
    """What came of an attempt: a ch_ or pay_. The four amounts are what refunds and disputes reckon with."""

    id: str
    payment_id: str
    attempt_id: str
    account_id: str
    ref: str
    state: ChargeState
    amount: int
    currency: str
    captured: int
    refunded_seen: int
    disputed_held: int
    reserved: int
    surplus: bool  # captured although the payment was paid already; decided when the money is first seen
    detail: Mapping[str, Any]
    made_at: datetime
    created_at: datetime


def winner_charge(winner_attempt_id: str | None, charges: Iterable[Charge]) -> Charge | None:
    """The charge that pays the payment: the one captured on the winning attempt that is not surplus."""
    paying = (
        charge
        for charge in charges
        if charge.state is ChargeState.CAPTURED
        and charge.attempt_id == winner_attempt_id
        and not charge.surplus
    )
    return next(paying, None)
