"""End to end: the same payments through the sandbox, which takes as long and then sends its webhooks.

64 under way, each from its request until the webhook that says it was captured has been understood: only then does the
next begin. When that was is the time of PostgreSQL's commit.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Final

import aiohttp
import asyncpg

from bench.figures import Figure, median, percentile
from bench.payments import CALL_MS, IN_FLIGHT, order
from bench.running import Database, Ground, free_port
from bench.scale import Scale

LOOK_S: Final = 0.02  # how often it is asked which webhooks were understood
WAIT_S: Final = 60.0  # for one of them

# For the questions of this benchmark alone; the service pays for keeping it.
_INDEX: Final = """
    CREATE INDEX ON inbox (payment_id) WHERE status = 'processed' AND type = 'payment_intent.succeeded'
"""
_UNDERSTOOD: Final = """
    SELECT payment_id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS at FROM inbox
    WHERE payment_id = ANY($1) AND status = 'processed' AND type = 'payment_intent.succeeded'
"""


@dataclass(frozen=True, slots=True)
class Paid:
    """One payment, in Unix time. `understood` is None where that took too long."""

    asked: float
    answered: float
    status: int
    understood: float | None


class Watch:
    """Looks, for all who wait, whether the webhook of their payment has been understood."""

    def __init__(self, conn: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._conn = conn
        self._waiting: dict[str, asyncio.Future[float]] = {}

    async def understood(self, payment_id: str) -> float | None:
        """When it was; None where it takes too long."""
        self._waiting[payment_id] = asyncio.get_running_loop().create_future()
        try:
            return await asyncio.wait_for(self._waiting[payment_id], WAIT_S)
        except TimeoutError:
            return None
        finally:
            del self._waiting[payment_id]

    async def look(self) -> None:
        """Look until cancelled."""
        while True:
            for row in await self._conn.fetch(_UNDERSTOOD, list(self._waiting)):
                waiting = self._waiting.get(row["payment_id"])
                if waiting is not None and not waiting.done():
                    waiting.set_result(row["at"])
            await asyncio.sleep(LOOK_S)


@contextlib.asynccontextmanager
async def _watching(url: str) -> AsyncIterator[Watch]:
    conn = await asyncpg.connect(url)
    watch = Watch(conn)
    looking = asyncio.create_task(watch.look())
    try:
        yield watch
    finally:
        looking.cancel()
        await asyncio.gather(looking, return_exceptions=True)
        await conn.close()


async def _pay_all(url: str, key: str, database: Database, name: str, count: int) -> list[Paid]:
    """So many payments, taken from one pile by as many payers as may be under way at once."""
    pile, paid = iter(range(count)), list[Paid]()
    async with (
        _watching(database.admin_url) as watch,
        aiohttp.ClientSession(url, headers={"Authorization": f"Bearer {key}"}) as session,
        asyncio.TaskGroup() as payers,
    ):
        for _ in range(IN_FLIGHT):
            payers.create_task(_payer(session, watch, (f"{name}-{number}" for number in pile), paid))
    return paid


async def _payer(
    session: aiohttp.ClientSession, watch: Watch, references: Iterator[str], paid: list[Paid]
) -> None:
    for reference in references:
        asked = time.time()
        headers = {"Idempotency-Key": reference, "Content-Type": "application/json"}
        async with session.post("/api/payments", data=order(reference), headers=headers) as response:
            answer, status = await response.json(content_type=None), response.status
        answered = time.time()
        understood = await watch.understood(answer["id"]) if status == 201 else None
        paid.append(Paid(asked, answered, status, understood))


def measure(ground: Ground, scale: Scale) -> list[Figure]:
    port, sandbox_port = free_port(), free_port()
    sandbox = ("sandbox", f"--deliver-to=http://127.0.0.1:{port}", f"--latency-ms={CALL_MS}")
    with ground.database() as database:
        env = ground.environment(database, f"http://127.0.0.1:{sandbox_port}/stripe")
        database.rows(_INDEX)
        with (
            ground.service(*sandbox, env=env, port=sandbox_port),
            ground.service("serve", env=env, port=port) as server,
        ):

            def pay(name: str, count: int) -> list[Paid]:
                return asyncio.run(_pay_all(server.url, ground.key, database, name, count))

            pay("warm", IN_FLIGHT)
            database.settle()
            started = time.time()
            paid = pay("busy", scale.payments)
            seconds = time.time() - started
    return list(_figures(paid, seconds))


def _figures(paid: list[Paid], seconds: float) -> Iterator[Figure]:
    answered = [(one.answered - one.asked) * 1000 for one in paid]
    through = [(one.understood - one.asked) * 1000 for one in paid if one.understood is not None]
    whole = "asked → captured and its webhook understood"
    yield Figure(
        what=f"payments through the sandbox, {IN_FLIGHT} under way", value=len(through) / seconds, unit="/s"
    )
    yield Figure(what="asked → answered: p50", value=median(answered), unit="ms")
    yield Figure(what="asked → answered: p99", value=percentile(answered, 0.99), unit="ms")
    yield Figure(what=f"{whole}: p50", value=median(through), unit="ms")
    yield Figure(what=f"{whole}: p99", value=percentile(through, 0.99), unit="ms", at_most=2_000)
    yield Figure(what="never understood", value=len(paid) - len(through), at_most=0)
    refused = sum(one.status != 201 for one in paid)
    yield Figure(what="answered by anything but 201", value=refused, at_most=0)
