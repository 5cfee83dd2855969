"""A retry goes on where the process of its first request died: what was sent is read, or sent again under its own key;
an opening that nobody has seen is given up, and another is made.
"""

from collections.abc import Sequence
from datetime import datetime

from counterfoil.domain.call import Call, Verb
from counterfoil.domain.routing import Choice
from counterfoil.services import attempts, failover, settling, standing
from counterfoil.services.context import Context
from counterfoil.store import payments
from counterfoil.store.payments import Family


async def opening(
    ctx: Context, payment_id: str, choices: Sequence[Choice], *, since: datetime
) -> tuple[Family, Call | None]:
    """Give up an opening of the request that was never answered, and place another at the first choice.

    No call where none may follow: something can still be paid, or the request's attempt was shown to somebody.
    """
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, payment_id)
        for call in family.unsettled:
            if call.verb is Verb.OPEN:
                family = await attempts.give_up(ctx, conn, family, call)
        shown = any(a.disclosed_at for a in family.attempts if a.created_at >= since)
        if shown or not choices or not attempts.may_follow(ctx, family):
            return await standing.recompute(ctx, conn, family), None
        return await attempts.place(ctx, conn, family, choices[0])


async def change_of_gateway(ctx: Context, payment_id: str, *, since: datetime) -> Family | None:
    """Go on with a change of gateway. None where nothing of it was begun, or it has become of no use."""
    await _cancel_again(ctx, payment_id, since)
    family = await settling.sync(ctx, payment_id)
    opened = [attempt for attempt in family.attempts if attempt.created_at >= since]
    if not opened:
        return family if family.payment.planned_gateway else None
    choices = failover.choices(ctx, family.payment, opened[0].gateway)
    family, call = await opening(ctx, payment_id, choices, since=since)
    return await failover.open_at(ctx, family, call, choices[1:]) if call else family


async def _cancel_again(ctx: Context, payment_id: str, since: datetime) -> None:
    """The fence of an earlier attempt may never have left: the gateway carries it out once."""
    async with ctx.db.reading() as conn:
        family = await payments.get(conn, payment_id)
    for call in family.unsettled:
        if call.verb is Verb.CANCEL and call.started_at >= since:
            await attempts.cancel(ctx, family.attempt(call.attempt_id), call)
