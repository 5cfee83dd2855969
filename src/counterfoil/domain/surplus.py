"""Surplus: money taken although its payment was paid already. It is given back by itself, and stays visible.

A gateway may capture what we never asked it to (an account that captures by itself, a person in its dashboard). Nothing
of it is ever the payment's own: what is due back is all that the charge still holds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from counterfoil.domain.attempt import Attempt, AttemptState
from counterfoil.domain.call import Call, Settled, Verb
from counterfoil.domain.charge import Charge, ChargeState

# A refund that the gateway refuses so often (a balance that stays short) waits for a person, who was called at once.
REFUSALS_MOST: Final = 10
_GIVES_BACK: Final = frozenset({None, Settled.UNKNOWN, Settled.ACCEPTED})


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be given back of a charge, in minor units."""

    charge: Charge
    amount: int


def due(charges: Sequence[Charge], calls: Sequence[Call]) -> Due | None:
    """The next refund to ask for; None where all is given back, asked for, or with a person."""
    return next((found for charge in charges if (found := _due(charge, calls))), None)


def owed(charges: Sequence[Charge], calls: Sequence[Call]) -> bool:
    """Whether something is still to be asked for, or to be heard of: the payment is looked after until then."""
    under_way = any(call.verb is Verb.REFUND and not call.is_settled for call in calls)
    return under_way or due(charges, calls) is not None


def _due(charge: Charge, calls: Sequence[Call]) -> Due | None:
    left = charge.captured - charge.refunded_seen - charge.disputed_held - charge.reserved
    asked = [c.settled for c in calls if c.verb is Verb.REFUND and c.charge_ref == charge.ref]
    if not charge.surplus or left <= 0 or _GIVES_BACK & set(asked) or len(asked) >= REFUSALS_MOST:
        return None
    return Due(charge, left)


def late(
    attempts: Sequence[Attempt], charges: Sequence[Charge], winner_attempt_id: str | None
) -> Charge | None:
    """An authorisation that came on a fenced attempt, after its payment was paid through another.

    It may be left to the gateway, which gives it back after days, or be captured and given back at once, by setting.
    """
    fenced = {attempt.id for attempt in attempts if attempt.state is AttemptState.FENCED}
    paid = any(
        charge.captured and not charge.surplus and charge.attempt_id == winner_attempt_id
        for charge in charges
    )
    held = (c for c in charges if c.state is ChargeState.AUTHORIZED and c.attempt_id in fenced)
    return next(held, None) if paid else None
