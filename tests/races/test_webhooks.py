"""Several processes over one database, all at the same letters: every effect once, and nobody stuck."""

import asyncio
import random

import builders
from counterfoil.services.context import Context
from counterfoil.store import queue
from database import Database
from fleet import Sender, fleet, house_of, until
from truth import agreed, all_understood, live

PAYMENTS = 60
LETTERS = 4 * PAYMENTS
QUIET_S = 60.0


async def _enqueued_again(ctx: Context, times: int) -> None:
    """Every letter as many times more in the queue, in another order each time."""
    ids = [row["id"] for row in await builders.rows(ctx, "SELECT id FROM inbox")]
    for _ in range(times):
        random.Random(times).shuffle(ids)
        async with ctx.db.transaction() as conn:
            await queue.enqueue(conn, queue.UNDERSTAND, ids)


async def _due_at_once(ctx: Context) -> None:
    """Every letter is for the sweepers too."""
    async with ctx.db.transaction() as conn:
        await conn.execute("UPDATE inbox SET next_check_at = $1", ctx.now())


async def test_workers_and_sweepers_of_three_processes_do_each_thing_once(durable_database: Database):
    with fleet(durable_database.app_url) as ships:
        async with house_of(ships) as ctx:
            truth = await live(ctx, PAYMENTS)
            for gateway in ("stripe", "razorpay"):
                await builders.stored(
                    ctx, gateway, *(body for name, body in truth.letters if name == gateway)
                )
            await _enqueued_again(ctx, 2)
            await _due_at_once(ctx)
            await asyncio.gather(*(asyncio.to_thread(ships.start, "worker") for _ in range(3)))
            await all_understood(ctx, seconds=QUIET_S)
            await agreed(ctx, truth, sendings=LETTERS)

            async def empty() -> bool:
                return await builders.one(ctx, "SELECT count(*) FROM pgqueuer") == 0

            await until(empty, seconds=QUIET_S)
            await agreed(ctx, truth, sendings=LETTERS)
            assert "not understood" not in ships.log


async def test_the_same_webhooks_sent_to_two_processes_at_once_are_stored_once(durable_database: Database):
    with fleet(durable_database.app_url) as one, fleet(durable_database.app_url) as other:
        (other.folder / "key").unlink(missing_ok=True)
        async with house_of(one) as ctx:
            (other.folder / "key").write_bytes((one.folder / "key").read_bytes())
            truth = await live(ctx, PAYMENTS)
            await asyncio.gather(
                asyncio.to_thread(one.start, "serve"), asyncio.to_thread(other.start, "serve")
            )
            senders = [Sender(ships.url) for ships in (one, other, one)]
            orders = [truth.letters, truth.letters, truth.letters[::-1]]
            await asyncio.gather(
                *(sender.send_all(order) for sender, order in zip(senders, orders, strict=True))
            )
            await all_understood(ctx, seconds=QUIET_S)
            await agreed(ctx, truth, sendings=sum(sender.tries for sender in senders))
            counted = await builders.one(ctx, "SELECT sum(deliveries) FROM inbox")
            assert counted >= 3 * LETTERS == sum(sender.acknowledged for sender in senders)
