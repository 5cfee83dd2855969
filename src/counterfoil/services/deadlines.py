"""Deadlines: a bank that waits for an answer is told of in time, and open disputes are read again at their gateways.

What is due is taken with SKIP LOCKED and pushed on before it is worked on, like all that is swept.
"""

import asyncio
from datetime import datetime, timedelta
from typing import Final

import structlog

from counterfoil.domain.dispute import OPEN, Dispute
from counterfoil.domain.money import Money
from counterfoil.services import dispute_settling, mailing
from counterfoil.services.context import Context
from counterfoil.services.dispute_standing import DEADLINE
from counterfoil.services.exceptions import call_a_person
from counterfoil.store import disputes, payments
from counterfoil.store.database import Connection
from counterfoil.store.exceptions import Again
from counterfoil.store.payments import Family

# Before the deadline: a week, to gather what only people have; two days and one, in case nobody did; and when it is
# missed. The first alarm of all is raised when the dispute is first heard of.
ALARMS: Final = (timedelta(days=7), timedelta(days=2), timedelta(days=1), timedelta(0))
# Banks take weeks, and webhooks tell of most: a lost one is made up for within the day.
FIRST_READ: Final = timedelta(hours=1)
LONGEST: Final = timedelta(hours=24)
AT_ONCE: Final = 20  # disputes read at once by one process: a fraction of what either gateway allows a second

log = structlog.get_logger()


async def due_disputes(ctx: Context) -> bool:
    """Raise the alarms that are due and read what is to be read again. True where there may be more."""
    async with ctx.db.reading() as conn:
        if not await disputes.any_due(conn, ctx.now()):
            return False
    async with ctx.db.transaction() as conn:
        due = await disputes.take_due(conn, now=ctx.now(), first=FIRST_READ, longest=LONGEST, limit=AT_ONCE)
    ended = await asyncio.gather(
        *(_look(ctx, dispute_id, payment_id) for dispute_id, payment_id in due), return_exceptions=True
    )
    for (dispute_id, _), end in zip(due, ended, strict=True):
        if isinstance(end, BaseException):
            log.warning("dispute not read; it is tried again", dispute=dispute_id, error=type(end).__name__)
    return len(due) == AT_ONCE


async def _look(ctx: Context, dispute_id: str, payment_id: str) -> None:
    """Read first: what is told to people is then as new as can be."""
    async with ctx.db.reading() as conn:
        dispute = await disputes.get(conn, dispute_id)
    await dispute_settling.read(ctx, dispute)
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, payment_id)
        await _alarm(ctx, conn, family, family.dispute(dispute_id))


async def _alarm(ctx: Context, conn: Connection, family: Family, dispute: Dispute) -> None:
    """Raise the alarm that is due, and plan the next look. Its name makes it one, however often it is raised."""
    now = ctx.now()
    if dispute.waits_for_us:
        deadline = f"{dispute.respond_by:%Y-%m-%dT%H:%MZ}" if dispute.respond_by else "no deadline"
        subject = f"{dispute.id}/{deadline}/{due_alarms(dispute, now)}"
        sentence = say(dispute, now)
        await call_a_person(
            ctx, conn, family.payment, kind=DEADLINE, subject=subject, sentence=sentence, again=Again.NEVER
        )
        await mailing.tell_dispute(ctx, conn, family.payment, subject)
    await disputes.plan(conn, dispute.id, next_look(dispute, now))


def due_alarms(dispute: Dispute, now: datetime) -> int:
    """How many alarms are to have been raised by now: one for the dispute itself, and those before its deadline."""
    if dispute.respond_by is None:
        return 1
    return 1 + sum(now >= dispute.respond_by - before for before in ALARMS)


def next_look(dispute: Dispute, now: datetime) -> datetime | None:
    """When it is read again, or earlier, when an alarm is due; None where it has ended."""
    if dispute.state not in OPEN:
        return None
    planned = max(dispute.next_check_at or now, now + FIRST_READ)
    if dispute.respond_by is None or not dispute.waits_for_us:
        return planned
    alarms = [dispute.respond_by - before for before in ALARMS]
    return min([planned, *(moment for moment in alarms if moment > now)])


def say(dispute: Dispute, now: datetime) -> str:
    """What is at stake and how long there is, for a person."""
    asks = f"{dispute.gateway} dispute {dispute.ref} of {Money(dispute.amount, dispute.currency)}"
    why = f" ({dispute.reason})" if dispute.reason else ""
    if dispute.respond_by is None:
        return f"The {asks}{why} waits for an answer: submit evidence for {dispute.id}, or accept it."
    until = f"{dispute.respond_by:%Y-%m-%d %H:%M} UTC"
    if now >= dispute.respond_by:
        return f"The {asks}{why} was to be answered by {until}, and nobody has: it will probably be lost."
    left = dispute.respond_by - now
    days = f"{left.days} days" if left.days > 1 else f"{int(left.total_seconds() // 3600)} hours"
    return (
        f"The {asks}{why} waits for an answer until {until}, {days} from now:"
        f" submit evidence for {dispute.id}, or accept it."
    )
