"""An attempt: our one PaymentIntent or order at one gateway account, ours to fence."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from counterfoil.domain.fact import Kind, Report
from counterfoil.domain.money import NO_MONEY, Money


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
    imported: bool = False  # taken before this service was there: what it was called then is not known

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


def disagreement(attempt: Attempt, report: Report) -> str | None:
    """Why this report cannot be about this attempt; None where everything agrees."""
    if report.livemode is not None and report.livemode != (attempt.mode == "live"):
        return f"mode: the gateway says livemode {report.livemode}, the attempt is {attempt.mode}"
    if report.our_reference not in {None, attempt.id} and not attempt.imported:
        return f"reference: the gateway names {report.our_reference}, the attempt is {attempt.id}"
    if report.attempt_ref and attempt.ref and report.attempt_ref != attempt.ref:
        return f"reference: the gateway names {report.attempt_ref}, ours is {attempt.ref}"
    if report.amount != NO_MONEY and report.amount.currency != attempt.currency:
        return f"currency: the gateway says {report.amount.currency}, the attempt is in {attempt.currency}"
    if report.face is not None and report.face != attempt.money:
        return f"amount: the gateway says {report.face}, the attempt is for {attempt.money}"
    if report.kind is Kind.CHARGE_CAPTURED and attempt.money < report.amount:
        return f"amount: the gateway says {report.amount} was captured of {attempt.money}"
    return None
