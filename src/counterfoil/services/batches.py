"""Batches of refunds: a file is checked row by row, one approval lets all of it go, and its rows become refunds.

Each row is a transaction of its own that also says what came of it: a batch that is cut off goes on where it was.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any, Final, TypeVar

import structlog

from counterfoil.domain import batch as domain
from counterfoil.domain import refund_policy
from counterfoil.domain.batch import DECISIONS, FAULTS_TOLD, Batch, Command, Fault, Row, State
from counterfoil.domain.charge import Charge
from counterfoil.domain.errors import (
    BatchFaultyError,
    CounterfoilError,
    NotFoundError,
    OwnRequestError,
    RefundLimitError,
    RefundRefusedError,
    WrongStateError,
)
from counterfoil.domain.money import Money
from counterfoil.domain.operator import Role
from counterfoil.domain.payment import winner_charge
from counterfoil.domain.refund import Command as RefundCommand
from counterfoil.domain.refund import Refund, refundable
from counterfoil.domain.refund import State as RefundState
from counterfoil.services import idempotency, mailing, records, refund_standing, refunding
from counterfoil.services.auditing import SERVICE
from counterfoil.services.context import Context
from counterfoil.services.exceptions import call_a_person_about_account
from counterfoil.services.idempotency import Hold, Replay
from counterfoil.services.payments import Caller
from counterfoil.services.refunding import Wish
from counterfoil.store import audit, batches, exceptions, payments, refunds
from counterfoil.store.batches import Approval
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family
from counterfoil.store.refunds import Approval as RefundApproval

CHECKED_AT_ONCE: Final = 500  # payments read together when a file is checked
AT_ONCE: Final = 5  # rows at work at once: each takes a connection
CHUNK: Final = 100
PENDING: Final = "refund_batch_pending"  # the exception of one that waits
UNDECIDED: Final = "nobody decided in time"
LEASE: Final = timedelta(minutes=1)  # past any chunk that still runs
# The columns of a result file.
RESULT: Final = (
    "number", "payment_id", "amount", "currency", "reason", "note", "refund_id", "status", "gateway_ref", "arn",
    "because",
)  # fmt: skip

log = structlog.get_logger()
T = TypeVar("T")


async def upload(
    ctx: Context, caller: Caller, name: str, text: str, *, id_: str, hold: Hold | None = None
) -> Batch | Replay:
    """Check a file and keep it for approval; nothing is reserved or sent yet.

    Raises InvalidRequestError where it is no such file, BatchFaultyError with every row that cannot be taken, and
    RefundRefusedError where the same file is here already.
    """
    rows, faults = domain.read(text)
    found, totals = await _checked(ctx, caller, rows)
    if faults := sorted([*faults, *found], key=lambda fault: fault.row):
        raise BatchFaultyError([(fault.row, fault.problem) for fault in faults], told=FAULTS_TOLD)
    batch = _new(ctx, caller, name, text, id_, rows, totals)
    async with ctx.db.transaction() as conn:
        held = await idempotency.claim(ctx, conn, hold, id_) if hold else None
        if isinstance(held, Replay):
            return held
        if held is not None:
            return await _of(conn, caller, held.payment_id)
        if not await batches.insert(conn, batch, rows):
            there = await batches.of_digest(conn, caller.merchant_id, caller.mode, batch.digest)
            raise RefundRefusedError(f"This very file is here already, as {there}.", batch=there)
        await _audit(ctx, conn, batch, "request", caller.actor)
    return batch


async def _checked(ctx: Context, caller: Caller, rows: Sequence[Row]) -> tuple[list[Fault], dict[str, int]]:
    """What is wrong with rows as things stand now, and what the others come to in each currency."""
    faults: list[Fault] = []
    totals: Counter[str] = Counter()
    left: dict[str, int] = {}
    for some in _by(CHECKED_AT_ONCE, rows):
        async with ctx.db.reading() as conn:
            ids = sorted({row.payment_id for row in some})
            known = await payments.known(conn, ids, merchant_id=caller.merchant_id, mode=caller.mode)
            families = {family.payment.id: family for family in await payments.families(conn, known)}
        for row in some:
            family = families.get(row.payment_id)
            charge = _paying(family) if family else None
            problem = _problem(ctx, row, family, charge, left)
            if problem or charge is None:
                faults.append(Fault(row.number, problem or "nothing was captured"))
                continue
            amount = row.amount or left[charge.id]
            left[charge.id] -= amount
            totals[charge.currency] += amount
    return faults, dict(totals)


def _by(most: int, rows: Sequence[T]) -> Iterator[Sequence[T]]:
    return (rows[start : start + most] for start in range(0, len(rows), most))


def _paying(family: Family) -> Charge | None:
    return winner_charge(family.payment.winner_attempt_id, family.charges)


def _problem(
    ctx: Context, row: Row, family: Family | None, charge: Charge | None, left: dict[str, int]
) -> str | None:
    """Why a row cannot be taken. `left` is what rows before it leave of each charge."""
    policy = ctx.directory.refunding
    if family is None:
        return f"there is no payment {row.payment_id} in this mode"
    if charge is None:
        return f"{row.payment_id} is {family.payment.status.value}: only what was captured can be refunded"
    if row.reason not in policy.reasons:
        return f"reason must be one of: {', '.join(policy.reasons)}"
    if row.reason in policy.note_reasons and not row.note:
        return f"the reason {row.reason} needs a note"
    rest = left.setdefault(charge.id, refundable(charge))
    if rest == 0 or (row.amount or 0) > rest:
        return f"{Money(rest, charge.currency)} is left to refund of {row.payment_id}"
    if not policy.partial and (row.amount or rest) != charge.captured:
        return "partial refunds are switched off"
    return None


def _new(
    ctx: Context, caller: Caller, name: str, text: str, id_: str, rows: Sequence[Row], totals: dict[str, int]
) -> Batch:
    return Batch(
        id=id_,
        merchant_id=caller.merchant_id,
        mode=caller.mode,
        name=name,
        digest=sha256(text.encode()).hexdigest(),
        state=State.PENDING_APPROVAL,
        because=None,
        needed=_needed(ctx, totals),
        requested_by=caller.actor,
        person=caller.person,
        role=caller.role.value,
        rows=len(rows),
        totals=totals,
        requested_at=ctx.now(),
        approved_at=None,
        reminded_at=None,
        ended_at=None,
        **_time_to_decide(ctx),
    )


def _time_to_decide(ctx: Context) -> dict[str, datetime]:
    """Until when a batch waits from now on, and when to look at it: to remind of it, or to end it."""
    policy, now = ctx.directory.refunding, ctx.now()
    return {
        "expires_at": now + policy.expiry,
        "next_check_at": now + min(policy.reminder, policy.expiry),
    }


def _needed(ctx: Context, totals: Mapping[str, int]) -> int:
    """How many must agree to a file that comes to this, by the rules of now."""
    second = ctx.directory.refunding.second
    return (
        2 if any(total >= second[currency] for currency, total in totals.items() if currency in second) else 1
    )


async def approve(ctx: Context, caller: Caller, batch_id: str) -> Batch:
    """Agree to the whole file. The last approval that it needs lets its rows become refunds.

    Raises OwnRequestError for who brought it, whichever key they use, and WrongStateError once it is decided.
    """
    async with ctx.db.transaction() as conn:
        batch = await _of(conn, caller, batch_id, locked=True)
        DECISIONS.next(batch.state, Command.APPROVE)
        if caller.person == batch.person:
            raise OwnRequestError("Who brings a batch does not approve it, whichever key they use.")
        if batch.expires_at is not None and ctx.now() >= batch.expires_at:
            raise WrongStateError(command="approve", state="expired", because=UNDECIDED)
        given = await _given(ctx, conn, batch, caller)
        if batch.state is State.PENDING_APPROVAL:
            await _decide(ctx, conn, batch, given)
        return await _of(conn, caller, batch_id)


async def _decide(ctx: Context, conn: Connection, batch: Batch, given: int) -> None:
    """Let the rows go where enough have agreed. Rules that have changed since ask for more, never for fewer."""
    needed, now = max(batch.needed, _needed(ctx, batch.totals)), ctx.now()
    changes: dict[str, Any] = {"needed": needed}
    if given >= needed:
        state = DECISIONS.next(batch.state, Command.APPROVE)
        changes |= {"state": state.value, "approved_at": now, "expires_at": None, "next_check_at": now}
        await _waits_no_more(ctx, conn, batch)
    await batches.update(conn, batch.id, **changes)


async def _given(ctx: Context, conn: Connection, batch: Batch, caller: Caller) -> int:
    """Keep this approval; how many there are with it."""
    approval = Approval(
        batch_id=batch.id,
        digest=batch.digest,
        requester=batch.person,
        person=caller.person,
        actor=caller.actor,
        role=caller.role.value,
        at=ctx.now(),
    )
    if await batches.approve(conn, approval):
        await _audit(ctx, conn, batch, "approve", caller.actor)
    return len(await batches.approvals(conn, batch.id))


async def reject(ctx: Context, caller: Caller, batch_id: str, because: str) -> Batch:
    """Say no to the whole file, and why."""
    return await _end(ctx, caller, batch_id, Command.REJECT, because)


async def cancel(ctx: Context, caller: Caller, batch_id: str, because: str | None = None) -> Batch:
    """Withdraw it before it is approved."""
    return await _end(ctx, caller, batch_id, Command.CANCEL, because or f"withdrawn by {caller.actor}")


async def _end(ctx: Context, caller: Caller, batch_id: str, command: Command, because: str) -> Batch:
    async with ctx.db.transaction() as conn:
        batch = await _of(conn, caller, batch_id, locked=True)
        await _ended(ctx, conn, batch, command, because, actor=caller.actor)
        return await _of(conn, caller, batch_id)


async def _ended(
    ctx: Context, conn: Connection, batch: Batch, command: Command, because: str, *, actor: str
) -> None:
    """End a batch that is locked, before anything of it is reserved. A decision made stays made."""
    state = DECISIONS.next(batch.state, command)
    if state is batch.state:
        return
    await batches.update(
        conn, batch.id, state=state.value, because=because, ended_at=ctx.now(), next_check_at=None
    )
    await _waits_no_more(ctx, conn, batch)
    await _audit(ctx, conn, batch, command.value, actor)


async def _waits_no_more(ctx: Context, conn: Connection, batch: Batch) -> None:
    """Who was called to decide on it is needed no more."""
    await exceptions.end_each(conn, kind=PENDING, subjects=[batch.id], now=ctx.now())


async def get(ctx: Context, caller: Caller, batch_id: str) -> Batch:
    async with ctx.db.reading() as conn:
        return await _of(conn, caller, batch_id)


async def page(
    ctx: Context, caller: Caller, *, limit: int, before: str | None
) -> tuple[list[Batch], str | None]:
    async with ctx.db.reading() as conn:
        found = await batches.page(conn, caller.merchant_id, caller.mode, limit=limit + 1, before=before)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def result(ctx: Context, caller: Caller, batch_id: str) -> AsyncIterator[dict[str, Any]]:
    """Every row with what came of it, in the order of the file. Raises NotFoundError before the first."""
    async with ctx.db.reading() as conn:
        await _of(conn, caller, batch_id)
        async for row in batches.result(conn, batch_id):
            yield row


async def show(ctx: Context, batch: Batch) -> dict[str, Any]:
    """The batch as the API shows it, with how far it has come."""
    async with ctx.db.reading() as conn:
        progress = await batches.progress(conn, batch.id)
        given = await batches.approvals(conn, batch.id)
    return {
        "id": batch.id,
        "object": "refund_batch",
        "mode": batch.mode,
        "status": batch.state.value,
        "because": batch.because,
        "name": batch.name,
        "rows": batch.rows,
        "totals": dict(batch.totals),
        "progress": progress,
        "approvals_needed": batch.needed,
        "approvals": [{"by": one.actor, "role": one.role, "at": records.instant(one.at)} for one in given],
        "requested_by": batch.requested_by,
        "requested_at": records.instant(batch.requested_at),
        "approved_at": records.instant(batch.approved_at),
        "expires_at": records.instant(batch.expires_at),
        "ended_at": records.instant(batch.ended_at),
    }


async def carry_out(ctx: Context) -> bool:
    """Look after a batch that is due: remind of it or end it, or make refunds of some of its rows.

    True where there may be more.
    """
    async with ctx.db.transaction() as conn:
        batch = await batches.take_due(conn, now=ctx.now(), until=ctx.now() + LEASE)
        if batch is None:
            return False
        if batch.state is State.PENDING_APPROVAL:
            await _expire_or_remind(ctx, conn, batch)
            return True
        numbers = await batches.waiting(conn, batch.id, CHUNK)
    await _carry_out(ctx, batch, numbers)
    return True


async def _expire_or_remind(ctx: Context, conn: Connection, batch: Batch) -> None:
    """What is due of a batch that waits and is locked: whoever decides at the same moment comes before or after."""
    now = ctx.now()
    if batch.expires_at is None:  # it has waited since before batches had a time to be decided in
        await batches.update(conn, batch.id, **_time_to_decide(ctx))
        return
    if now >= batch.expires_at:
        await _ended(ctx, conn, batch, Command.EXPIRE, UNDECIDED, actor=SERVICE)
        return
    await call_a_person_about_account(
        ctx,
        conn,
        merchant_id=batch.merchant_id,
        mode=batch.mode,
        kind=PENDING,
        subject=batch.id,
        sentence=f"The batch {batch.id} of {batch.rows} refunds, {batch.total} in all, has waited for approval since"
        f" {batch.requested_at:%d %B}.",
    )
    await mailing.remind_of_batch(ctx, conn, batch)
    await batches.update(conn, batch.id, reminded_at=now, next_check_at=batch.expires_at)


async def _carry_out(ctx: Context, batch: Batch, numbers: Sequence[int]) -> None:
    """Make refunds of these rows."""
    for some in _by(AT_ONCE, numbers):
        ended = await asyncio.gather(*(_place(ctx, batch, number) for number in some), return_exceptions=True)
        for number, end in zip(some, ended, strict=True):
            if isinstance(end, BaseException):
                log.warning(
                    "row of a batch broke off; it is tried again",
                    batch=batch.id,
                    row=number,
                    error=type(end).__name__,
                )
    async with ctx.db.transaction() as conn:
        more = await batches.waiting(conn, batch.id, 1)
        changes: dict[str, Any] = {"next_check_at": ctx.now()}
        if not more:
            done = DECISIONS.next(batch.state, Command.FINISH)
            changes = {"state": done.value, "ended_at": ctx.now(), "next_check_at": None}
        await batches.update(conn, batch.id, **changes)


async def _place(ctx: Context, batch: Batch, number: int) -> None:
    """One row: the refund that it asks for, approved as the batch was; or why there is none."""
    async with ctx.db.transaction() as conn:
        row = await batches.take_row(conn, batch.id, number)
        if row is None:
            return
        try:
            async with conn.transaction():
                refund = await _refund(ctx, conn, batch, row)
        except CounterfoilError as refused:
            await batches.close_row(conn, batch.id, number, because=refused.detail)
        else:
            await batches.close_row(conn, batch.id, number, refund_id=refund.id)


async def _refund(ctx: Context, conn: Connection, batch: Batch, row: Row) -> Refund:
    family = await payments.lock(conn, row.payment_id)
    charge = _paying(family)
    if charge is None:
        raise RefundRefusedError(f"{row.payment_id} is {family.payment.status.value} by now.")
    wish = Wish(
        id=ctx.new_id("refund"),
        charge=charge,
        amount=row.amount,
        reason=row.reason,
        note=row.note,
        actor=batch.requested_by,
        person=batch.person,
        role=Role(batch.role),
        batch_id=batch.id,
    )
    family, refund = await refunding.place(ctx, conn, family, wish)
    return await _approved(ctx, conn, family, refund, batch)


async def _approved(ctx: Context, conn: Connection, family: Family, refund: Refund, batch: Batch) -> Refund:
    """The refund with the batch's approvals: it goes, unless its payment or customer asks for more of them.

    Whoever may not let so much go has not agreed to this row: it waits for somebody who may.
    """
    given = await batches.approvals(conn, batch.id)
    counting = [one for one in given if _lets_go(ctx, refund, one)]
    for one in counting:
        await refunds.approve(
            conn,
            RefundApproval(
                refund_id=refund.id,
                payment_id=refund.payment_id,
                amount=refund.amount,
                currency=refund.currency,
                requester=refund.person,
                person=one.person,
                actor=one.actor,
                role=one.role,
                at=one.at,
            ),
        )
    if refund.state is RefundState.PENDING_APPROVAL and len(counting) < refund.needed:
        return refund
    family = await refund_standing.decide(
        ctx,
        conn,
        family,
        refund,
        RefundCommand.APPROVE,
        actor=given[-1].actor,
        approved_at=ctx.now(),
        expires_at=None,
        next_check_at=ctx.now(),
    )
    return family.refund(refund.id)


def _lets_go(ctx: Context, refund: Refund, approval: Approval) -> bool:
    """Whether who agreed to the batch may agree to this refund."""
    try:
        refund_policy.check_approver(
            ctx.directory.refunding, refund.money, role=approval.role, person=approval.person
        )
    except RefundLimitError:
        return False
    return True


async def _of(conn: Connection, caller: Caller, batch_id: str, *, locked: bool = False) -> Batch:
    find = batches.lock if locked else batches.get
    try:
        return await find(conn, batch_id, caller.merchant_id, caller.mode)
    except LookupError:
        raise NotFoundError("batch", batch_id) from None


async def _audit(ctx: Context, conn: Connection, batch: Batch, action: str, actor: str) -> None:
    await audit.record(
        conn,
        merchant_id=batch.merchant_id,
        mode=batch.mode,
        at=ctx.now(),
        actor=actor,
        action=f"refund_batch.{action}",
        object_id=batch.id,
        detail={"name": batch.name, "rows": batch.rows, "totals": dict(batch.totals)},
    )
