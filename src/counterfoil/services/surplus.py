"""Giving back what was taken although the payment was paid already, or over: by itself, once, and never more than was taken."""

from counterfoil.domain import surplus
from counterfoil.domain.call import Verb
from counterfoil.domain.charge import Charge
from counterfoil.domain.refund import Source
from counterfoil.services import attempts, calling, refunding
from counterfoil.services.context import Context
from counterfoil.services.refunding import Wish
from counterfoil.store import payments
from counterfoil.store.calls import CallInFlightError
from counterfoil.store.payments import Family

REASON = "duplicate"
RULE = "automatic: taken although the payment was paid already, or over"


def due(family: Family) -> Charge | None:
    """The next charge that was taken too much, and of which something is still to be given back."""
    return surplus.due(family.charges, family.refunds)


def late(ctx: Context, family: Family) -> Charge | None:
    """An authorisation that came too late and is to be captured and given back. By setting; else it is left."""
    if ctx.directory.routing.late_authorization != "refund":
        return None
    return surplus.late(family.attempts, family.charges, family.payment.winner_attempt_id)


async def give_back(ctx: Context, payment_id: str) -> None:
    """Refund the surplus: nobody is asked, since it was never the payment's own."""
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, payment_id)
        charge = due(family)
        if charge is None:
            return
        wish = Wish(
            id=ctx.new_id("refund"),
            charge=charge,
            amount=None,
            reason=REASON,
            source=Source.SURPLUS,
            rule=RULE,
        )
        _, refund = await refunding.place(ctx, conn, family, wish)
    await refunding.send(ctx, payment_id, refund.id)


async def take_late(ctx: Context, payment_id: str) -> None:
    """Capture an authorisation that came too late, so that it can be given back at once."""
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, payment_id)
        charge = late(ctx, family)
        if charge is None:
            return
        attempt = family.attempt(charge.attempt_id)
        try:
            call = await calling.begin(
                ctx, conn, attempt, Verb.CAPTURE, charge_ref=charge.ref, amount=charge.amount
            )
        except CallInFlightError:
            return
    await attempts.capture(ctx, attempt, charge, call)
