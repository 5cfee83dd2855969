"""SIGKILL in the middle of two thousand webhooks: what was acknowledged is kept, and nothing counts twice."""

import asyncio
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import psutil
import pytest

import builders
from counterfoil.services.context import Context
from counterfoil.store import payments
from counterfoil.store.embedded import supervise
from counterfoil.store.migrate import migrate
from database import Database, binaries, disk, folder
from fleet import Fleet, Sender, fleet, house_of, until

pytestmark = pytest.mark.crash

PAYMENTS = 250  # at each gateway
WEBHOOKS = 2_000  # four for each payment
RESTART_S = 15.0  # from the start of a process to its first answer: a second, where nothing else runs
QUIET_S = (
    30.0  # until all that was acknowledged is understood: a dead worker's jobs come back after eight seconds
)


@dataclass
class Truth:
    """What the gateways know: for each payment what was captured and given back, and all that they send of it."""

    paid: dict[str, tuple[int, int]] = field(default_factory=dict)
    letters: list[tuple[str, bytes]] = field(default_factory=list)


async def live(ctx: Context) -> Truth:
    """Payments that are owed, and the lives that their gateways will tell, in no order."""
    truth = Truth()
    async with ctx.db.transaction() as conn:
        for n in range(2 * PAYMENTS):
            gateway = ("stripe", "razorpay")[n % 2]
            due = builders.payment(ctx, amount=10_000 + n, currency="USD" if gateway == "stripe" else "INR")
            attempt = builders.attempt(ctx, due, gateway)
            await payments.insert(conn, due)
            await payments.insert_attempt(conn, attempt)
            back = 100 + n
            told = (_by_stripe if gateway == "stripe" else _by_razorpay)(attempt, f"{n:04d}", back)
            truth.paid[due.id] = (due.amount, back)
            truth.letters += [(gateway, builders.as_sent(event)) for event in told]
    random.Random(20).shuffle(truth.letters)
    return truth


def _by_stripe(attempt: Any, n: str, back: int) -> list[dict[str, Any]]:
    charge, refund = f"ch_{n}", builders.refund(attempt, f"re_{n}", f"ch_{n}", back)
    return [
        builders.event("charge.succeeded", builders.charge(attempt, charge)),
        builders.event(
            "payment_intent.succeeded", builders.intent(attempt, "succeeded", latest_charge=charge)
        ),
        builders.event("refund.created", refund | {"status": "pending"}),
        builders.event("refund.updated", refund),
    ]


def _by_razorpay(attempt: Any, n: str, back: int) -> list[dict[str, Any]]:
    paid = builders.razorpay_payment(attempt, f"pay_{n}", "captured")
    failed = builders.razorpay_payment(attempt, f"pay_{n}", "failed")
    refund = {
        "id": f"rfnd_{n}",
        "entity": "refund",
        "amount": back,
        "currency": "INR",
        "payment_id": f"pay_{n}",
        "created_at": 1_793_000_009,
    }
    pending, processed = refund | {"status": "pending"}, refund | {"status": "processed"}
    return [
        builders.razorpay_event("payment.failed", payment=failed),
        builders.razorpay_event("payment.captured", payment=paid),
        builders.razorpay_event("refund.created", payment=paid, refund=pending),
        builders.razorpay_event("refund.processed", payment=paid, refund=processed),
    ]


async def nothing_is_lost_and_nothing_twice(ctx: Context, truth: Truth, sender: Sender) -> None:
    assert sender.acknowledged == len(truth.letters) == WEBHOOKS
    kept = await builders.rows(ctx, "SELECT body, deliveries, status, reason FROM inbox")
    assert sorted(bytes(row["body"]) for row in kept) == sorted(body for _, body in truth.letters)
    assert {(row["status"], row["reason"]) for row in kept} == {("processed", None)}
    assert WEBHOOKS <= sum(row["deliveries"] for row in kept) <= sender.tries

    paid = await builders.rows(ctx, "SELECT id, status, amount_captured, amount_refunded FROM payments")
    assert {row["id"]: (row["amount_captured"], row["amount_refunded"]) for row in paid} == truth.paid
    assert {row["status"] for row in paid} == {"captured"}
    # Of each: one charge; the capture, the refund pending and the refund succeeded; Razorpay's failure besides, which
    # is one of the charge and one of the attempt.
    count = 2 * PAYMENTS
    counts = {
        "charges": count,
        "facts": 3 * count + 2 * PAYMENTS,
        "journals": 2 * count,
        "entries": 4 * count,
        "exceptions": 0,
    }
    found = {table: await builders.one(ctx, f"SELECT count(*) FROM {table}") for table in counts}
    assert found == counts
    held = await builders.rows(
        ctx,
        """
        SELECT j.payment_id, sum(e.amount)::bigint AS held
        FROM entries e JOIN journals j ON j.id = e.journal_id JOIN ledger_accounts a ON a.id = e.ledger_account_id
        WHERE a.name = 'gateway_balance' GROUP BY j.payment_id
        """,
    )
    assert {row["payment_id"]: row["held"] for row in held} == {
        id_: captured - back for id_, (captured, back) in truth.paid.items()
    }


async def all_understood(ctx: Context) -> None:
    async def none_left() -> bool:
        left = await builders.one(ctx, "SELECT count(*) FROM inbox WHERE status <> 'processed'")
        return left == 0

    try:
        await until(none_left, seconds=QUIET_S)
    except AssertionError:
        left = await builders.rows(ctx, "SELECT status, reason, count(*) FROM inbox GROUP BY status, reason")
        jobs = await builders.rows(ctx, "SELECT status, count(*) FROM pgqueuer GROUP BY status")
        raise AssertionError(json.dumps([left, jobs])) from None


async def replaced(ships: Fleet, process: Any, command: str) -> Any:
    """Kill the process and start another in its place."""
    await asyncio.to_thread(ships.kill, process)
    return await asyncio.to_thread(ships.start, command)


async def test_the_whole_service_is_killed_twice_in_a_burst(durable_database: Database):
    with fleet(durable_database.app_url) as ships:
        async with house_of(ships) as ctx:
            truth, sender = await live(ctx), Sender(ships.url)
            serving = await asyncio.to_thread(ships.start, "serve")
            sending = asyncio.create_task(sender.send_all(truth.letters))
            for acknowledged in (600, 1_400):
                await sender.reached(acknowledged)
                serving = await replaced(ships, serving, "serve")
            await sending
            await all_understood(ctx)
            await nothing_is_lost_and_nothing_twice(ctx, truth, sender)


async def test_web_and_workers_are_killed_in_turn_in_a_burst(durable_database: Database):
    with fleet(durable_database.app_url) as ships:
        async with house_of(ships) as ctx:
            truth, sender = await live(ctx), Sender(ships.url)
            web = await asyncio.to_thread(ships.start, "web")
            workers = [ships.start("worker") for _ in range(2)]
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
            await all_understood(ctx)
            await nothing_is_lost_and_nothing_twice(ctx, truth, sender)


@pytest.fixture
def own_postgres() -> Iterator[tuple[Database, psutil.Process]]:
    """A durable server of this test's own, and its first process, for it to be killed."""
    with folder(disk()) as data, supervise(data, binaries=binaries()) as server:
        migrate(server.url("owner"))
        main = min(
            (child for child in psutil.Process().children() if "postgres" in child.name()),
            key=lambda child: -child.create_time(),
        )
        yield Database(server.url("app"), server.url("owner")), main


async def test_the_database_is_killed_in_a_burst(own_postgres: tuple[Database, psutil.Process]):
    database, postgres = own_postgres
    with fleet(database.app_url) as ships:
        async with house_of(ships) as ctx:
            truth, sender = await live(ctx), Sender(ships.url)
            await asyncio.to_thread(ships.start, "serve")
            sending = asyncio.create_task(sender.send_all(truth.letters))
            await sender.reached(900)
            postgres.kill()
            await sending
            await all_understood(ctx)
            await nothing_is_lost_and_nothing_twice(ctx, truth, sender)
