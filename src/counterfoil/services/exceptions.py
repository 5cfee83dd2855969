"""Exceptions: what cannot be right, or what the service will not decide alone, waits for a person."""

from dataclasses import replace
from typing import Any

from counterfoil.domain.errors import NotFoundError, WrongStateError
from counterfoil.domain.payment import Payment
from counterfoil.services import publishing, records
from counterfoil.services.auditing import done
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.store import exceptions
from counterfoil.store.database import Connection
from counterfoil.store.exceptions import Again, Exceptional


async def call_a_person(
    ctx: Context,
    conn: Connection,
    payment: Payment,
    *,
    kind: str,
    subject: str,
    sentence: str,
    again: Again = Again.ALWAYS,
) -> None:
    """Open an exception on a payment, where none of this kind and subject is open; `again` says of settled ones."""
    await _open(
        ctx,
        conn,
        merchant_id=payment.merchant_id,
        mode=payment.mode,
        payment_id=payment.id,
        kind=kind,
        subject=subject,
        sentence=sentence,
        again=again,
    )


async def call_a_person_about_account(
    ctx: Context,
    conn: Connection,
    *,
    merchant_id: str,
    mode: str,
    kind: str,
    subject: str,
    sentence: str,
    again: Again = Again.ALWAYS,
) -> None:
    """Open an exception on what is no payment (a gateway account, an endpoint), as `call_a_person` does."""
    await _open(
        ctx,
        conn,
        merchant_id=merchant_id,
        mode=mode,
        payment_id=None,
        kind=kind,
        subject=subject,
        sentence=sentence,
        again=again,
    )


async def _open(
    ctx: Context,
    conn: Connection,
    *,
    merchant_id: str,
    mode: str,
    payment_id: str | None,
    kind: str,
    subject: str,
    sentence: str,
    again: Again,
) -> None:
    """Open it and publish it, where it is not open."""
    one = Exceptional(
        id=ctx.new_id("exception"),
        merchant_id=merchant_id,
        mode=mode,
        kind=kind,
        subject=subject,
        payment_id=payment_id,
        sentence=sentence,
        opened_at=ctx.now(),
    )
    if await exceptions.insert(conn, one, again):
        await publishing.publish(
            ctx,
            conn,
            merchant_id=merchant_id,
            mode=mode,
            type_="alert.opened",
            object_id=one.id,
            version=1,
            body=records.alert(one),
        )


async def page(
    ctx: Context, caller: Caller, *, settled: bool, kind: str | None, limit: int, after: str | None
) -> tuple[list[dict[str, Any]], str | None]:
    """What waits for a person, the longest first; the settled too where they are wanted."""
    async with ctx.db.reading() as conn:
        found = await exceptions.page(
            conn,
            caller.merchant_id,
            caller.mode,
            settled=settled,
            kind=kind,
            after=after or "",
            limit=limit + 1,
        )
    more = found[limit - 1].id if len(found) > limit else None
    return [records.exception(one) for one in found[:limit]], more


async def get(ctx: Context, caller: Caller, exception_id: str) -> dict[str, Any]:
    """One exception. Raises NotFoundError."""
    async with ctx.db.transaction() as conn:
        return records.exception(await _lock(conn, caller, exception_id))


async def _lock(conn: Connection, caller: Caller, exception_id: str) -> Exceptional:
    try:
        return await exceptions.lock(conn, caller.merchant_id, caller.mode, exception_id)
    except LookupError:
        raise NotFoundError("exception", exception_id) from None


async def resolve(ctx: Context, caller: Caller, exception_id: str, note: str) -> dict[str, Any]:
    """A person has settled it, and says how. Raises NotFoundError, and WrongStateError where it is settled already."""
    async with ctx.db.transaction() as conn:
        one = await _lock(conn, caller, exception_id)
        if one.resolved_at is not None:
            by = one.resolved_by or "itself"
            raise WrongStateError(command="resolve it", state="resolved", because=f"by {by}")
        now = ctx.now()
        await exceptions.resolve(conn, one.id, by=caller.actor, note=note, now=now)
        detail = {"exception": one.id, "kind": one.kind, "subject": one.subject, "note": note}
        await done(ctx, conn, caller, "exception.resolve", one.payment_id or one.id, detail)
    return records.exception(replace(one, resolved_at=now, resolved_by=caller.actor, note=note))
