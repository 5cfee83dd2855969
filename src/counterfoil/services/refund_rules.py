"""Refunds that nobody asks for: the settings' rules find what should go back, once for each payment.

A payment that was made twice, and one of which the card network warns: given back before it becomes a dispute.
"""

from datetime import timedelta
from typing import Final

from counterfoil.domain.charge import Charge
from counterfoil.domain.fact import Kind
from counterfoil.domain.payment import Status, winner_charge
from counterfoil.domain.refund import Source, refundable
from counterfoil.services import refunding
from counterfoil.services.context import Context
from counterfoil.services.refunding import Wish
from counterfoil.store import payments, queue
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family

# Two payments for one thing are made within minutes; the next day the same reference may be a new order.
DUPLICATE_WITHIN: Final = timedelta(days=1)


def may_be_due(ctx: Context, family: Family) -> bool:
    """Whether a rule might hold: cheap, so that it can be asked of every payment that something was heard of."""
    policy = ctx.directory.refunding
    charge = _charge(family) if policy.early_warnings or policy.duplicates else None
    if charge is None:
        return False
    return _warned(ctx, family, charge) or (policy.duplicates and family.payment.reference is not None)


async def give_back(ctx: Context, payment_id: str) -> None:
    """Refund what a rule says should go back, and send it."""
    if not (ctx.directory.refunding.early_warnings or ctx.directory.refunding.duplicates):
        return
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, payment_id)
        charge = _charge(family)
        found = await _rule(ctx, conn, family, charge) if charge else None
        if charge is None or found is None:
            return
        reason, rule = found
        wish = Wish(
            id=ctx.new_id("refund"),
            charge=charge,
            amount=None,
            reason=reason,
            source=Source.RULE,
            rule=f"automatic: {rule}",
        )
        _, refund = await refunding.place(ctx, conn, family, wish)
    await refunding.send(ctx, payment_id, refund.id)


def _charge(family: Family) -> Charge | None:
    """What paid the payment, while something of it is left and no rule has given it back before."""
    charge = winner_charge(family.payment.winner_attempt_id, family.charges)
    done = any(refund.source is Source.RULE for refund in family.refunds)
    return charge if charge is not None and refundable(charge) and not done else None


async def _rule(ctx: Context, conn: Connection, family: Family, charge: Charge) -> tuple[str, str] | None:
    """The reason and the rule of what should go back; None where nothing should."""
    if _warned(ctx, family, charge):
        return "fraudulent", "the card network warns of fraud"
    payment = family.payment
    if (
        not ctx.directory.refunding.duplicates
        or payment.reference is None
        or payment.status is not Status.CAPTURED
    ):
        return None
    twins = await payments.twins(conn, payment, within=DUPLICATE_WITHIN)
    if twins and twins[0] < payment.id:
        return "duplicate", f"paid before, as {twins[0]}"
    if twins:  # the later of two is given back, whichever is captured first
        await queue.enqueue(conn, queue.LOOK_AFTER, twins[:1])
    return None


def _warned(ctx: Context, family: Family, charge: Charge) -> bool:
    return ctx.directory.refunding.early_warnings and any(
        fact.kind is Kind.WARNING_EARLY_FRAUD and fact.charge_ref == charge.ref for fact in family.facts
    )
