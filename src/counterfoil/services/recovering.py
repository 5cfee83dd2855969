"""Recovering what no webhook brought: the gateways' own lists are read again, window by window, for ever.

A list is read from where the last window ended. At the end of a pass the next one begins earlier by the list's
overlap, because some things appear late. After days without us it catches up a window at a time. What is found is
kept once, however often it is read: events by their id, objects by their facts. What is found and cannot be learned is
handed to a person, for the window after it has no memory of it.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final

import structlog

from counterfoil.domain import ids
from counterfoil.domain.charge import ChargeState
from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.domain.fact import Report
from counterfoil.gateways.base import (
    Found,
    Gateway,
    Listed,
    Listing,
    Recover,
    Refused,
    Unknown,
)
from counterfoil.gateways.wire import plain
from counterfoil.services import facts, inbox, settling
from counterfoil.services.accounts import Verifier
from counterfoil.services.context import Context
from counterfoil.services.exceptions import call_a_person, call_a_person_about_account
from counterfoil.services.facts import DisagreementError
from counterfoil.store import exceptions, payments, queue, recovery
from counterfoil.store import inbox as stored_inbox
from counterfoil.store.database import Connection
from counterfoil.store.exceptions import Again
from counterfoil.store.facts import Source
from counterfoil.store.inbox import RECOVERED, Delivery
from counterfoil.store.payments import Family
from counterfoil.store.recovery import Cursor

# Lists read at once by one process: each is a chain of calls, and a gateway's limit is by the second (gateways 1.10).
AT_ONCE: Final = 4
# A window and its work take a few seconds; a sweeper that died with one leaves it to the next after this.
LEASE: Final = timedelta(minutes=5)
# Webhooks come within seconds. What is younger is left to them, and what is found here is truly late.
GRACE: Final = timedelta(seconds=60)
# A quiet shop's outage of days is read in a few windows; a busy one's are shortened until one can be held at once.
LONGEST: Final = timedelta(hours=6)
SHORTEST: Final = timedelta(seconds=1)
# A window with fewer than this leaves room for one twice as long.
FEW: Final = 500
# After a failure, doubled by each further one.
FIRST_PAUSE: Final = timedelta(minutes=1)
LONGEST_PAUSE: Final = timedelta(hours=1)
ERROR_CHARS: Final = 500
NOT_LEARNED: Final = "object_not_learned"  # the exception of an object that broke the learning of it

log = structlog.get_logger()


async def due_lists(ctx: Context) -> None:
    """Read one window of every list whose time has come."""
    listed = _listings(ctx)
    now = ctx.now()
    async with ctx.db.transaction() as conn:
        await recovery.enlist(
            conn,
            [(id_, name, ctx.directory.account(id_).created_at) for id_, name in listed],
            step=LONGEST,
            first_at=now + GRACE,
        )
        due = await recovery.take_due(conn, list(listed), now=now, until=now + LEASE, limit=AT_ONCE)
    reading = (_read(ctx, cursor, *listed[cursor.account_id, cursor.list]) for cursor in due)
    for came in await asyncio.gather(*reading, return_exceptions=True):
        if came is not None:  # the database is away: the lease of the list ends by itself
            raise came


def _listings(ctx: Context) -> dict[tuple[str, str], tuple[Gateway, Recover, Listing]]:
    """Every list of every account, by the two."""
    return {
        (account.id, listing.name): (gateway, gateway.recover, listing)
        for account, gateway in ctx.directory.all()
        if gateway.recover is not None
        for listing in gateway.recover.listings
    }


async def _read(ctx: Context, cursor: Cursor, gateway: Gateway, recover: Recover, listing: Listing) -> None:
    """Read one window and learn what is new in it. An error is kept on the row and stops no other list."""
    try:
        after, new = await _window(ctx, cursor, gateway, recover, listing)
    except DatabaseAwayError:
        raise
    except Exception as error:  # noqa: BLE001  whatever it was, doctor shows it
        log.warning("list not read", account=cursor.account_id, list=cursor.list, error=type(error).__name__)
        after, new = _failed(ctx, cursor, f"{type(error).__name__} while reading", None), 0
    async with ctx.db.transaction() as conn:
        await recovery.write(conn, after, new=new)


async def _window(
    ctx: Context, cursor: Cursor, gateway: Gateway, recover: Recover, listing: Listing
) -> tuple[Cursor, int]:
    """Where the reading stands after this window, and how much was recovered."""
    now = ctx.now()
    present = now - GRACE
    since = max(cursor.next_from, now - listing.kept) if listing.kept else cursor.next_from
    until = min(since + cursor.step, present)
    if until <= since:
        return replace(cursor, next_check_at=now + listing.every), 0
    came = await recover.read(cursor.list, since=since, until=until)
    if isinstance(came, Refused | Unknown):
        wait_s = came.retry_after_s if isinstance(came, Refused) else None
        return _failed(ctx, cursor, came.message, wait_s), 0
    if not came.whole:
        return _narrower(ctx, cursor, until - since), 0
    new, wrong = await _learn_all(ctx, gateway, came)
    caught_up = until >= present
    return replace(
        cursor,
        next_from=until - listing.overlap if caught_up else until,
        read_to=until,
        step=min(LONGEST, cursor.step * 2) if len(came.found) < FEW else cursor.step,
        next_check_at=now + listing.every if caught_up else now,
        failures=0,
        error=wrong,
    ), new


def _failed(ctx: Context, cursor: Cursor, why: str, wait_s: int | None) -> Cursor:
    """The same window again after a growing pause, or as long as the gateway wants to be left alone."""
    pause = min(FIRST_PAUSE * 2 ** min(cursor.failures, 10), LONGEST_PAUSE)
    return replace(
        cursor,
        next_check_at=ctx.now() + max(pause, timedelta(seconds=wait_s or 0)),
        failures=cursor.failures + 1,
        error=why[:ERROR_CHARS],
    )


def _narrower(ctx: Context, cursor: Cursor, window: timedelta) -> Cursor:
    """The first half of the window, at once."""
    if window <= SHORTEST:
        return _failed(ctx, cursor, "More happened in one second than can be read at once.", None)
    return replace(cursor, step=max(window / 2, SHORTEST), next_check_at=ctx.now())


async def _learn_all(ctx: Context, gateway: Gateway, came: Listed) -> tuple[int, str | None]:
    """Keep events and learn objects: how much was new, and what went wrong with one of them, if anything did.

    One object that breaks a rule of ours hides none after it, and is not passed over: a person has it, until it is
    learned, which a later reading of the overlap may yet do.
    """
    events = [found.event for found in came.found if found.event is not None]
    new, wrong, learned = 0, None, []
    for start in range(0, len(events), inbox.BATCH):
        new += await _keep_events(ctx, gateway, events[start : start + inbox.BATCH])
    for found in came.found:
        if found.event is not None:
            continue
        payment_id = None
        try:
            payment_id = await _owner(ctx, gateway, found)
            new += await _learn(ctx, payment_id, found) if payment_id else 0
        except DatabaseAwayError:
            raise
        except Exception as error:  # noqa: BLE001  whatever it was, a person is called
            wrong = f"{found.refs[0]} could not be learned: {type(error).__name__}"
            log.warning("object not learned", account=gateway.account_id, object=found.refs[0])
            await _hand_over(ctx, gateway, payment_id, found, error)
        else:
            learned.append(found.refs[0])
    if learned:
        async with ctx.db.transaction() as conn:
            await exceptions.end_each(conn, kind=NOT_LEARNED, subjects=learned, now=ctx.now())
    return new, wrong


async def _hand_over(
    ctx: Context, gateway: Gateway, payment_id: str | None, found: Found, error: Exception
) -> None:
    """Call a person, once, about an object that could not be learned. The window is not passed before that is kept."""
    account, subject = ctx.directory.account(gateway.account_id), plain(found.refs[0])
    told: dict[str, Any] = {
        "kind": NOT_LEARNED,
        "subject": subject,
        "sentence": f"{subject} on {account.gateway}'s own list could not be learned: {type(error).__name__}."
        " Sync its payment, or compare the two by hand.",
        "again": Again.IF_NEWS,
    }
    async with ctx.db.transaction() as conn:
        if payment_id is not None:
            await call_a_person(ctx, conn, (await payments.get(conn, payment_id)).payment, **told)
        else:
            owner: dict[str, Any] = {"merchant_id": account.merchant_id, "mode": account.mode}
            await call_a_person_about_account(ctx, conn, **owner, **told)


def _refs(reports: Sequence[Report]) -> list[str]:
    """The gateway's ids in the reports."""
    return [
        ref for report in reports for ref in (report.attempt_ref, report.charge_ref, report.object_id) if ref
    ]


def _ours(reports: Sequence[Report]) -> list[str]:
    """Our own attempt ids in the reports; where other systems write theirs, they look otherwise."""
    named = [report.our_reference for report in reports if report.our_reference]
    return [reference for reference in named if ids.is_id("attempt", reference)]


# Events


async def _keep_events(ctx: Context, gateway: Gateway, events: Sequence[bytes]) -> int:
    """Into the inbox with those that no webhook brought: we asked the gateway itself, which is as good as a signature."""
    asked = Verifier(account=ctx.directory.account(gateway.account_id), secret_id=RECOVERED, secret=b"")
    letters = [inbox.delivery(ctx, asked, [], event) for event in events]
    async with ctx.db.transaction() as conn:
        missing = await stored_inbox.missing(conn, letters)
        ours = [letter for letter in missing if await _concerns_us(conn, gateway, letter)]
        return await stored_inbox.store_missing(conn, ours)


async def _concerns_us(conn: Connection, gateway: Gateway, letter: Delivery) -> bool:
    """Whether the event is of a payment known here, names one of ours, or cannot be read, which a person must see.

    Other systems may share the account; what is theirs stays theirs.
    """
    try:
        event = gateway.speak.read([], letter.body)
    except Exception:  # noqa: BLE001  however reading breaks: in the inbox the event is parked, and hides none after it
        return True
    if _ours(event.reports):
        return True
    refs = _refs(event.reports)
    return await payments.find_attempt(conn, letter.account_id, refs=refs, ours=()) is not None


# Objects


async def _owner(ctx: Context, gateway: Gateway, found: Found) -> str | None:
    """Our payment that the object belongs to; None for one of another system on the same account."""
    refs = [*found.refs, *_refs(found.reports)]
    async with ctx.db.reading() as conn:
        return await payments.find_attempt(conn, gateway.account_id, refs=refs, ours=_ours(found.reports))


async def _learn(ctx: Context, payment_id: str, found: Found) -> int:
    """What the object says of a payment of ours becomes facts; how many were new."""
    async with ctx.db.reading() as conn:
        family = await payments.get(conn, payment_id)
    if found.unreadable is None and all(_heard(family, report) for report in found.reports):
        return 0
    if any(_of_uncaptured(family, report) for report in found.reports):
        await settling.sync(ctx, payment_id)
    async with ctx.db.transaction() as conn:
        family = await payments.lock(conn, payment_id)
        return await _apply(ctx, conn, family, found)


async def _apply(ctx: Context, conn: Connection, family: Family, found: Found) -> int:
    """Under the payment's row lock. What contradicts our record, or cannot be read, waits for a person."""
    if found.unreadable is not None:
        await _call(ctx, conn, family, found, f"it cannot be read: {found.unreadable}")
        return 0
    told = [report for report in found.reports if not _of_uncaptured(family, report)]
    try:
        after = await facts.apply(ctx, conn, family, told, Source(kind="sweep", id=family.payment.id))
    except DisagreementError as lie:
        await _call(ctx, conn, family, found, str(lie))
        return 0
    new = len(after.facts) - len(family.facts)
    if new:
        await queue.enqueue(conn, queue.LOOK_AFTER, [family.payment.id])
    return new


async def _call(ctx: Context, conn: Connection, family: Family, found: Found, why: str) -> None:
    subject = found.refs[0]
    sentence = f"{subject} on the gateway's own list: {why}"
    await call_a_person(
        ctx,
        conn,
        family.payment,
        kind="gateway_contradicts",
        subject=subject,
        sentence=sentence,
        again=Again.IF_NEWS,
    )


def _heard(family: Family, report: Report) -> bool:
    """Whether this is a known fact, or a refund of what is known to have been given back uncaptured."""
    known = {(fact.object_id, fact.kind, fact.amount) for fact in family.facts}
    if (report.object_id, report.kind, report.amount.minor) in known:
        return True
    return report.kind.noun == "refund" and _charge_state(family, report) is ChargeState.VOIDED


def _of_uncaptured(family: Family, report: Report) -> bool:
    """A refund of a charge that is not known as captured: a hold given back, unless we missed the capture too."""
    return report.kind.noun == "refund" and _charge_state(family, report) is not ChargeState.CAPTURED


def _charge_state(family: Family, report: Report) -> ChargeState | None:
    return next((charge.state for charge in family.charges if charge.ref == report.charge_ref), None)
