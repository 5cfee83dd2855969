"""Payments, their refunds, disputes and approvals: whatever happens in whatever order, nobody is paid back twice.

Hypothesis chooses what happens next, and after each step what is stored is reckoned anew.
"""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack
from typing import Any, ClassVar, Final

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import refund_world
from database import Postgres
from refund_world import AGAIN, PAID, TAKEN_OFF, World
from simulation.fates import Fate
from simulation.stage import Stage, stage

OPEN: Final = {
    "automatedRefunds": True,
    "refundApprovalRequired": False,
    "refundThreshold": {},
    "secondApprovalThreshold": {},
    "approvalReminderHours": 24,
    "approvalExpiryHours": 72,
    "limits": {},
}
THRESHOLD: Final = {"USD": 3_000, "INR": 3_000}
SECOND: Final = {"USD": 6_000, "INR": 6_000}
POLICIES: Final = (
    OPEN,
    OPEN | {"automatedRefunds": False},
    OPEN | {"refundApprovalRequired": True},
    OPEN | {"refundThreshold": THRESHOLD},
    OPEN | {"refundThreshold": THRESHOLD, "secondApprovalThreshold": SECOND},
    OPEN | {"refundApprovalRequired": True, "automatedRefunds": False, "secondApprovalThreshold": SECOND},
    OPEN | {"limits": {"support": {"perRefund": {"USD": 4_000, "INR": 4_000}}}},
)
AMOUNTS: Final = st.sampled_from((None, 100, 2_999, 3_000, 4_000, 6_000, PAID, PAID + 1)) | st.integers(
    1, PAID
)
WHO: Final = st.sampled_from(("bob", "cem", "dee", AGAIN))
NTH: Final = st.integers(0, 5)
COURSES: Final = ("succeeded", "pending", "pending_failing", "failing", "short", "refused")
SWITCHES: Final = ("processed", "pending", "failing", "failing_late", "no_balance")
TROUBLE: Final = tuple(fate for fate in Fate if fate is not Fate.FINE)
NO_ANSWER: Final = (Fate.LOST_AFTER, Fate.FAILS_AFTER, Fate.GARBAGE, Fate.LOST_BEFORE)
LIVE: Final = {"pending_approval", "approved", "processing"}
# COUNTERFOIL_TEST_RUNS=2000 runs more of them: one takes half a second.
RUNS: Final = int(os.environ.get("COUNTERFOIL_TEST_RUNS", "201"))


class Life(RuleBasedStateMachine):
    """Two payments of one customer."""

    on: ClassVar[Stage]
    run: ClassVar[Callable[[Coroutine[Any, Any, Any]], Any]]
    gateways: ClassVar[tuple[str, str]]
    # The last request for a refund: who asked where for what with which key; and the refund that it made.
    asked: tuple[str, str, Any, str, str] | None = None

    @initialize(known=st.booleans(), policy=st.sampled_from(POLICIES))
    def begin(self, known: bool, policy: dict[str, Any]) -> None:
        async def begun() -> World:
            world = await refund_world.begin(type(self).on)
            await world.rule(policy)
            for gateway in type(self).gateways:
                await world.paid(gateway, {"id": "cus_1"} if known else {})
            return world

        self.world: World = self.do(begun())

    def do(self, doing: Coroutine[Any, Any, Any]) -> Any:
        return type(self).run(doing)

    def act(self, doing: Coroutine[Any, Any, Any]) -> Any:
        """Do it a second later than what was before: ids tell the order."""
        self.world.gateways.advance(1.0)
        return self.do(doing)

    def refund(self, nth: int) -> dict[str, Any]:
        """The newest of those that were asked for, or an older one."""
        found = [one for one in self.do(self.world.refunds()) if one["source"] != "gateway"]
        return found[-1 - nth % len(found)]

    # What people do.

    @rule(who=st.sampled_from(("ann", "dee")), nth=st.integers(0, 1), amount=AMOUNTS)
    def ask(self, who: str, nth: int, amount: int | None) -> None:
        path, key = f"/{self.world.payments[nth]['id']}/refund", f"asked at {self.world.gateways.now()}"
        asked = {"reason": "duplicate"} | ({} if amount is None else {"amount": amount})
        said = self.act(self.world.post(who, path, asked, key))
        assert said.status in {201, 403, 409, 422}, said
        if said.status == 201:
            self.asked = (who, path, asked, key, said.json["id"])

    @rule(nth=st.integers(0, 1), fate=st.sampled_from(NO_ANSWER), amount=st.sampled_from((100, 2_000)))
    def ask_and_hear_nothing(self, nth: int, fate: Fate, amount: int) -> None:
        """The answer to the refund is lost, and to the resend too; somebody asks the gateway how it stands."""
        self.world.fates, self.world.only_refunds = [fate] * 2, True
        self.ask("ann", nth, amount)
        self.sync(nth)

    @precondition(lambda self: self.asked)
    @rule()
    def ask_again(self) -> None:
        *asked, refund = self.asked
        assert self.act(self.world.post(*asked)).json["id"] == refund

    @precondition(lambda self: self.asked)
    @rule(people=st.lists(WHO, min_size=1, max_size=2), nth=NTH)
    def approve(self, people: list[str], nth: int) -> None:
        for who in people:
            self._decide(who, nth, "approve")

    @precondition(lambda self: self.asked)
    @rule(who=WHO, nth=NTH, verb=st.sampled_from(("reject", "cancel", "send")))
    def decide(self, who: str, nth: int, verb: str) -> None:
        self._decide(who, nth, verb)

    def _decide(self, who: str, nth: int, verb: str) -> None:
        asked = {"reason": "so decided"} if verb == "reject" else None
        said = self.act(self.world.post(who, f"/refunds/{self.refund(nth)['id']}/{verb}", asked))
        assert said.status in {200, 403, 409}, said

    @precondition(lambda self: self.asked)
    @rule(who=st.sampled_from(("bob", "dee")), nth=NTH, verb=st.sampled_from(("retry", "manual")))
    def go_another_way(self, who: str, nth: int, verb: str) -> None:
        asked = {"evidence": "UTR 4711"} if verb == "manual" else None
        said = self.act(self.world.post(who, f"/refunds/{self.refund(nth)['id']}/{verb}", asked))
        assert said.status in {201, 403, 409, 422}, said

    @rule(policy=st.sampled_from(POLICIES))
    def change_the_rules(self, policy: dict[str, Any]) -> None:
        self.act(self.world.rule(policy))

    # What happens on the way.

    @rule(fate=st.sampled_from(TROUBLE), times=st.integers(1, 3), only_refunds=st.booleans())
    def trouble_ahead(self, fate: Fate, times: int, only_refunds: bool) -> None:
        """This becomes of the next calls, or of the next that send a refund; a lost one is sent again at once, by itself."""
        self.world.fates, self.world.only_refunds = [fate] * times, only_refunds

    @precondition(lambda self: self.asked)
    @rule(nth=NTH, who=WHO, verb=st.sampled_from(("webhook", "approve", "cancel", "send", "sweep", "sync")))
    def meanwhile(self, nth: int, who: str, verb: str) -> None:
        """The next call that is carried out is answered after this."""
        world, refund = self.world, self.refund(0)
        doing: dict[str, Callable[[], Any]] = {
            "webhook": lambda: world.deliver(nth),
            "sweep": world.sweep,
            "sync": lambda: world.post("dee", f"/{world.payments[nth % 2]['id']}/sync"),
        }
        world.meanwhile = [doing.get(verb, lambda: world.post(who, f"/refunds/{refund['id']}/{verb}"))]

    @precondition(lambda self: self.world.gateways.post.waiting())
    @rule(nth=st.integers(0, 9), times=st.sampled_from((0, 1, 1, 1, 2)))
    def deliver(self, nth: int, times: int) -> None:
        self.act(self.world.deliver(nth, times))

    @rule(seconds=st.sampled_from((6.0, 35.0, 100.0, 3_700.0, 25 * 3600.0, 73 * 3600.0)))
    def pass_time(self, seconds: float) -> None:
        async def passed() -> None:
            await self.world.pass_time(seconds)
            await self.world.sweep()

        self.act(passed())

    @rule(nth=st.integers(0, 1))
    def sync(self, nth: int) -> None:
        self.act(self.world.post("dee", f"/{self.world.payments[nth]['id']}/sync"))

    @precondition(lambda self: self.world.late)
    @rule()
    def arrive_late(self) -> None:
        self.act(self.world.arrive())

    # What happens at the gateways.

    @rule(course=st.sampled_from(COURSES), switch=st.sampled_from(SWITCHES))
    def refunds_go_otherwise(self, course: str, switch: str) -> None:
        self.act(self.world.control("stripe/refunds", {"course": course, "times": 2}))
        self.act(self.world.control("razorpay", {"refunds": switch}))

    @rule(nth=st.integers(0, 1), amount=st.sampled_from((100, 3_000, 4_000, 6_000)))
    def refund_in_the_dashboard(self, nth: int, amount: int) -> None:
        paid = self.world.payments[nth]
        of = {"charge": paid["charge"]} if paid["gateway"] == "stripe" else {"payment_id": paid["charge"]}
        self.act(self.world.control(f"{paid['gateway']}/dashboard_refund", of | {"amount": amount}))

    @precondition(lambda self: self.world.at_gateway("refund"))
    @rule(nth=NTH, fails=st.booleans())
    def end_a_refund(self, nth: int, fails: bool) -> None:
        """Also one that had succeeded: the bank sends it back."""
        found = self.world.at_gateway("refund")
        one = found[-1 - nth % len(found)]
        name, done = {"stripe": ("refund", "succeeded"), "razorpay": ("refund_id", "processed")}[
            one["gateway"]
        ]
        asked = {name: one["id"], "status": "failed" if fails else done}
        self.act(self.world.control(f"{one['gateway']}/refund", asked))

    @rule(nth=st.integers(0, 1), amount=st.sampled_from((None, 2_000, 7_000)), asks_only=st.booleans())
    def dispute(self, nth: int, amount: int | None, asks_only: bool) -> None:
        paid = self.world.payments[nth]
        how = {
            "stripe": {"charge": paid["charge"], "inquiry": asks_only},
            "razorpay": {"payment_id": paid["charge"], "phase": "retrieval" if asks_only else "chargeback"},
        }[paid["gateway"]]
        asked = how | ({} if amount is None else {"amount": amount})
        self.act(self.world.control(f"{paid['gateway']}/dispute", asked))

    @precondition(lambda self: self.world.at_gateway("dispute"))
    @rule(nth=NTH, status=st.sampled_from(("won", "lost", "under_review", "closed", "warning_closed")))
    def decide_a_dispute(self, nth: int, status: str) -> None:
        found = self.world.at_gateway("dispute")
        one = found[nth % len(found)]
        name = {"stripe": "dispute", "razorpay": "dispute_id"}[one["gateway"]]
        self.act(self.world.control(f"{one['gateway']}/dispute_status", {name: one["id"], "status": status}))

    @precondition(lambda self: self.world.at_gateway("dispute"))
    @rule(nth=NTH, phase=st.sampled_from(("pre_arbitration", "arbitration")))
    def ask_about_a_dispute_again(self, nth: int, phase: str) -> None:
        """Also about one that was won: its money is held again."""
        found = self.world.at_gateway("dispute")
        one = found[nth % len(found)]
        asked = {
            "stripe": {"dispute": one["id"], "status": "appeal_under_review"},
            "razorpay": {"dispute_id": one["id"], "status": "open", "phase": phase},
        }[one["gateway"]]
        self.act(self.world.control(f"{one['gateway']}/dispute_status", asked))

    # What is always so.

    @invariant()
    def nothing_is_given_back_twice(self) -> None:
        self.do(_reckon(self.world))

    def teardown(self) -> None:
        if hasattr(self, "world"):
            self.do(_ended(self.world))


async def _ended(world: World) -> None:
    try:
        await world.settle()
        await _reckon(world)
        await _agree(world)
    finally:
        await world.desk.close()


async def _reckon(world: World) -> None:
    """Charges, approvals, sums and books, against the rows that they follow from and the gateways' truth."""
    refunds = await world.refunds()
    charges = await world.stage.rows(
        "SELECT id, captured, refunded_seen, disputed_held, reserved FROM charges"
    )
    for charge in charges:
        of_it = [one for one in refunds if one["charge_id"] == charge["id"]]
        kept = [one for one in of_it if one["state"] in LIVE and one["gateway_ref"] is None]
        assert charge["reserved"] == sum(one["amount"] for one in kept), (charge, kept)
        left = charge["captured"] - charge["refunded_seen"] - charge["disputed_held"] - charge["reserved"]
        told = charge["disputed_held"] or any(one["source"] == "gateway" for one in of_it)
        assert left >= 0 or (told and all(one["state"] == "processing" for one in kept)), (charge, of_it)
    for one in refunds:
        assert one["own"] == 0, one
        if one["state"] in {"approved", "processing", "succeeded"} and one["source"] == "request":
            assert one["given"] >= one["needed"], one
    ours = {one["id"]: one for one in refunds}
    made = [one for one in world.at_gateway("refund") if _label(one)]
    assert len({_label(one) for one in made}) == len(made), made
    for one in made:
        agreed = ours[_label(one)]
        assert (one["amount"], agreed["method"]) == (agreed["amount"], "gateway")
        assert agreed["approved_at"] is not None, agreed
    await _sums(world, refunds)
    await _books(world)


def _label(refund: dict[str, Any]) -> str | None:
    """Our id, as a gateway keeps it; None of one that was made in its dashboard."""
    notes = refund.get("metadata") or refund.get("notes") or {}
    return notes.get("counterfoil_refund")


async def _sums(world: World, refunds: list[dict[str, Any]]) -> None:
    """What is counted of a day is the sum of what counts."""
    days = await world.stage.rows("SELECT subject, currency, day, amount FROM refund_days")
    counted = {(row["subject"], row["currency"], row["day"]): row["amount"] for row in days}
    due = dict.fromkeys(counted, 0)
    for one in refunds:
        if one["state"] not in TAKEN_OFF:
            for subject in (one["subject"], f"person:{one['person']}"):
                named = (subject, one["currency"], one["day"])
                due[named] = due.get(named, 0) + one["amount"]
    assert counted == due


async def _books(world: World) -> None:
    assert not await world.stage.rows(
        "SELECT journal_id FROM entries GROUP BY journal_id HAVING sum(amount) <> 0"
    )
    posted = await world.stage.rows(
        """
        SELECT c.id, c.captured, c.refunded_seen,
            coalesce(sum(e.amount) FILTER (WHERE j.rule = 'capture'), 0)::bigint AS taken,
            coalesce(-sum(e.amount) FILTER (WHERE j.rule IN ('refund', 'manual_refund')), 0)::bigint AS given
        FROM charges c LEFT JOIN journals j ON j.payment_id = c.payment_id
            LEFT JOIN entries e ON e.journal_id = j.id AND e.ledger_account_id IN
                (SELECT id FROM ledger_accounts WHERE name IN ('sales', 'owed_to_customers'))
        GROUP BY c.id
        """
    )
    for row in posted:
        assert (-row["taken"], -row["given"]) == (row["captured"], row["refunded_seen"]), row


async def _agree(world: World) -> None:
    """In the end both sides say the same, and nothing is left in between."""
    refunds = await world.refunds()
    assert not await world.stage.rows("SELECT * FROM calls WHERE settled IS NULL OR settled = 'unknown'")
    for paid in world.payments:
        given = sum(one["amount"] for one in world.at_gateway("refund", paid) if one["status"] != "failed")
        by_hand = sum(
            one["amount"]
            for one in refunds
            if (one["payment_id"], one["method"], one["state"]) == (paid["id"], "manual", "succeeded")
        )
        [charge] = await world.stage.rows("SELECT * FROM charges WHERE payment_id = $1", paid["id"])
        assert charge["refunded_seen"] == given + by_hand, (charge, world.at_gateway("refund", paid))
        disputes = world.at_gateway("dispute", paid)
        assert charge["disputed_held"] == sum(map(_holds, disputes)), (charge, disputes)
    for one in refunds:
        for_a_person = one["state"] == "approved" and one["next_check_at"] is None
        assert one["state"] not in LIVE or for_a_person, one


def _holds(dispute: dict[str, Any]) -> int:
    """What of the charge its gateway keeps back for the dispute: Stripe what it took, Razorpay all of it until it is decided."""
    if dispute["gateway"] == "stripe":
        return -sum(row["amount"] for row in dispute["balance_transactions"])
    undecided = dispute["status"] in {"open", "under_review"}
    return dispute["amount"] if undecided else dispute["amount_deducted"]


@pytest.fixture
def on_stage(fast_postgres: Postgres) -> Iterator[type[Life]]:
    """The machine, with a stage of its own to stand on, in a loop of its own."""
    with ExitStack() as held:
        own = held.enter_context(fast_postgres.database())
        runner = held.enter_context(asyncio.Runner())
        where = stage(fast_postgres, own)
        Life.on, Life.run = runner.run(where.__aenter__()), runner.run
        yield Life
        runner.run(where.__aexit__(None, None, None))


@pytest.mark.parametrize(
    "gateways", [("stripe", "stripe"), ("razorpay", "razorpay"), ("stripe", "razorpay")], ids="-".join
)
def test_whatever_happens_nobody_is_paid_back_twice_or_without_approval(
    on_stage: type[Life], gateways: tuple[str, str]
):
    on_stage.gateways = gateways
    chosen = settings(
        max_examples=RUNS // 3,
        stateful_step_count=50,
        deadline=None,
        derandomize=True,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(on_stage, settings=chosen)
