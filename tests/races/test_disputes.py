"""Several processes over one database and one sandbox, all at the same dispute: it has one answer, sent once."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from functools import partial
from itertools import cycle
from pathlib import Path
from typing import Any

import pytest

from counterfoil import wiring
from counterfoil.domain.operator import Role
from counterfoil.services import keys
from counterfoil.settings import Settings
from database import Database, Postgres
from sandbox_server import Sandbox, eventually, run_sandbox
from service import Answer, Process, call, of_sandbox

ROUNDS = 4
Post = Callable[[str, Any], Answer]
Sent = Callable[[str], list[str]]


async def _key(sandbox: Sandbox, database: Database, key_file: Path) -> str:
    """A key of somebody who may answer."""
    settings = Settings(**of_sandbox(sandbox), key_file=key_file, public_url="http://127.0.0.1:9")
    addresses = wiring.Addresses(
        url=database.app_url, owner_url=database.owner_url, direct_url=database.app_url
    )
    async with wiring.open_house(settings, addresses) as house:
        return (await keys.create(house.context, name="ann", role=Role.ADMIN, actor="tests"))[1]


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def asking(
    durable_postgres: Postgres, sandbox: Sandbox, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Answer]]:
    """Ask one of three processes after the other."""
    key_file = tmp_path_factory.mktemp("dispute") / "key"
    with ExitStack() as held:
        database = held.enter_context(durable_postgres.database())
        bearer = {"authorization": f"Bearer {asyncio.run(_key(sandbox, database, key_file))}"}
        processes = [held.enter_context(Process(sandbox, database.app_url, key_file)) for _ in range(3)]
        sandbox.webhooks(deliver_to=processes[0].url)
        turns = cycle(process.url for process in processes)

        def asking(method: str, path: str, body: Any = None) -> Answer:
            return call(next(turns), method, f"/api/payments{path}", body, headers=bearer)

        yield asking


@pytest.fixture
def post(asking: Callable[..., Answer]) -> Post:
    return partial(asking, "POST")


@pytest.fixture
def sent(asking: Callable[..., Answer]) -> Sent:
    """The calls about a payment's disputes, each as its timeline has it."""

    def lines(payment: str) -> list[str]:
        moments = asking("GET", f"/{payment}/timeline").json["data"]
        calls = [one["what"] for one in moments if one["kind"] == "call"]
        return [what for what in calls if what.endswith(("submit_evidence", "accept_dispute"))]

    return lines


@pytest.mark.parametrize("verbs", [("submit",), ("accept",), ("submit", "accept")])
def test_answers_at_once_over_three_processes_are_one(
    post: Post, sent: Sent, sandbox: Sandbox, verbs: tuple[str, ...]
):
    for _ in range(ROUNDS):
        card = {
            "amount": 8_000,
            "currency": "USD",
            "payment_method": "pm_card_createDispute",
            "confirm": True,
        }
        made = post("", card).json

        def heard(payment: str = made["id"]) -> Any:
            return post(f"/{payment}/sync", None).json["disputes"]

        [dispute] = eventually(heard, seconds=20)
        asked = [
            (f"/disputes/{dispute['id']}/{verb}", {"confirm": True} if verb == "accept" else None)
            for verb in verbs
        ]
        with ThreadPoolExecutor(18) as many:
            said = [
                one.result()
                for one in [many.submit(partial(post, *ask)) for ask in asked * (18 // len(asked))]
            ]
        assert set(Counter(answer.status for answer in said)) <= {200, 409}
        lines = sent(made["id"])
        assert len(lines) == 1, lines
        told = {one["id"]: one["status"] for one in sandbox.truth()["stripe"]["disputes"]}
        ends = {"stripe.submit_evidence": "under_review", "stripe.accept_dispute": "lost"}
        assert told[dispute["gateway_reference"]] == ends[lines[0]]
