"""Idempotency of our own API: the same key and body get the same answer, and a crash in between is resumed."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from counterfoil.domain.errors import IdempotencyInFlightError, IdempotencyMismatchError
from counterfoil.services.context import Context
from counterfoil.store import idempotency
from counterfoil.store.database import Connection
from counterfoil.store.idempotency import Scope

# A request answers within 20 s and its last write soon after; a record held longer belongs to a process that died.
LEASE: Final = timedelta(seconds=30)
KEPT: Final = timedelta(days=30)
KEY_CHARS: Final = 255


@dataclass(frozen=True, slots=True)
class Hold:
    """The caller's key, in its scope."""

    scope: Scope


@dataclass(frozen=True, slots=True)
class Replay:
    """The answer that was given before."""

    payment_id: str
    status: int
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Resume:
    """The first holder died at work on this payment: go on from where its records stand."""

    payment_id: str
    since: datetime


async def claim(ctx: Context, conn: Connection, hold: Hold, payment_id: str) -> Replay | Resume | None:
    """Take the key; None where it is new.

    Raises IdempotencyMismatchError for another body, IdempotencyInFlightError while the first is at work.
    """
    until = ctx.now() + LEASE
    record = await idempotency.claim(
        conn, hold.scope, payment_id=payment_id, now=ctx.now(), leased_until=until
    )
    if record is None:
        return None
    if record.body_digest != hold.scope.body_digest:
        raise IdempotencyMismatchError
    if record.status is not None and record.answer is not None:
        return Replay(record.payment_id, record.status, record.answer)
    if record.leased_until > ctx.now():
        raise IdempotencyInFlightError
    await idempotency.lease(conn, hold.scope, until)
    return Resume(record.payment_id, record.created_at)


class DoneBeforeError(Exception):
    """The key was taken in the commit that did all there was to do: nothing is done again."""

    def __init__(self, held: Replay | Resume) -> None:
        super().__init__(held)
        self.held = held


async def take(ctx: Context, conn: Connection, hold: Hold | None, object_id: str) -> None:
    """Take the key, where there is one, for an action that one commit carries out. Raises as claim, and DoneBeforeError."""
    held = await claim(ctx, conn, hold, object_id) if hold else None
    if held is not None:
        raise DoneBeforeError(held)


async def claim_alone(ctx: Context, hold: Hold, payment_id: str) -> Replay | Resume | None:
    """Take the key for an action on a payment that exists already."""
    async with ctx.db.transaction() as conn:
        return await claim(ctx, conn, hold, payment_id)


async def payment_of(ctx: Context, hold: Hold) -> str | None:
    """The payment that the key stands for; None where it has not been taken."""
    async with ctx.db.reading() as conn:
        return await idempotency.payment_of(conn, hold.scope)


async def answer(ctx: Context, hold: Hold, status: int, body: dict[str, Any]) -> None:
    async with ctx.db.statement() as conn:
        await idempotency.answer(conn, hold.scope, status, body, ctx.now())


async def forget(ctx: Context, hold: Hold) -> None:
    """The request was refused before anything was done: its key is free again."""
    async with ctx.db.statement() as conn:
        await idempotency.forget(conn, hold.scope)
