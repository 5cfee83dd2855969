"""Several processes over one database number the receipts of one crowd: no number is left out, and none given twice.

COUNTERFOIL_TEST_PAYMENTS=200 makes the crowd larger; `pytest -n 0` shows what came of it.
"""

import asyncio
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Any, Final

import asyncpg
import pytest

from counterfoil import wiring
from counterfoil.domain.operator import Role
from counterfoil.services import keys
from counterfoil.settings import Settings
from database import Database, Postgres
from sandbox_server import Sandbox, eventually, run_sandbox
from service import Answer, Process, call, of_sandbox

PAYMENTS: Final = int(os.environ.get("COUNTERFOIL_TEST_PAYMENTS", "40"))
PROCESSES: Final = 3
AT_ONCE: Final = 24
LEASE_S: Final = 31.0  # after which what a dead process had begun is taken up again
ROUNDS: Final = (
    40  # of looking at it; a call that never arrived is given up after ninety seconds and two empty reads
)
DECLINED: Final = "pm_card_chargeDeclined"
# Whatever was begun has an end, and whatever took money has its receipt.
WAITING: Final = """
    SELECT (SELECT count(*) FROM calls WHERE settled IS NULL OR settled = 'unknown')
        + (SELECT count(*) FROM attempts WHERE state = 'unknown')
        + (SELECT count(*) FROM payments p WHERE status = 'captured'
           AND NOT EXISTS (SELECT FROM receipts r WHERE r.payment_id = p.id)) AS waiting
"""


@dataclass
class Crowd:
    """Three processes, and whoever pays there."""

    sandbox: Sandbox
    processes: list[Process]
    key: str
    database: Database

    def pay(self, number: int) -> None:
        """One order, by a card that is declined where the number ends in 0 or 5. Who gets no answer asks once more, elsewhere."""
        method = "pm_card_visa" if number % 5 else DECLINED
        asked = {"amount": 1_000 + number, "currency": "USD", "gateway": "stripe", "payment_method": method}
        for turn in range(2):
            with suppress(OSError, HTTPException):
                self._post(self.processes[(number + turn) % PROCESSES], f"order-{number}", asked)
                return

    def _post(self, process: Process, key: str, asked: dict[str, Any]) -> Answer:
        headers = {"authorization": f"Bearer {self.key}", "idempotency-key": key}
        return call(process.url, "POST", "/api/payments", asked | {"confirm": True}, headers=headers)

    def settle(self) -> None:
        """Let time pass until nothing is left open."""
        for _ in range(ROUNDS):
            self.sandbox.advance(LEASE_S)
            with suppress(AssertionError):
                return eventually(lambda: self.rows(WAITING) == [{"waiting": 0}])
        raise AssertionError(f"something stays open: {self.rows(WAITING)}")

    def rows(self, sql: str) -> list[dict[str, Any]]:
        async def ask() -> list[dict[str, Any]]:
            conn = await asyncpg.connect(self.database.owner_url)
            try:
                return [dict(row) for row in await conn.fetch(sql)]
            finally:
                await conn.close()

        return asyncio.run(ask())


@pytest.fixture
def crowd(durable_postgres: Postgres, tmp_path: Path) -> Iterator[Crowd]:
    with ExitStack() as held:
        database = held.enter_context(durable_postgres.database())
        sandbox = held.enter_context(run_sandbox())
        key = asyncio.run(_key(sandbox, database, tmp_path / "key"))
        processes = [Process(sandbox, database.app_url, tmp_path / "key") for _ in range(PROCESSES)]
        for process in processes:
            held.enter_context(process)
        sandbox.webhooks(deliver_to=processes[1].url)
        yield Crowd(sandbox, processes, key, database)


async def _key(sandbox: Sandbox, database: Database, key_file: Path) -> str:
    settings = Settings(**of_sandbox(sandbox), key_file=key_file, public_url="http://127.0.0.1:9")
    addresses = wiring.Addresses(
        url=database.app_url, owner_url=database.owner_url, direct_url=database.app_url
    )
    async with wiring.open_house(settings, addresses) as house:
        return (await keys.create(house.context, name="shop", role=Role.ADMIN, actor="tests"))[1]


def test_a_crowd_with_declines_and_a_killed_process_leaves_no_gap_and_no_repeat(
    crowd: Crowd, capsys: pytest.CaptureFixture[str]
):
    with ThreadPoolExecutor(AT_ONCE) as many:
        paying = [many.submit(crowd.pay, number) for number in range(PAYMENTS)]
        paying[PAYMENTS // 3].result()
        crowd.processes[0].kill()  # with whatever it had in hand
        for one in paying:
            one.result()
    crowd.processes[0].start()
    crowd.settle()

    payments = crowd.rows("SELECT id, status FROM payments")
    captured = {row["id"] for row in payments if row["status"] == "captured"}
    receipts = crowd.rows("SELECT payment_id, sequence FROM receipts ORDER BY sequence")
    numbers = [row["sequence"] for row in receipts]
    repeats, gaps = len(numbers) - len(set(numbers)), max(numbers) - len(set(numbers))
    with capsys.disabled():
        told = f"payments {len(payments)}, failed {len(payments) - len(captured)}, receipts {len(receipts)}"
        print(f"\n{told}, gaps {gaps}, repeats {repeats}")  # noqa: T201  what the proof has shown
    assert (gaps, repeats, numbers[0]) == (0, 0, 1)
    assert sorted(row["payment_id"] for row in receipts) == sorted(captured)
    taken = [charge for charge in crowd.sandbox.truth()["stripe"]["charges"] if charge["captured"]]
    assert len(taken) == len(captured) > PAYMENTS // 2
    assert len(payments) - len(captured) >= PAYMENTS // 5
