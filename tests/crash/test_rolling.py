"""Two web and two worker processes over one PostgreSQL, under load, one after the other ended by SIGKILL.

The long form is a command away: `COUNTERFOIL_TEST_ROLLING_S=600 make test ARGS="tests/crash/test_rolling.py"`.
"""

import asyncio
import http.client
import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from agreement import Verdict, compare, stored
from balancer import balanced
from database import Database
from sandbox_server import Sandbox, eventually, run_sandbox
from service import call, counterfoil, environment

pytestmark = pytest.mark.crash

SECONDS = float(os.environ.get("COUNTERFOIL_TEST_ROLLING_S", "15"))
CLIENTS = 6
BETWEEN_KILLS_S = (0.4, 1.6)
ANSWER_S = 60.0
START_S = 40.0
LOST = (OSError, http.client.HTTPException, ValueError)


@dataclass
class Roll:
    """The processes, and what clients were promised."""

    sandbox: Sandbox
    environment: dict[str, str]
    door: str  # the balancer before both web processes
    ports: list[int]
    key: str = ""
    running: list[subprocess.Popen[bytes] | None] = field(default_factory=lambda: [None] * 4)
    kills: int = 0
    promised: dict[str, tuple[str, str]] = field(default_factory=dict)  # idempotency key → payment, status

    def start(self, number: int) -> None:
        """Processes 0 and 1 are web, 2 and 3 work."""
        web = ("web", "--port", str(self.ports[number])) if number < 2 else ("worker",)
        self.running[number] = subprocess.Popen(
            counterfoil(*web), env=self.environment, stderr=subprocess.DEVNULL
        )

    def kill(self, number: int) -> None:
        process = self.running[number]
        if process is not None:
            process.kill()
            process.wait()
            self.running[number] = None

    def ready(self, number: int) -> bool:
        with suppress(*LOST):
            return call(f"http://127.0.0.1:{self.ports[number]}", "GET", "/readyz", timeout=2).status == 200
        return False


@pytest.fixture
def roll(durable_database: Database, tmp_path: Path) -> Iterator[Roll]:
    with run_sandbox(jump_pause_ms=200) as sandbox, balanced(2) as (door, ports):
        sandbox.webhooks(deliver_to=door)
        made = Roll(
            sandbox,
            environment(sandbox, durable_database.app_url, tmp_path / "key", public_url=door),
            door,
            ports,
        )
        keys = subprocess.run(
            counterfoil("keys", "create", "--name", "roll", "--role", "admin"),
            env=made.environment, capture_output=True, text=True, check=True,
        )  # fmt: skip
        made.key = keys.stdout.splitlines()[-1]
        for number in range(4):
            made.start(number)
        eventually(lambda: all(map(made.ready, (0, 1))), seconds=START_S)
        try:
            yield made
        finally:
            for number in range(4):
                made.kill(number)


def test_nothing_is_lost_and_nothing_charged_twice(
    roll: Roll, durable_database: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    stop, chance = threading.Event(), random.Random(11)
    with ThreadPoolExecutor(CLIENTS) as pool:
        clients = [pool.submit(shop, roll, number, stop) for number in range(CLIENTS)]
        with killing(roll, chance):
            stop.wait(SECONDS)
        stop.set()
        for client in clients:
            client.result()
    verdict = settled(roll, durable_database)
    assert roll.kills >= SECONDS / 4
    assert len(roll.promised) >= SECONDS * 2
    assert verdict.ok, "\n".join(verdict.sentences)
    kept = promises(durable_database)
    broken = [
        (payment, said, kept.get(payment))
        for payment, said in roll.promised.values()
        if said == "captured" and kept.get(payment) != "captured"
    ]
    assert broken == []
    with capsys.disabled():
        sys.stdout.write(
            f"\nrolling: {roll.kills} kills in {SECONDS:.0f} s, {len(roll.promised)} payments answered,"
            f" {verdict.charges} charges at the sandbox; double 0, lost 0, in limbo 0\n"
        )


@contextmanager
def killing(roll: Roll, chance: random.Random) -> Iterator[None]:
    """End one process at random, start it again, and go on, until the block is left; then all four run."""
    over = threading.Event()

    def kill() -> None:
        while not over.wait(chance.uniform(*BETWEEN_KILLS_S)):
            number = chance.randrange(4)
            roll.kill(number)
            roll.kills += 1
            roll.start(number)

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        yield
    finally:
        over.set()
        killer.join()


def shop(roll: Roll, number: int, stop: threading.Event) -> None:
    """A client: each payment under one key, asked for until it is answered."""
    count = 0
    while not stop.is_set():
        key, count = f"roll-{number}-{count}", count + 1
        by_card = (number + count) % 2 == 0
        body: dict[str, Any] = {
            "amount": 10_000 + count,
            "currency": "USD" if by_card else "INR",
            "reference": key,
        }
        if by_card:
            body |= {"payment_method": "pm_card_visa", "confirm": True}
        made = until_answered(roll, "/api/payments", body, key)
        if not by_card and made.get("checkout") and "razorpay" in made["checkout"]:
            order = made["checkout"]["razorpay"]["order_id"]
            paid = {"key": roll.sandbox.config.razorpay_key_id, "order_id": order, "method": "upi"}
            call(roll.sandbox.url, "POST", "/razorpay/checkout/pay", paid | {"vpa": "success@razorpay"})
        roll.promised[key] = made["id"], made["status"]


def until_answered(roll: Roll, path: str, body: dict[str, Any], key: str) -> Any:
    headers = {"authorization": f"Bearer {roll.key}", "idempotency-key": key}
    end = time.monotonic() + ANSWER_S
    while time.monotonic() < end:
        with suppress(*LOST):
            answer = call(roll.door, "POST", path, body, headers=headers, timeout=25)
            if answer.status in {200, 201}:
                return answer.json
            assert answer.status in {409, 502, 503}, answer  # still at work there, or nobody there
        time.sleep(0.1)
    raise AssertionError(f"{key} was not answered within {ANSWER_S:.0f} s")


def settled(roll: Roll, database: Database) -> Verdict:
    """Let the sweeps do their work, clock and all, then compare with what the gateways know."""
    for number in range(4):
        if roll.running[number] is None:
            roll.start(number)
    eventually(lambda: all(map(roll.ready, (0, 1))), seconds=START_S)
    verdict = Verdict()
    for _ in range(12):
        roll.sandbox.advance(120)
        time.sleep(2)
        verdict = asyncio.run(_compare(roll.sandbox, database))
        if verdict.ok:
            break
    return verdict


async def _compare(sandbox: Sandbox, database: Database) -> Verdict:
    conn = await asyncpg.connect(database.owner_url)
    try:
        return compare(sandbox.truth(), await stored(conn))
    finally:
        await conn.close()


def promises(database: Database) -> dict[str, str]:
    async def read() -> dict[str, str]:
        conn = await asyncpg.connect(database.owner_url)
        try:
            return {row["id"]: row["status"] for row in await conn.fetch("SELECT id, status FROM payments")}
        finally:
            await conn.close()

    return asyncio.run(read())
