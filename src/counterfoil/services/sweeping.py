"""What is due is found by its time, taken with SKIP LOCKED, and pushed on before it is worked on: two sweepers at
once do no harm, and one that dies leaves the rest to the next.
"""

import asyncio
from datetime import timedelta
from typing import Final

import structlog

from counterfoil.services import idempotency as our_idempotency
from counterfoil.services import settling
from counterfoil.services.context import Context
from counterfoil.store import idempotency, inbox, payments, queue

# Payments asked about at once by one process. A gateway that hangs holds a batch up for half a minute: the larger the
# batch, the less the others wait for it; the smaller, the less of a gateway's limit it takes (gateways 1.10).
AT_ONCE: Final = 50
LETTERS_AT_ONCE: Final = 200
INBOX_AGAIN: Final = timedelta(seconds=30)  # a letter still not done by then lost its job
LONGEST: Final = timedelta(hours=1)

log = structlog.get_logger()


async def due_letters(ctx: Context) -> bool:
    """Re-enqueue letters whose next try has come, and those whose job was lost. True where there may be more."""
    async with ctx.db.transaction() as conn:
        due = await inbox.take_due(conn, now=ctx.now(), until=ctx.now() + INBOX_AGAIN, limit=LETTERS_AT_ONCE)
        await queue.enqueue(conn, queue.UNDERSTAND, due)
    return len(due) == LETTERS_AT_ONCE


async def due_payments(ctx: Context) -> bool:
    """Ask about what is not settled: first after half a minute, then after ever twice as long, up to an hour.

    True where there may be more.
    """
    async with ctx.db.transaction() as conn:
        due = await payments.take_due(
            conn, now=ctx.now(), first=timedelta(seconds=30), longest=LONGEST, limit=AT_ONCE
        )
    ended = await asyncio.gather(
        *(settling.sync(ctx, payment_id) for payment_id in due), return_exceptions=True
    )
    for payment_id, end in zip(due, ended, strict=True):
        if isinstance(end, BaseException):
            log.warning("payment not synced; it is tried again", payment=payment_id, error=type(end).__name__)
    return len(due) == AT_ONCE


async def prune(ctx: Context) -> None:
    """Forget what has had its time."""
    async with ctx.db.transaction() as conn:
        await idempotency.prune(conn, ctx.now() - our_idempotency.KEPT)
        await queue.prune_log(conn)
