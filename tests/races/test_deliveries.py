"""Several workers over one database, all at the same deliveries: each event once to each endpoint, in its lane's order."""

import asyncio
from collections import Counter
from pathlib import Path

import outgoing
from counterfoil.services.context import Context
from database import Database
from fleet import fleet
from receiver import Receiver, receiving

OBJECTS, VERSIONS = 40, 5
EVENTS = OBJECTS * VERSIONS


async def _published(ctx: Context) -> None:
    for version in range(1, VERSIONS + 1):
        for n in range(OBJECTS):
            await outgoing.happened(ctx, f"pmt_{n}", version)


def in_order(shop: Receiver) -> bool:
    return all(shop.of(f"pmt_{n}") == list(range(1, VERSIONS + 1)) for n in range(OBJECTS))


async def test_two_workers_deliver_each_event_once_and_in_order(durable_database: Database):
    with fleet(durable_database.app_url) as ships:
        async with outgoing.beside(ships) as ctx, receiving() as one, receiving() as other:
            for shop in (one, other):
                await outgoing.an_endpoint(ctx, shop.url)
            workers = [asyncio.to_thread(ships.start, "worker") for _ in range(2)]
            await asyncio.gather(_published(ctx), *workers)
            for shop in (one, other):
                await shop.reached(EVENTS, seconds=60)
            await asyncio.sleep(1)  # for what should not come
            for shop in (one, other):
                assert len(shop.got) == EVENTS
                assert set(Counter(got.headers["webhook-id"] for got in shop.got).values()) == {1}
                assert in_order(shop)


async def test_hands_of_many_tasks_in_one_process_take_each_delivery_once(
    durable_database: Database, tmp_path: Path
):
    """Take, take, take: the same moment, the same rows."""
    async with (
        outgoing.sending_house(durable_database.app_url, tmp_path / "key") as ctx,
        receiving() as shop,
    ):
        await outgoing.an_endpoint(ctx, shop.url)
        await _published(ctx)
        await outgoing.delivering.number(ctx)
        while len(shop.got) < EVENTS:
            await asyncio.gather(*(outgoing.delivering.due(ctx) for _ in range(4)))
            await ctx.hands.freed(1)
        await ctx.hands.rest(5)
        assert len(shop.got) == EVENTS
        assert in_order(shop)
