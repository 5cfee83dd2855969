"""SIGKILL in the middle of deliveries: what was not acknowledged comes again, and nothing is lost."""

import asyncio

import pytest

import outgoing
from counterfoil.services import delivering
from counterfoil.services.context import Context
from database import Database
from fleet import fleet
from receiver import Receiver, receiving

pytestmark = pytest.mark.crash

OBJECTS, VERSIONS = 60, 4
EVENTS = OBJECTS * VERSIONS


async def _published(ctx: Context) -> None:
    for version in range(1, VERSIONS + 1):
        for n in range(OBJECTS):
            await outgoing.happened(ctx, f"pmt_{n}", version)


def _heard(shop: Receiver) -> set[tuple[str, int]]:
    return {(got.json["data"]["id"], got.json["version"]) for got in shop.got}


async def _leases_end(ctx: Context) -> None:
    """What a dead process had in hand is due now: the lease is a minute long."""
    async with ctx.db.transaction() as conn:
        await conn.execute("UPDATE deliveries SET next_check_at = $1 WHERE next_check_at > $1", ctx.now())


async def test_workers_are_killed_in_the_middle_of_deliveries(durable_database: Database):
    async def slowly(writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.03)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        await writer.drain()

    with fleet(durable_database.app_url) as ships:
        async with outgoing.beside(ships) as ctx, receiving(slowly) as shop:
            await outgoing.an_endpoint(ctx, shop.url)
            await _published(ctx)
            worker = await asyncio.to_thread(ships.start, "worker")
            for reached in (20, 70, 120):
                await shop.reached(reached, seconds=60)
                await asyncio.to_thread(ships.kill, worker)
                worker = await asyncio.to_thread(ships.start, "worker")
                await _leases_end(ctx)
            async with asyncio.timeout(60):
                while len(_heard(shop)) < EVENTS:
                    await asyncio.sleep(0.1)
            assert len(_heard(shop)) == EVENTS
            again = len(shop.got) - EVENTS
            assert again <= 3 * delivering.HANDS  # only what was in hand
            for n in range(OBJECTS):
                versions = shop.of(f"pmt_{n}")
                assert sorted(versions) == versions  # an older one never after a newer
