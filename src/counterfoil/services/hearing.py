"""A callback in the process of whoever embeds the service hears of every event: after its commit, in order, at least once.

It is called by the worker, one event at a time over all processes that name it alike. How far it has heard is kept, so
that after a crash it goes on there. One that raises, or takes longer than PATIENCE_S, is given the same event again,
ever later, and those behind it wait. It hears of what happens after its name was first used.
"""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from counterfoil.domain.event import Event
from counterfoil.services import views
from counterfoil.services.context import Context, OnEvent
from counterfoil.store import events
from counterfoil.store.events import Listener

PATIENCE_S: Final = 30.0
LEASE: Final = timedelta(seconds=2 * PATIENCE_S)
BATCH: Final = 100  # events read at once
FIRST: Final = timedelta(seconds=1)
LONGEST: Final = timedelta(minutes=5)
ERROR_CHARS: Final = 200

log = structlog.get_logger()


async def tell(ctx: Context) -> int:
    """Let the callback hear what is new, if there is one and no other process is at it; how many events it heard."""
    on_event = ctx.on_event
    if on_event is None or not await _anything(ctx, on_event):
        return 0
    now = ctx.now()
    async with ctx.db.transaction() as conn:
        taken = await events.take_listener(
            conn, on_event.name, ctx.merchant_id, ctx.mode, now=now, until=now + LEASE
        )
    return await _tell(ctx, on_event, taken) if taken else 0


async def _anything(ctx: Context, on_event: OnEvent) -> bool:
    """Whether there is an event to hear; the callback is made known the first time."""
    async with ctx.db.reading() as conn:
        sequence = await events.listener_at(conn, on_event.name, ctx.merchant_id, ctx.mode)
        if sequence is not None:
            return bool(await events.after(conn, ctx.merchant_id, ctx.mode, sequence=sequence, limit=1))
    await register(ctx)
    return False


async def register(ctx: Context) -> None:
    """Make the callback known, so that it misses nothing from now on."""
    if ctx.on_event is None:
        return
    async with ctx.db.transaction() as conn:
        await events.register(conn, ctx.on_event.name, ctx.merchant_id, ctx.mode, ctx.now())


async def _tell(ctx: Context, on_event: OnEvent, listener: Listener) -> int:
    heard = 0
    while True:
        async with ctx.db.reading() as conn:
            waiting = await events.after(
                conn, ctx.merchant_id, ctx.mode, sequence=listener.sequence, limit=BATCH
            )
        for event in waiting:
            moved = await _hear(ctx, on_event, listener, event)
            if moved is None:
                return heard
            listener, heard = moved, heard + 1
        if len(waiting) < BATCH:
            async with ctx.db.transaction() as conn:
                await events.rest(conn, listener, ctx.now())
            return heard


async def _hear(ctx: Context, on_event: OnEvent, listener: Listener, event: Event) -> Listener | None:
    """Call it with one event; where it then stands, or None where it is to be called again later."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            await on_event.hear(views.event(event))
    except Exception as error:  # noqa: BLE001  it is not ours: whatever it was, the event comes again
        await _stumbled(ctx, listener, event, error)
        return None
    async with ctx.db.transaction() as conn:
        return await events.heard(conn, listener, sequence=event.sequence or 0, until=ctx.now() + LEASE)


async def _stumbled(ctx: Context, listener: Listener, event: Event, error: Exception) -> None:
    log.warning("callback raised; it is called again", outgoing=event.id, error=type(error).__name__)
    wait = min(FIRST * 2 ** min(listener.tries - 1, 20), LONGEST)
    told = f"{type(error).__name__}: {error}"[:ERROR_CHARS].replace("\x00", "")
    async with ctx.db.transaction() as conn:
        await events.stumbled(conn, listener, error=told, again_at=ctx.now() + wait)
