"""Giving back what was taken although the payment was paid already: by itself, once, and never more than was taken."""

from dataclasses import replace

from counterfoil.domain import surplus
from counterfoil.domain.call import Call, Verb
from counterfoil.domain.charge import Charge
from counterfoil.services import attempts, calling
from counterfoil.services.auditing import decided
from counterfoil.services.context import Context
from counterfoil.store import payments
from counterfoil.store.calls import CallInFlightError
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family


def due(family: Family) -> surplus.Due | None:
    """The next refund of what was taken too much."""
    return surplus.due(family.charges, family.calls)


def late(ctx: Context, family: Family) -> Charge | None:
    """An authorisation that came too late and is to be captured and given back. By setting; else it is left."""
    if ctx.directory.routing.late_authorization != "refund":
        return None
    return surplus.late(family.attempts, family.charges, family.payment.winner_attempt_id)


async def give_back(ctx: Context, payment_id: str) -> Family:
    """Refund the surplus: write the intent, call, write the outcome. Does nothing where nothing is due."""
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, payment_id)
        wanted = due(family)
        if wanted is None:
            return family
        attempt = family.attempt(wanted.charge.attempt_id)
        call = await _begin(ctx, conn, family, wanted)
    refunds = ctx.directory.gateway(attempt.account_id).refunds
    if call is None or refunds is None:
        return family
    money = replace(attempt.money, minor=wanted.amount)
    outcome = await refunds.refund(wanted.charge.ref, money, reference=call.id, key=call.key)
    async with ctx.db.transaction() as conn:
        return await calling.settle(ctx, conn, call, outcome)


async def _begin(ctx: Context, conn: Connection, family: Family, due: surplus.Due) -> Call | None:
    attempt, charge = family.attempt(due.charge.attempt_id), due.charge
    if ctx.directory.gateway(attempt.account_id).refunds is None:
        return None
    try:
        call = await calling.begin(ctx, conn, attempt, Verb.REFUND, charge_ref=charge.ref, amount=due.amount)
    except CallInFlightError:
        return None
    detail = {"charge": charge.ref, "gateway": attempt.gateway, "amount": due.amount}
    await decided(ctx, conn, family.payment, "payment.surplus_refund", detail)
    return call


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
