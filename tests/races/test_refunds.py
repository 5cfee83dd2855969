"""Several processes over one database and one sandbox, all at the same refund: one wins, and money leaves once."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from pathlib import Path
from time import sleep
from typing import Any, Final

import asyncpg
import pytest

from counterfoil import wiring
from counterfoil.domain.operator import Role
from counterfoil.services import keys
from counterfoil.settings import Settings
from database import Database, Postgres
from sandbox_server import ControlError, Sandbox, eventually, run_sandbox
from service import Answer, Process, call, of_sandbox

PROCESSES = 3
ROUNDS = 6
QUIET_S = 30.0
# Up to 50 dollars nobody has to agree, from 200 two must: the amount of a test's payment says which rule it is about.
POLICY: Final = {
    "automatedRefunds": True,
    "refundApprovalRequired": True,
    "refundThreshold": {"USD": 5_000, "INR": 500_000},
    "secondApprovalThreshold": {"USD": 20_000},
}
PEOPLE: Final = {
    "shop": Role.ADMIN,
    "ann": Role.SUPPORT,
    "bob": Role.APPROVER,
    "cem": Role.APPROVER,
    "dee": Role.APPROVER,
}
_customers = count(1)


@dataclass
class Town:
    """Three processes, a sandbox, and people with a key each."""

    sandbox: Sandbox
    processes: list[Process]
    keys: dict[str, str]
    owner_url: str
    _turn: Any = field(default_factory=count)

    def post(self, who: str, path: str, body: Any = None, key: str | None = None) -> Answer:
        """By the next process in turn."""
        headers = {"authorization": f"Bearer {self.keys[who]}"} | ({"idempotency-key": key} if key else {})
        url = self.processes[next(self._turn) % PROCESSES].url
        return call(url, "POST", f"/api/payments{path}", body or {}, headers=headers)

    def paid(self, amount: int, gateway: str = "stripe") -> str:
        """A captured payment of a customer who has nothing else today."""
        asked = {"amount": amount, "customer": {"id": f"cus_{next(_customers)}"}, "gateway": gateway}
        if gateway == "stripe":
            card = {"currency": "USD", "payment_method": "pm_card_bypassPending", "confirm": True}
            made = self.post("shop", "", asked | card).json
        else:
            made = self.post("shop", "", asked | {"currency": "INR"}).json
            by = {
                "order_id": made["attempts"][0]["gateway_reference"],
                "method": "upi",
                "vpa": "success@razorpay",
            }
            call(self.sandbox.url, "POST", "/_sandbox/razorpay/pay", by)
        eventually(lambda: self.read(made["id"])["status"] == "captured", seconds=QUIET_S)
        return str(made["id"])

    def ask(self, payment: str, amount: int) -> Any:
        asked = self.post("ann", f"/{payment}/refund", {"reason": "duplicate", "amount": amount})
        assert asked.status == 201, asked
        return asked.json

    def act(self, who: str, refund: str, verb: str) -> Answer:
        return self.post(who, f"/refunds/{refund}/{verb}", {"reason": "raced"} if verb == "reject" else None)

    def read(self, path: str) -> Any:
        headers = {"authorization": f"Bearer {self.keys['shop']}"}
        return call(self.processes[0].url, "GET", f"/api/payments/{path}", headers=headers).json

    def at_gateway(self, payment: str) -> list[Any]:
        """The refunds of a payment that stand in the sandbox's own truth."""
        refs = [c["gateway_reference"] for a in self.read(payment)["attempts"] for c in a["charges"]]
        truth = self.sandbox.truth()
        every = [*truth["stripe"]["refunds"], *truth["razorpay"]["refunds"]]
        return [
            one
            for one in every
            if one.get("charge", one.get("payment_id")) in refs and one["status"] != "failed"
        ]

    def sql(self, statement: str, *values: Any) -> list[dict[str, Any]]:
        async def run() -> list[dict[str, Any]]:
            conn = await asyncpg.connect(self.owner_url)
            try:
                return [dict(row) for row in await conn.fetch(statement, *values)]
            finally:
                await conn.close()

        return asyncio.run(run())

    def at_once(self, *doing: Callable[[], Any]) -> list[Any]:
        with ThreadPoolExecutor(len(doing)) as many:
            return [one.result() for one in [many.submit(act) for act in doing]]

    def agreed(self, payment: str, calls: int | None = None) -> int:
        """What the gateway gave back of a payment; ours says the same, keeps nothing more, and made so many calls."""

        def settled() -> bool:
            given = sum(one["amount"] for one in self.at_gateway(payment))
            [charge] = self.sql("SELECT refunded_seen, reserved FROM charges WHERE payment_id = $1", payment)
            return charge == {"refunded_seen": given, "reserved": 0}

        eventually(settled, seconds=QUIET_S)
        if calls is not None:
            left = self.sql(
                "SELECT count(*) AS n FROM calls WHERE payment_id = $1 AND verb = 'refund'", payment
            )
            assert left[0]["n"] == calls
        return sum(one["amount"] for one in self.at_gateway(payment))


async def _furnish(sandbox: Sandbox, database: Database, key_file: Path) -> dict[str, str]:
    """Settings and keys, before the first process starts."""
    settings = Settings(**of_sandbox(sandbox), key_file=key_file, public_url="http://127.0.0.1:9")
    addresses = wiring.Addresses(
        url=database.app_url, owner_url=database.owner_url, direct_url=database.app_url
    )
    async with wiring.open_house(settings, addresses) as house:
        ctx = house.context
        async with ctx.db.transaction() as conn:
            document = await conn.fetchval("SELECT document FROM settings FOR UPDATE")
            document["refundProcessing"] = document.get("refundProcessing", {}) | POLICY
            await conn.execute("UPDATE settings SET document = $1, version = version + 1", document)
        return {
            name: (await keys.create(ctx, name=name, role=role, actor="tests"))[1]
            for name, role in PEOPLE.items()
        }


@pytest.fixture(scope="module")
def town(durable_postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    key_file = tmp_path_factory.mktemp("town") / "key"
    with ExitStack() as held:
        database = held.enter_context(durable_postgres.database())
        sandbox = held.enter_context(run_sandbox())
        texts = asyncio.run(_furnish(sandbox, database, key_file))
        processes = [Process(sandbox, database.app_url, key_file) for _ in range(PROCESSES)]
        for process in processes:
            held.enter_context(process)
        sandbox.webhooks(deliver_to=processes[0].url)
        yield Town(sandbox, processes, texts, database.owner_url)


def test_fifty_at_once_of_more_than_half_over_three_processes_are_one(town: Town):
    payment = town.paid(8_000)
    asked = {"reason": "duplicate", "amount": 4_800}
    answers = town.at_once(*[partial(town.post, "ann", f"/{payment}/refund", asked)] * 50)
    assert Counter(answer.status for answer in answers) == {201: 1, 422: 49}
    assert {answer.json["refundable"] for answer in answers if answer.status == 422} == {3_200}
    assert town.agreed(payment, calls=1) == 4_800


@pytest.mark.parametrize(("amount", "needed"), [(6_000, 1), (30_000, 2)])
def test_several_approvers_at_once_let_a_refund_go_once(town: Town, amount: int, needed: int):
    for _ in range(ROUNDS):
        payment = town.paid(2 * amount)
        refund = town.ask(payment, amount)
        assert (refund["status"], refund["approvals_needed"]) == ("pending_approval", needed)
        approving = [partial(town.act, who, refund["id"], "approve") for who in ("bob", "cem", "dee")]
        answers = town.at_once(*approving)
        assert {answer.status for answer in answers} <= {200, 409}
        assert sum(answer.status == 200 for answer in answers) >= needed
        assert town.agreed(payment, calls=1) == amount
        given = town.read(f"refunds/{refund['id']}")["approvals"]
        assert needed <= len({one["by"] for one in given}) == len(given)


def test_approval_rejection_withdrawal_and_expiry_race_to_one_winner(town: Town):
    chance, ends = random.Random(4), Counter[str]()
    for _ in range(2 * ROUNDS):
        payment = town.paid(12_000)
        refund = town.ask(payment, 6_000)["id"]
        town.sql(
            "UPDATE refunds SET expires_at = now() + $2::float * interval '1 second',"
            " next_check_at = now() + $2::float * interval '1 second' WHERE id = $1",
            refund,
            chance.uniform(0.1, 0.9),
        )
        sleep(chance.uniform(0, 0.8))
        verbs = {"bob": "approve", "cem": "reject", "ann": "cancel"}
        answers = dict(
            zip(
                verbs.values(),
                town.at_once(*[partial(town.act, who, refund, verb) for who, verb in verbs.items()]),
                strict=True,
            )
        )
        assert {answer.status for answer in answers.values()} <= {200, 409}
        ended = town.read(f"refunds/{refund}")
        gone = ended["status"] in {"processing", "succeeded"}
        assert town.agreed(payment, calls=int(gone)) == (6_000 if gone else 0)
        ended_by = {"rejected": "reject", "cancelled": "cancel"}.get(ended["status"], "approve")
        expired = ended["because"] == "nobody decided in time"
        agreed_to = {verb for verb, answer in answers.items() if answer.status == 200}
        assert expired or ended_by in agreed_to
        # One that was approved may still be ended until it is sent; whoever ends what has ended is told so, and how.
        assert agreed_to - {"approve"} <= {ended_by}
        ends["expire" if expired else ended_by] += 1
    assert len(ends) > 1, ends  # a race that always ends alike is none


def test_whoever_sends_an_approved_refund_it_leaves_once(town: Town):
    """Two people, two syncs and the sweeps of three processes: the refund has waited for the balance, and is due."""
    for _ in range(ROUNDS):
        payment = town.paid(8_000)
        town.sandbox.control("POST", "stripe/refunds", {"course": "refused", "times": 1})
        refund = town.ask(payment, 4_800)
        assert refund["status"] == "approved", refund
        town.sql("UPDATE refunds SET next_check_at = now() WHERE id = $1", refund["id"])
        sending = [partial(town.act, who, refund["id"], "send") for who in ("bob", "cem")]
        syncing = [partial(town.post, "shop", f"/{payment}/sync")] * 2
        answers = town.at_once(*sending, *syncing)
        assert {answer.status for answer in answers} <= {200, 409}
        assert town.agreed(payment, calls=2) == 4_800  # the one that was refused, and one


def test_one_idempotency_key_in_parallel_is_one_refund(town: Town):
    payment = town.paid(4_000)
    asked = {"reason": "duplicate", "amount": 1_000}
    asking = partial(town.post, "ann", f"/{payment}/refund", asked, key="the same")
    answers = [*town.at_once(*[asking] * 20), asking()]
    assert {answer.status for answer in answers} <= {201, 409}
    assert len({answer.json["id"] for answer in answers if answer.status == 201}) == 1
    assert answers[-1].status == 201
    assert town.agreed(payment, calls=1) == 1_000


@pytest.mark.parametrize(("gateway", "amount"), [("stripe", 8_000), ("razorpay", 80_000)])
def test_one_made_in_the_dashboard_while_ours_is_sent_leaves_both_sides_agreed(
    town: Town, gateway: str, amount: int
):
    """Each is of more than half: one of them is given back, and the other is refused, whoever was first."""
    chance, ours_won = random.Random(11), Counter[bool]()
    for _ in range(ROUNDS):
        payment = town.paid(amount, gateway)
        [charge] = [c["gateway_reference"] for a in town.read(payment)["attempts"] for c in a["charges"]]
        of = {"charge": charge} if gateway == "stripe" else {"payment_id": charge}

        def by_hand(of: Any = of) -> bool:
            sleep(chance.uniform(0, 0.06))
            try:
                town.sandbox.control("POST", f"{gateway}/dashboard_refund", of | {"amount": amount * 6 // 10})
            except ControlError:
                return False
            return True

        asked = {"reason": "duplicate", "amount": amount * 6 // 10}
        asking = partial(town.post, "ann", f"/{payment}/refund", asked)
        answer, made_by_hand = town.at_once(asking, by_hand)
        assert answer.status in {201, 422}, answer
        assert town.agreed(payment) == amount * 6 // 10
        ours = town.read(f"refunds/{answer.json['id']}")["status"] if answer.status == 201 else "refused"
        assert (ours in {"processing", "succeeded"}) is not made_by_hand, ours
        ours_won[not made_by_hand] += 1
    assert sum(ours_won.values()) == ROUNDS
