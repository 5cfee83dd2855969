"""A charge: a ch_ or pay_, and what its gateway says of it. What is said is ranked, so that order cannot matter."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from counterfoil.domain.fact import Fact, Kind
from counterfoil.domain.machine import highest


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
    surplus: bool  # not its payment's own, and given back; decided when the money is first seen
    detail: Mapping[str, Any]
    made_at: datetime
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Figures:
    """What the facts say of one charge."""

    state: ChargeState
    captured: int
    refunded: int
    detail: dict[str, Any]


def weigh(ref: str, known: Sequence[Fact]) -> Figures:
    """The charge as all facts together have it; the order in which they came plays no part."""
    mine = [fact for fact in known if fact.charge_ref == ref]
    own = sorted((fact for fact in mine if fact.kind.noun == "charge"), key=_height)
    captured = max((fact.amount for fact in own if fact.kind is Kind.CHARGE_CAPTURED), default=0)
    detail: dict[str, Any] = {}
    for fact in own:
        detail |= described(fact.detail)
    going_back = _given_back(mine)
    # A refund of an uncaptured charge gives an authorisation back; no money of ours moves.
    return Figures(charge_state(fact.kind for fact in own), captured, going_back if captured else 0, detail)


def _given_back(told: Sequence[Fact]) -> int:
    """What refunds took off a charge, and do not bring back by having failed."""
    refunds: dict[str, list[Fact]] = {}
    for fact in told:
        if fact.kind in REFUND_SAYS:
            refunds.setdefault(fact.object_id, []).append(fact)
    named = sum(max(fact.amount for fact in said) for said in refunds.values() if _stands(said))
    openings = (fact for fact in told if fact.kind is Kind.OPENING_REFUNDED)
    return named + sum(_unnamed(opening, refunds.values()) for opening in openings)


def _stands(said: Iterable[Fact]) -> bool:
    return refund_state(fact.kind for fact in said) is not RefundState.FAILED


def _unnamed(opening: Fact, refunds: Iterable[Sequence[Fact]]) -> int:
    """What was given back before an import, less what has got a name since: the refunds that stood at that moment."""
    stood = (_stood(said, opening) for said in refunds)
    return max(opening.amount - sum(max(fact.amount for fact in said) for said in stood if said), 0)


def _stood(said: Iterable[Fact], opening: Fact) -> Sequence[Fact]:
    """What had been said of a refund when an import's figures were true; nothing, where it had failed by then."""
    by_then = [fact for fact in said if fact.said_at <= opening.said_at]
    return by_then if _stands(by_then) else ()


def of_before(said: Iterable[Fact], told: Iterable[Fact]) -> bool:
    """Whether a refund is one of those that an import of its charge has summed up."""
    return any(_stood(said, fact) for fact in told if fact.kind is Kind.OPENING_REFUNDED)


def _height(fact: Fact) -> tuple[int, int]:
    """Where a fact stands among its charge's: not by its time, which is that of whichever telling came first."""
    return CHARGE_RANK.index(CHARGE_SAYS[fact.kind]), fact.amount


def described(detail: Mapping[str, Any]) -> dict[str, Any]:
    """What a telling says of the charge itself, without the name of the event that told it."""
    return {name: value for name, value in detail.items() if value is not None and name != "event_type"}
