"""Giving back what was taken although the payment was paid already: by itself, once, and never more than was taken."""

from dataclasses import replace

from counterfoil.domain import surplus
from counterfoil.domain.call import Verb
from counterfoil.gateways.base import Accepted, Refused
from counterfoil.services import calling
from counterfoil.services.auditing import decided
from counterfoil.services.context import Context
from counterfoil.store import payments
from counterfoil.store.calls import Call, CallInFlightError
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family


async def give_back(ctx: Context, payment_id: str) -> Family:
    """Refund the surplus: write the intent, call, write the outcome. Does nothing where nothing is due."""
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, payment_id)
        due = surplus.due(family)
        if due is None:
            return family
        attempt = family.attempt(due.charge.attempt_id)
        call = await _begin(ctx, conn, family, due)
    refunds = ctx.directory.gateway(attempt.account_id).refunds
    if call is None or refunds is None:
        return family
    money = replace(attempt.money, minor=due.amount)
    outcome = await refunds.refund(due.charge.ref, money, reference=call.id, key=call.key)
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
    """Capture an authorisation that came too late, so that it can be given back at once. By setting; else it is left."""
    if ctx.directory.routing.late_authorization != "refund":
        return
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, payment_id)
        charge = surplus.late(family, family.payment.winner_attempt_id)
        if charge is None:
            return
        attempt = family.attempt(charge.attempt_id)
        try:
            call = await calling.begin(
                ctx, conn, attempt, Verb.CAPTURE, charge_ref=charge.ref, amount=charge.amount
            )
        except CallInFlightError:
            return
    collect = ctx.directory.gateway(attempt.account_id).collect
    money = replace(attempt.money, minor=charge.amount)
    outcome = await collect.capture(attempt.ref or "", charge.ref, money, key=call.key)
    seen = (
        await collect.look_up(attempt.ref or "") if isinstance(outcome, Refused) and outcome.already else None
    )
    async with ctx.db.transaction() as conn:
        await calling.settle(ctx, conn, call, seen if isinstance(seen, Accepted) else outcome)
