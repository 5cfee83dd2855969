"""SIGKILL in the middle of a burst: what was acknowledged is kept, what was not is sent again, and nothing counts twice."""

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
import pytest

from builders import (
    KEYS,
    as_sent,
    charge,
    event,
    intent,
    owed,
    razorpay_event,
    razorpay_payment,
    signed,
    unique,
)
from counterfoil import wiring
from counterfoil.services.context import Context
from counterfoil.settings import Settings
from counterfoil.web.server import listen
from database import Database
from sandbox_server import eventually
from service import counterfoil

WEBHOOKS = 2_000
SENDERS = 32

pytestmark = pytest.mark.crash


class Fleet:
    """A web and a worker process over one database, killed and started again as a test likes."""

    def __init__(self, environment: dict[str, str]) -> None:
        with listen("127.0.0.1", 0) as probe:
            self.port: int = probe.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = environment
        self._commands = {"web": ("web", "--port", str(self.port)), "worker": ("worker",)}
        self._running: dict[str, subprocess.Popen[bytes]] = {}

    def start(self, name: str) -> None:
        self._running[name] = subprocess.Popen(
            counterfoil(*self._commands[name]), env=self._environment, stderr=subprocess.DEVNULL
        )

    def kill(self, name: str) -> None:
        self._running[name].kill()
        self._running[name].wait()

    def end(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(**KEYS, key_file=tmp_path / "key")


@pytest.fixture
def fleet(durable_database: Database, settings: Settings) -> Iterator[Fleet]:
    ours = {f"COUNTERFOIL_{name.upper()}": str(value) for name, value in KEYS.items()}
    others = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERFOIL_")}
    processes = Fleet(
        others
        | ours
        | {
            "COUNTERFOIL_KEY_FILE": str(settings.key_file),
            "COUNTERFOIL_DATABASE_URL": durable_database.app_url,
        }
    )
    try:
        yield processes
    finally:
        processes.end()


@asynccontextmanager
async def house(database: Database, settings: Settings) -> AsyncIterator[Context]:
    urls = wiring.Addresses(url=database.app_url, owner_url=database.owner_url, direct_url=database.app_url)
    async with wiring.open_house(settings, urls) as opened:
        yield opened.context


async def story(ctx: Context) -> list[tuple[str, bytes]]:
    """Half the webhooks from each gateway: every payment is told of twice, by two kinds of event."""
    told: list[tuple[str, bytes]] = []
    for _ in range(WEBHOOKS // 4):
        card = (await owed(ctx, "stripe", ref=f"pi_{unique()}")).attempts[0]
        ref = f"ch_{unique()}"
        told.append(("stripe", as_sent(event("charge.succeeded", charge(card, ref)))))
        told.append(
            (
                "stripe",
                as_sent(event("payment_intent.succeeded", intent(card, "succeeded", latest_charge=ref))),
            )
        )
        upi = (await owed(ctx, "razorpay", currency="INR", ref=f"order_{unique()}")).attempts[0]
        paid = razorpay_payment(upi, f"pay_{unique()}", "captured")
        order = {
            "id": upi.ref,
            "created_at": 1_793_000_000,
            "entity": "order",
            "amount": upi.amount,
            "currency": "INR",
            "status": "paid",
        }
        told.append(("razorpay", as_sent(razorpay_event("payment.captured", payment=paid))))
        told.append(("razorpay", as_sent(razorpay_event("order.paid", payment=paid, order=order))))
    return told


class Gateways:
    """Both gateways as senders: at least once, again and again until they are answered with 200."""

    def __init__(self, url: str, told: Sequence[tuple[str, bytes]]) -> None:
        self._url = url
        self._left = list(reversed(told))
        self.acknowledged = 0
        self.sendings = 0

    async def send_all(self) -> None:
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            await asyncio.gather(*(self._sender(session) for _ in range(SENDERS)))

    async def _sender(self, session: aiohttp.ClientSession) -> None:
        while self._left:
            gateway, body = self._left.pop()
            while not await self._send(session, gateway, body):
                await asyncio.sleep(0.1)
            self.acknowledged += 1

    async def _send(self, session: aiohttp.ClientSession, gateway: str, body: bytes) -> bool:
        self.sendings += 1
        headers = signed(gateway, body, at=datetime.now(UTC))
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            async with session.post(f"{self._url}/webhooks/{gateway}", data=body, headers=headers) as answer:
                assert answer.status in {200, 503}
                return answer.status == 200
        return False

    async def until(self, acknowledged: int) -> None:
        while self.acknowledged < acknowledged:
            await asyncio.sleep(0.005)


async def asked(database: Database, sql: str) -> Any:
    conn = await asyncpg.connect(database.owner_url)
    try:
        return await conn.fetchval(sql)
    finally:
        await conn.close()


@contextmanager
def a_burst(fleet: Fleet) -> Iterator[None]:
    fleet.start("web")
    fleet.start("worker")
    eventually(lambda: _answers(fleet.port), seconds=30)
    yield


def _answers(port: int) -> bool:
    import socket

    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


async def test_a_burst_survives_sigkill_of_web_and_worker(
    durable_database: Database, settings: Settings, fleet: Fleet
) -> None:
    async with house(durable_database, settings) as ctx:
        told = await story(ctx)
    with a_burst(fleet):
        gateways = Gateways(fleet.url, told)
        sending = asyncio.create_task(gateways.send_all())
        for acknowledged, name in ((300, "worker"), (700, "web"), (1_100, "worker"), (1_500, "web")):
            await gateways.until(acknowledged)
            await asyncio.to_thread(fleet.kill, name)
            await asyncio.sleep(0.2)
            fleet.start(name)
        await sending
        assert (
            gateways.acknowledged == WEBHOOKS == await asked(durable_database, "SELECT count(*) FROM inbox")
        )
        for _ in range(600):
            if (
                await asked(durable_database, "SELECT count(*) FROM inbox WHERE status = 'processed'")
                == WEBHOOKS
            ):
                break
            await asyncio.sleep(0.1)
    await nothing_lost_and_nothing_twice(durable_database)


async def nothing_lost_and_nothing_twice(database: Database) -> None:
    payments = WEBHOOKS // 2
    counts = {
        "webhooks processed": ("SELECT count(*) FROM inbox WHERE status = 'processed'", WEBHOOKS),
        "payments captured": (
            "SELECT count(*) FROM payments WHERE status = 'captured' AND amount_captured = amount",
            payments,
        ),
        "charges": ("SELECT count(*) FROM charges", payments),
        "captures known": ("SELECT count(*) FROM facts WHERE kind = 'charge.captured'", payments),
        "journals": ("SELECT count(*) FROM journals", payments),
        "entries": ("SELECT count(*) FROM entries", 2 * payments),
        "money at the gateways": (
            """SELECT sum(e.amount) FROM entries e JOIN ledger_accounts a ON a.id = e.ledger_account_id
               WHERE a.name = 'gateway_balance'""",
            payments * 10_000,
        ),
        "exceptions": ("SELECT count(*) FROM exceptions", 0),
    }
    found = {name: await asked(database, sql) for name, (sql, _) in counts.items()}
    assert found == {name: wanted for name, (_, wanted) in counts.items()}
