"""Surplus: money taken although its payment was paid already. It is given back by itself, and stays visible.

A gateway may capture what we never asked it to (an account that captures by itself, a person in its dashboard). Nothing
of it is ever the payment's own: what is due back is all that the charge still holds.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Protocol

from counterfoil.domain.attempt import Attempt, AttemptState
from counterfoil.domain.call import Settled, Verb
from counterfoil.domain.charge import Charge, ChargeState

# A refund that the gateway refuses so often (a balance that stays short) waits for a person, who was called at once.
REFUSALS_MOST: Final = 10
_GIVES_BACK: Final = frozenset({None, Settled.UNKNOWN, Settled.ACCEPTED})


class Call(Protocol):
    """What is asked here of a call."""

    @property
    def verb(self) -> Verb: ...
    @property
    def charge_ref(self) -> str | None: ...
    @property
    def settled(self) -> Settled | None: ...


class Family(Protocol):
    """A payment with what hangs on it."""

    @property
    def attempts(self) -> tuple[Attempt, ...]: ...
    @property
    def charges(self) -> tuple[Charge, ...]: ...
    @property
    def calls(self) -> Iterable[Call]: ...


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be given back of a charge, in minor units."""

    charge: Charge
    amount: int


def due(family: Family) -> Due | None:
    """The next refund to ask for; None where all is given back, asked for, or with a person."""
    return next((found for charge in family.charges if (found := _due(family, charge))), None)


def owed(family: Family) -> bool:
    """Whether something is still to be asked for, or to be heard of: the payment is looked after until then."""
    under_way = any(c.verb is Verb.REFUND and c.settled in {None, Settled.UNKNOWN} for c in family.calls)
    return under_way or due(family) is not None


def _due(family: Family, charge: Charge) -> Due | None:
    left = charge.captured - charge.refunded_seen - charge.disputed_held - charge.reserved
    asked = [c.settled for c in family.calls if c.verb is Verb.REFUND and c.charge_ref == charge.ref]
    if not charge.surplus or left <= 0 or _GIVES_BACK & set(asked) or len(asked) >= REFUSALS_MOST:
        return None
    return Due(charge, left)


def late(family: Family, winner_attempt_id: str | None) -> Charge | None:
    """An authorisation that came on a fenced attempt, after its payment was paid through another.

    It may be left to the gateway, which gives it back after days, or be captured and given back at once, by setting.
    """
    fenced = {attempt.id for attempt in family.attempts if attempt.state is AttemptState.FENCED}
    paid = any(
        charge.captured and not charge.surplus and charge.attempt_id == winner_attempt_id
        for charge in family.charges
    )
    held = (c for c in family.charges if c.state is ChargeState.AUTHORIZED and c.attempt_id in fenced)
    return next(held, None) if paid else None
