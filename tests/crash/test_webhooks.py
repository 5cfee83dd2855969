"""SIGKILL in the middle of two thousand webhooks: what was acknowledged is kept, and nothing counts twice."""

import asyncio
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from counterfoil.services.context import Context
from counterfoil.store.embedded import supervise
from counterfoil.store.migrate import migrate
from database import Database, binaries, disk, folder
from fleet import Fleet, Sender, fleet, house_of
from truth import Truth, agreed, all_understood, live

pytestmark = pytest.mark.crash

PAYMENTS = 500
WEBHOOKS = 2_000  # four for each payment
# Until all that was acknowledged is understood: a dead worker's jobs come back after about eight seconds.
QUIET_S = 60.0


async def replaced(ships: Fleet, process: subprocess.Popen[bytes], command: str) -> subprocess.Popen[bytes]:
    """Kill the process and start another in its place."""
    await asyncio.to_thread(ships.kill, process)
    return await asyncio.to_thread(ships.start, command)


async def all_is_well(ctx: Context, truth: Truth, sender: Sender) -> None:
    await all_understood(ctx, seconds=QUIET_S)
    assert sender.acknowledged == len(truth.letters) == WEBHOOKS
    await agreed(ctx, truth, sendings=sender.tries)


async def test_the_whole_service_is_killed_twice_in_a_burst(durable_database: Database):
    with fleet(durable_database.app_url) as ships:
        async with house_of(ships) as ctx:
            truth, sender = await live(ctx, PAYMENTS), Sender(ships.url)
            serving = await asyncio.to_thread(ships.start, "serve")
            sending = asyncio.create_task(sender.send_all(truth.letters))
            for acknowledged in (600, 1_400):
                await sender.reached(acknowledged)
                serving = await replaced(ships, serving, "serve")
            await sending
            await all_is_well(ctx, truth, sender)


async def test_web_and_workers_are_killed_in_turn_in_a_burst(durable_database: Database):
    with fleet(durable_database.app_url) as ships:
        async with house_of(ships) as ctx:
            truth, sender = await live(ctx, PAYMENTS), Sender(ships.url)
            web = await asyncio.to_thread(ships.start, "web")
            workers = [await asyncio.to_thread(ships.start, "worker") for _ in range(2)]
            sending = asyncio.create_task(sender.send_all(truth.letters))
            await sender.reached(300)
            workers[0] = await replaced(ships, workers[0], "worker")
            await sender.reached(800)
            web = await replaced(ships, web, "web")
            await sender.reached(1_300)
            for worker in workers:  # none is left for a while
                await replaced(ships, worker, "worker")
            await sender.reached(1_700)
            await replaced(ships, web, "web")
            await sending
            await all_is_well(ctx, truth, sender)


@pytest.fixture
def own_postgres() -> Iterator[tuple[Database, psutil.Process]]:
    """A durable server of this test's own, and its first process, for it to be killed."""
    with folder(disk()) as data, supervise(data, binaries=binaries()) as server:
        migrate(server.url("owner"))
        ours = [child for child in psutil.Process().children() if "postgres" in child.name()]
        yield Database(server.url("app"), server.url("owner")), max(ours, key=psutil.Process.create_time)


async def test_the_database_is_killed_in_a_burst(own_postgres: tuple[Database, psutil.Process]):
    database, postgres = own_postgres
    with fleet(database.app_url) as ships:
        async with house_of(ships) as ctx:
            truth, sender = await live(ctx, PAYMENTS), Sender(ships.url)
            await asyncio.to_thread(ships.start, "serve")
            sending = asyncio.create_task(sender.send_all(truth.letters))
            await sender.reached(900)
            postgres.kill()
            await sending
            await all_is_well(ctx, truth, sender)
