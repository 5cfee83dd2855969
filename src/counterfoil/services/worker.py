"""The worker: binds the queue's entrypoints and the sweeps to services.

A job only names a row. Attempts are counted on the rows, because a job re-picked from a dead worker does not count
as one; and a cancelled job would be deleted, so cancellation becomes a retry.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any, Final

import structlog
from pgqueuer import PgQueuer, run
from pgqueuer.core.executors import EntrypointExecutor
from pgqueuer.errors import RetryRequested
from pgqueuer.models import Job

from counterfoil.courier import TOTAL_S
from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.services import (
    batches,
    deadlines,
    delivering,
    hearing,
    inbox,
    receipt_exports,
    recovering,
    refunding,
    retrying,
    sending,
    settling,
    silence,
    sweeping,
)
from counterfoil.services.context import Context
from counterfoil.store import queue

# A dead worker's jobs are picked up again within about eight seconds: heartbeat and dequeue timeout together.
HEARTBEAT: Final = timedelta(seconds=6)
DEQUEUE: Final = timedelta(seconds=1)  # also the poll that covers a lost NOTIFY
RESTART: Final = timedelta(seconds=1)
LOOK_AGAIN: Final = timedelta(seconds=30)  # after a look at a payment that failed
BATCH: Final = 20
# How long a job waits at most for the door to be quiet: a flood then slows understanding, and does not stop it.
LULL_S: Final = 0.25
# Jobs that a worker has in hand, most of them waiting for a gateway; the rest are left to other workers.
IN_HAND: Final = 200
# Letters understood at once. Two cores are busy with eight, and the pool has more connections than that: a job that
# waits here does not wait for a connection until it is told that the database is away.
HANDS: Final = 5
# Settings reach a process within seconds; a second more does no harm.
FIT_EVERY_S: Final = 1.0
PRUNE_EVERY_S: Final = 3600.0
# The first look after a jump of the sandbox's clock or a start is at once, then one look a second.
SWEEP_EVERY_S: Final = 1.0
# A silence is told after ten minutes; a quarter of a minute more or less is nothing to it.
SILENCE_EVERY_S: Final = 15.0
# How long an event waits for its number at most; the merchant's own backend hears of it then.
TELL_EVERY_S: Final = 0.1

# What is done from time to time: name → every so many seconds, and the sweep.
SWEEPS: Final[Mapping[str, tuple[float, Callable[[Context], Awaitable[object]]]]] = {
    "sweep inbox": (SWEEP_EVERY_S, sweeping.due_letters),
    "sweep payments": (SWEEP_EVERY_S, sweeping.due_payments),
    "carry out batches": (SWEEP_EVERY_S, batches.carry_out),
    "sweep refunds": (SWEEP_EVERY_S, refunding.due_refunds),
    "sweep retries": (SWEEP_EVERY_S, retrying.due_retries),
    "sweep disputes": (SWEEP_EVERY_S, deadlines.due_disputes),
    "send mails": (SWEEP_EVERY_S, sending.due_mails),
    "export receipts": (SWEEP_EVERY_S, receipt_exports.carry_out),
    "sweep lists": (SWEEP_EVERY_S, recovering.due_lists),
    "watch for silence": (SILENCE_EVERY_S, silence.watch),
    "prune": (PRUNE_EVERY_S, sweeping.prune),
    "tell endpoints": (TELL_EVERY_S, delivering.tell),
    "tell the callback": (TELL_EVERY_S, hearing.tell),
    "prune events": (PRUNE_EVERY_S, delivering.prune),
    "prune mails": (PRUNE_EVERY_S, sending.prune),
    "prune exports": (PRUNE_EVERY_S, receipt_exports.prune),
}

log = structlog.get_logger()


class KeepOnCancel(EntrypointExecutor):
    """A job cut off by a stopping worker stays queued; PgQueuer alone would delete it."""

    async def execute(self, job: Job, context: Any) -> None:
        try:
            await super().execute(job, context)
        except asyncio.CancelledError:
            raise RetryRequested(timedelta(0), "worker stopped") from None


async def work(ctx: Context, url: str, stop: asyncio.Event) -> None:
    """Take jobs and sweep until told to stop; then finish what is in hand. Survives a restart of PostgreSQL.

    While this process is not fit for the mode of the settings it takes nothing: others do. `url` is a direct
    connection: LISTEN is lost behind a transaction pooler.
    """
    while not stop.is_set():
        if ctx.unfit is None:
            await _while_fit(ctx, url, stop)
            continue
        log.error("this process takes no work", because=ctx.unfit)
        await _until(stop, lambda: ctx.unfit is None)


async def _while_fit(ctx: Context, url: str, stop: asyncio.Event) -> None:
    """Work until told to stop, or until this process is not fit for it any more."""
    rest = asyncio.Event()
    working = asyncio.create_task(_work(ctx, url, rest), name="work while fit")
    watching = asyncio.create_task(_until(stop, lambda: ctx.unfit is not None or working.done()))
    try:
        await watching
    except asyncio.CancelledError:
        working.cancel()
        raise
    finally:
        rest.set()
        await working


async def _until(stop: asyncio.Event, so: Callable[[], bool]) -> None:
    """Look once a second, until it is so or the process is told to stop."""
    while not (stop.is_set() or so()):
        with suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), FIT_EVERY_S)


async def _work(ctx: Context, url: str, stop: asyncio.Event) -> None:
    hands = asyncio.Semaphore(HANDS)

    @asynccontextmanager
    async def factory() -> AsyncIterator[PgQueuer]:
        async with queue.listening(url) as driver:
            jobs = PgQueuer(driver)
            _bind(ctx, jobs, hands)
            yield jobs

    sweeps = [
        asyncio.create_task(_every(seconds, stop, partial(sweep, ctx)), name=name)
        for name, (seconds, sweep) in SWEEPS.items()
    ]
    try:
        await run(
            factory,
            dequeue_timeout=DEQUEUE,
            batch_size=BATCH,
            max_concurrent_tasks=IN_HAND,
            heartbeat_timeout=HEARTBEAT,
            shutdown_on_listener_failure=True,
            restart_on_failure=True,
            restart_delay=RESTART,
            shutdown=stop,
        )
    finally:
        stop.set()
        await asyncio.gather(*sweeps, return_exceptions=True)
        await ctx.hands.rest(TOTAL_S)


def _bind(ctx: Context, jobs: PgQueuer, hands: asyncio.Semaphore) -> None:
    @jobs.entrypoint(queue.UNDERSTAND, executor_factory=KeepOnCancel)
    async def understand(job: Job) -> None:
        async with hands:
            await ctx.traffic.lull(LULL_S)
            await _understand(ctx, (job.payload or b"").decode())

    @jobs.entrypoint(queue.LOOK_AFTER, executor_factory=KeepOnCancel)
    async def look_after(job: Job) -> None:
        await _look_after(ctx, (job.payload or b"").decode())


async def _look_after(ctx: Context, payment_id: str) -> None:
    """What is due stays due: PgQueuer drops a job that fails, and no sweep may come by a payment that has its money."""
    try:
        await settling.look_after(ctx, payment_id)
    except DatabaseAwayError as away:
        raise RetryRequested(RESTART, "database away") from away
    except Exception as error:
        log.warning(
            "payment not looked after; it is tried again", payment=payment_id, error=type(error).__name__
        )
        raise RetryRequested(LOOK_AGAIN, type(error).__name__) from error


async def _understand(ctx: Context, letter_id: str) -> None:
    """One bad letter must not stop the others: it is parked with its error."""
    try:
        await inbox.understand(ctx, letter_id)
    except DatabaseAwayError as away:  # the letter is not to blame, and nothing can be written now
        raise RetryRequested(RESTART, "database away") from away
    except Exception as error:  # noqa: BLE001  whatever it was, a person reads it on the letter
        log.warning("webhook not understood", webhook=letter_id, error=type(error).__name__)
        await inbox.failed(ctx, letter_id, error)


async def _every(seconds: float, stop: asyncio.Event, sweep: Callable[[], Awaitable[object]]) -> None:
    """Sweep, wait, and sweep again, without the wait where it says there is more; one that fails is tried again."""
    while not stop.is_set():
        more, pause = False, seconds
        try:
            more = await sweep() is True
        except DatabaseAwayError:
            log.warning("sweep skipped", reason="database away")
            pause = max(seconds, SWEEP_EVERY_S)
        except Exception as error:
            log.exception("sweep failed", error=type(error).__name__)
            pause = max(seconds, SWEEP_EVERY_S)
        try:
            await asyncio.wait_for(stop.wait(), 0 if more else pause)
        except TimeoutError:
            continue
