"""What is not known is asked about: unknown outcomes are settled by reading, never by guessing and never by age.

The gateway is read, its facts are learned, and the call's own effect is looked for among them. Absence counts only
after twice our timeout and two empty reads (gateways 1.2 and 2.2: a lost answer may still be under way).
"""

from datetime import datetime, timedelta
from typing import Final

from counterfoil.domain.attempt import ENDED, Attempt
from counterfoil.domain.call import OF_ATTEMPT, Call, Settled, Verb
from counterfoil.domain.fact import DECLINES, Kind
from counterfoil.domain.payment import PAYABLE
from counterfoil.gateways.base import Accepted
from counterfoil.gateways.http import TOTAL_S
from counterfoil.services import (
    attempts,
    calling,
    dispute_settling,
    facts,
    failover,
    planning,
    refund_rules,
    refunding,
    standing,
    surplus,
)
from counterfoil.services.context import Context
from counterfoil.store import calls, payments
from counterfoil.store import facts as stored_facts
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family

# Twice our timeout after the last sending, which is a resend that may begin one timeout after the first: whatever was
# sent has arrived by then, or never will.
ABSENCE_COUNTS_AFTER: Final = timedelta(seconds=3 * TOTAL_S)
EMPTY_READS: Final = 2

# The fact that shows a call's effect. Any of these on the attempt after a confirm says that it was carried out.
EFFECTS: Final = {
    Verb.CONFIRM: frozenset(
        {
            Kind.ATTEMPT_ACTION, Kind.ATTEMPT_PROCESSING, Kind.ATTEMPT_DECLINED,
            Kind.CHARGE_CREATED, Kind.CHARGE_FAILED, Kind.CHARGE_AUTHORIZED, Kind.CHARGE_CAPTURED,
        }
    ),
    Verb.CAPTURE: frozenset({Kind.CHARGE_CAPTURED, Kind.CHARGE_VOIDED}),
    Verb.CANCEL: frozenset({Kind.ATTEMPT_CANCELLED, Kind.CHARGE_CAPTURED}),
}  # fmt: skip
# What an attempt may be known for from an earlier try too, so that it is told once and for both. While it stands after
# whatever was sent must have arrived, the customer or the bank is acting: that is what became of a confirm.
STANDS: Final = frozenset({Kind.ATTEMPT_ACTION, Kind.ATTEMPT_PROCESSING})


async def sync(ctx: Context, payment_id: str) -> Family:
    """Ask every gateway how the payment's attempts stand, settle what was unknown, and do what is due."""
    family = await _read(ctx, payment_id)
    for attempt in family.attempts:
        family = await _look_at(ctx, family, attempt)
    for call in family.unsettled:
        if call.verb is Verb.REFUND:
            await _look_for(ctx, call, family.attempt(call.attempt_id))
        if call.dispute_id:
            await dispute_settling.settle(ctx, call)
    await look_after(ctx, payment_id)
    await failover.carry_out(ctx, payment_id)
    return await _end(ctx, payment_id)


def is_due(ctx: Context, family: Family) -> bool:
    """Whether look_after would find something to do."""
    capture = attempts.to_capture(family) or surplus.late(ctx, family)
    return capture is not None or surplus.due(family) is not None or refund_rules.may_be_due(ctx, family)


async def look_after(ctx: Context, payment_id: str) -> None:
    """Do what is due: capture what is wanted, give back what is surplus. Does nothing where nothing is."""
    await attempts.capture_due(ctx, payment_id)
    await surplus.take_late(ctx, payment_id)
    await surplus.give_back(ctx, payment_id)
    await refund_rules.give_back(ctx, payment_id)
    await refunding.send_due(ctx, payment_id)


async def _read(ctx: Context, payment_id: str) -> Family:
    async with ctx.db.reading() as conn:
        return await payments.get(conn, payment_id)


async def _look_at(ctx: Context, family: Family, attempt: Attempt) -> Family:
    """Read one attempt at its gateway and learn what it says."""
    collect = ctx.directory.gateway(attempt.account_id).collect
    if attempt.ref is not None:
        outcome = await collect.look_up(attempt.ref)
    elif attempt.dead_at is None:
        since = attempt.created_at - ABSENCE_COUNTS_AFTER
        outcome = await collect.find(attempts.opening_of(family, attempt), since=since)
    else:
        return family
    if not isinstance(outcome, Accepted):
        return family
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, family.payment.id)
        if outcome.ref and family.attempt(attempt.id).ref is None:
            await payments.update_attempt(conn, attempt.id, ref=outcome.ref)
            family = await payments.get(conn, family.payment.id)
        learned = await facts.apply_read(ctx, conn, family, outcome.reports, subject=attempt.id)
        family = learned or family
        for call in family.unsettled:
            if call.attempt_id == attempt.id and call.verb in OF_ATTEMPT:
                family = await _settle(ctx, conn, family, call, outcome)
        return family


async def _look_for(ctx: Context, call: Call, attempt: Attempt) -> None:
    """Look for a refund whose outcome is not known, by our reference: it is never sent again before."""
    refunds = ctx.directory.gateway(attempt.account_id).refunds
    if refunds is None or call.charge_ref is None:
        return
    seen = await refunds.find_refund(call.charge_ref, reference=call.refund_id or call.id)
    if not isinstance(seen, Accepted):
        return
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, call.payment_id)
        if call.id not in {unsettled.id for unsettled in family.unsettled}:
            return
        learned = await facts.apply_read(ctx, conn, family, seen.reports, subject=call.id)
        if learned is None:
            return
        family = learned
        old = ctx.now() - call.started_at >= ABSENCE_COUNTS_AFTER
        if seen.ref is not None:
            await _write(ctx, conn, family, call, Settled.ACCEPTED, "found by our reference")
        elif old and await calls.count_read(conn, call.id) >= EMPTY_READS:
            await _write(ctx, conn, family, call, Settled.ABANDONED, "not carried out, by reading twice")
        elif old and call.settled is None:
            await _write(ctx, conn, family, call, Settled.UNKNOWN, "no answer was recorded")


async def _settle(ctx: Context, conn: Connection, family: Family, call: Call, read: Accepted) -> Family:
    """Settle one call by what the gateway was just read to say."""
    old = ctx.now() - call.started_at >= ABSENCE_COUNTS_AFTER
    if call.verb is Verb.OPEN:
        if read.ref is not None:
            return await _write(ctx, conn, family, call, Settled.ACCEPTED, "found by our reference")
        if old and await calls.count_read(conn, call.id) >= EMPTY_READS:
            return await attempts.abandon(ctx, conn, call)
        return family
    # What was known before the call began, as the decline of the card before, is not its effect.
    learned = await stored_facts.kinds_of_attempt(
        conn, family.attempt(call.attempt_id), said_from=_since(call), learned_from=call.started_at
    )
    standing_now = {report.kind for report in read.reports} & STANDS if old else frozenset()
    seen = (learned | standing_now) & EFFECTS[call.verb]
    if seen:
        declined = call.verb is Verb.CONFIRM and seen <= DECLINES
        return await _write(
            ctx, conn, family, call, Settled.DECLINED if declined else Settled.ACCEPTED, "seen by reading"
        )
    if old and await calls.count_read(conn, call.id) >= EMPTY_READS:
        return await _write(ctx, conn, family, call, Settled.ABANDONED, "without effect, by reading twice")
    if call.settled is None and old:
        return await _write(ctx, conn, family, call, Settled.UNKNOWN, "no answer was recorded")
    return family


def _since(call: Call) -> datetime:
    """Gateways count in whole seconds, and their clocks and ours differ a little."""
    return (
        call.started_at - timedelta(seconds=5)
        if call.verb is Verb.CONFIRM
        else call.started_at - timedelta(days=3650)
    )


async def _write(
    ctx: Context, conn: Connection, family: Family, call: Call, settled: Settled, message: str
) -> Family:
    return await standing.recompute(ctx, conn, await calling.close(ctx, conn, family, call, settled, message))


async def _end(ctx: Context, payment_id: str) -> Family:
    """Fence what is past its time or was asked to end, and let the status follow."""
    family = await _read(ctx, payment_id)
    payment = family.payment
    expired = planning.expired(ctx, family) and payment.status in PAYABLE
    if expired or payment.cancel_requested_at is not None:
        for attempt in family.attempts:
            if attempt.state not in ENDED:
                family = await attempts.fence(ctx, payment_id, attempt.id)
        async with ctx.db.transaction() as conn:
            return await standing.recompute(ctx, conn, await payments.lock(conn, payment_id))
    return family
