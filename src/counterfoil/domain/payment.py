"""A payment: what is owed, and how it stands.

A payment is owed, an attempt is one try at one gateway account, a charge is what came of it. States of what gateways
report are ranked; what we decide is a closed table; the payment's status follows from both.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from counterfoil.domain.attempt import ENDED, AttemptState
from counterfoil.domain.charge import Charge, ChargeState
from counterfoil.domain.machine import Machine
from counterfoil.domain.money import Money


class Status(StrEnum):
    CREATED = "created"
    PENDING = "pending"  # the customer or the bank is acting
    AUTHORIZED = "authorized"
    CAPTURED = "captured"
    FAILED = "failed"
    CANCELLED = "cancelled"


# The customer can still pay.
PAYABLE: Final = frozenset({Status.CREATED, Status.PENDING})


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
    planned: bool = False,
) -> Status:
    """The payment's status. `acting` says that the customer or the bank has been heard of, `planned` that another
    attempt is to follow.

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
        if expired or (attempts and not planned):
            return Status.FAILED
    if acting or planned or AttemptState.UNKNOWN in attempts:
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
    method: str | None
    planned_gateway: str | None
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
    stripe_customer: str | None = None  # whose saved methods may be charged
    saved_method: str | None = field(default=None, repr=False)  # charged last, with the customer away
    given_up_at: datetime | None = None  # no further try is to follow
    fulfilled_at: datetime | None = None  # the goods are on their way

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


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
