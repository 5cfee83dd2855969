"""Further tries are made when they are due: the saved method charged again, or the customer invited.

Due ones are rows, found by their time and taken with SKIP LOCKED, so that a plan survives every restart and two sweepers
do no harm. A charge goes by the rules of a failover: every earlier attempt is fenced or dead and nothing is unknown, then
another attempt is opened, at the same account; the try counts as made in the commit that is about to charge.
"""

import asyncio
from dataclasses import replace
from datetime import timedelta
from typing import Final

import structlog

from counterfoil.domain.attempt import ENDED, AttemptState
from counterfoil.domain.call import Call, Verb
from counterfoil.domain.fact import DECLINES
from counterfoil.domain.fact import Kind as Said
from counterfoil.domain.retry import Kind, Retry, State
from counterfoil.domain.routing import Choice
from counterfoil.gateways.base import Method
from counterfoil.services import attempts, mailing, planning, settling, standing
from counterfoil.services.auditing import decided
from counterfoil.services.context import Context
from counterfoil.store import payments, retries
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family

# Tries that one process makes at once: each is a handful of calls to the gateway.
AT_ONCE: Final = 20
# When a try comes again that could not be made, or whose process died: past all calls of one that still runs.
AGAIN: Final = timedelta(minutes=2)
# How long a customer may be with their bank, and how long one whose bank takes its time is left alone.
MEANWHILE: Final = timedelta(hours=1)
PROGRESS: Final = DECLINES | {Said.ATTEMPT_ACTION, Said.ATTEMPT_PROCESSING, Said.CHARGE_CREATED}

log = structlog.get_logger()


async def due_retries(ctx: Context) -> bool:
    """Make the tries that are due. True where there may be more."""
    async with ctx.db.transaction() as conn:
        due = await retries.take_due(conn, now=ctx.now(), until=ctx.now() + AGAIN, limit=AT_ONCE)
    ended = await asyncio.gather(*(carry_out(ctx, payment_id) for payment_id in due), return_exceptions=True)
    for payment_id, end in zip(due, ended, strict=True):
        if isinstance(end, BaseException):
            log.warning("retry broke off; it comes again", payment=payment_id, error=type(end).__name__)
    return len(due) == AT_ONCE


async def carry_out(ctx: Context, payment_id: str) -> None:
    """Make the payment's planned try, if it is due and can be made; else it comes again, or has become needless."""
    async with ctx.db.reading() as conn:
        family = await payments.get(conn, payment_id)
    if family.planned is None or family.planned.due_at > ctx.now():
        return
    if family.planned.kind is Kind.INVITATION:
        await _invite(ctx, payment_id)
        return
    family = await settling.sync(ctx, payment_id)  # the customer may have paid meanwhile
    planned = family.planned
    if planned is None or standing.unknown(family):
        return
    if _is_at_it(ctx, family, planned):
        async with ctx.db.transaction() as conn:
            await retries.update(conn, planned, next_check_at=ctx.now() + MEANWHILE)
        return
    await _charge(ctx, family, planned)


def _is_at_it(ctx: Context, family: Family, planned: Retry) -> bool:
    """Whether the customer is paying meanwhile: their bank takes its time, or asks them something."""
    living = {a.id for a in family.attempts if a.state not in ENDED and a.id != planned.attempt_id}
    said = [fact for fact in family.facts if fact.attempt_id in living and fact.kind in PROGRESS]
    if not said:
        return False
    last = max(said, key=lambda fact: (fact.said_at, fact.kind in DECLINES))
    asked = last.kind is Said.ATTEMPT_ACTION and ctx.now() < last.said_at + MEANWHILE
    return asked or last.kind in {Said.ATTEMPT_PROCESSING, Said.CHARGE_CREATED}


async def _invite(ctx: Context, payment_id: str) -> None:
    async with ctx.db.transaction() as conn:
        family = await standing.recompute(ctx, conn, await payments.lock(conn, payment_id))
        planned = family.planned
        if planned is None:
            return
        family = await planning.end(ctx, conn, family, planned, State.DONE)
        asked = await mailing.invite(ctx, conn, family.payment, planned.number)
        detail = {"number": planned.number, "of": planned.out_of, "after": planned.reason, "mail": asked}
        await decided(ctx, conn, family.payment, "payment.invitation", detail)
        await standing.touch(ctx, conn, family)


async def _charge(ctx: Context, family: Family, planned: Retry) -> None:
    """Fence what lives, open an attempt for the try, and charge the method on it."""
    for attempt in family.attempts:
        if attempt.state not in ENDED and attempt.id != planned.attempt_id:
            await attempts.fence(ctx, family.payment.id, attempt.id)
    call = await _open(ctx, family.payment.id)
    if call is None or planned.method_ref is None:
        return
    async with ctx.db.reading() as conn:
        family = await payments.get(conn, family.payment.id)
    method = Method(payment_method=planned.method_ref, off_session=True)
    family, _ = await attempts.confirm(ctx, family, call, method)
    if attempts.to_capture(family) is not None:
        await attempts.capture_due(ctx, family.payment.id)


async def _open(ctx: Context, payment_id: str) -> Call | None:
    """The intent to charge, on an attempt opened for the planned try; None where it cannot be made now."""
    async with ctx.db.transaction() as conn:
        family = await standing.recompute(ctx, conn, await payments.lock(conn, payment_id))
        planned = family.planned
        if planned is None or not _free(family, planned):
            return None
        if planned.attempt_id is not None:
            return await _begin(ctx, conn, family)
        family, opening = await _place(ctx, conn, family, planned)

    async def go_on(conn: Connection, family: Family) -> Call | None:
        return await _begin(ctx, conn, family)

    return (await attempts.open_first(ctx, family, opening, [], go_on))[1]


def _free(family: Family, planned: Retry) -> bool:
    """Whether nothing else can be charged, and nothing is under way."""
    return not family.unsettled and all(
        attempt.state in ENDED for attempt in family.attempts if attempt.id != planned.attempt_id
    )


async def _place(ctx: Context, conn: Connection, family: Family, planned: Retry) -> tuple[Family, Call]:
    """An attempt at the account where the method is saved, even where that takes no new payments any more."""
    before, opened = family.attempt(planned.after_attempt_id), ctx.new_id("attempt")
    await retries.update(conn, planned, attempt_id=opened)
    family = family.with_retry(replace(planned, attempt_id=opened))
    reason = (
        f"further try {planned.number} of {planned.out_of}, after {planned.reason}: the same saved method"
    )
    choice = Choice(before.gateway, reason)
    return await attempts.place(ctx, conn, family, choice, id_=opened, account_id=before.account_id)


async def _begin(ctx: Context, conn: Connection, family: Family) -> Call | None:
    """Write the intent to charge: from this commit on the try is made. None where it is not wanted any more."""
    planned = family.planned
    if planned is None or planned.attempt_id is None or not _free(family, planned):
        return None
    attempt, payment = family.attempt(planned.attempt_id), family.payment
    charged = any(call.attempt_id == attempt.id and call.verb is Verb.CONFIRM for call in family.calls)
    if charged or attempt.state is not AttemptState.OPEN or attempt.ref is None or payment.winner_attempt_id:
        return None
    family = await planning.end(ctx, conn, family, planned, State.DONE)
    family = await planning.stay_open(conn, family, ctx.now())
    await payments.update(conn, payment.id, saved_method=planned.method_ref)
    detail = {"number": planned.number, "of": planned.out_of, "attempt": attempt.id}
    await decided(ctx, conn, payment, "payment.retry", detail)
    return await attempts.begin_confirm(ctx, conn, family, attempt)
