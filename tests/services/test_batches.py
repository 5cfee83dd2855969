"""Batches: a file is checked whole, one approval by another person lets it go, and each row is refunded once."""

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from counterfoil.domain.errors import CounterfoilError, WrongStateError
from counterfoil.domain.operator import Role
from counterfoil.services import batches, keys, refunding
from counterfoil.services.caller import Caller
from counterfoil.store import batches as stored
from database import Postgres
from service import Service, Weak, serving

OPEN = {
    "automatedRefunds": True,
    "refundApprovalRequired": True,
    "refundThreshold": {},
    "secondApprovalThreshold": {},
    "approvalReminderHours": 24,
    "approvalExpiryHours": 72,
}
HOUR = 3_600
PATH = "/api/payments/refunds/batches"


@pytest.fixture(scope="module")
def weak() -> Weak:
    return Weak()


@pytest.fixture(scope="module")
def running(fast_postgres: Postgres, weak: Weak) -> Iterator[Service]:
    """No worker, and webhooks held: whatever happens was asked for by a test."""
    with serving(fast_postgres, work=False, on_commit=weak) as service:
        service.sandbox.webhooks(hold=True)
        service.key()
        service.key("approver")
        yield service


@pytest.fixture
def service(running: Service) -> Service:
    running.change_settings({"refundProcessing": OPEN})
    return running


def paid(service: Service, amount: int = 10_000) -> Any:
    made = service.create(amount, payment_method="pm_card_bypassPending", confirm=True)
    assert made["status"] == "captured"
    return made


def file_of(*rows: tuple[Any, ...]) -> str:
    return "payment,amount,reason,note\n" + "".join(
        f"{payment['id']},{amount},{reason},\n" for payment, amount, reason in rows
    )


def upload(service: Service, text: str, status: int = 201, **more: Any) -> Any:
    answer = service.post(PATH, {"name": "march.csv", "csv": text}, **more)
    assert answer.status == status, answer
    return answer.json


def act(service: Service, batch: Any, verb: str, body: Any = None, status: int = 200, **more: Any) -> Any:
    answer = service.post(f"{PATH}/{batch['id']}/{verb}", body, **more)
    assert answer.status == status, answer
    return answer.json


def read(service: Service, batch: Any) -> Any:
    return service.get(f"{PATH}/{batch['id']}").json


def work(service: Service) -> None:
    """As the worker does, until nothing is due."""
    while service.run(batches.carry_out(service.context)):
        pass
    service.advance(6)
    while service.run(refunding.due_refunds(service.context)):
        pass


def refunds_of(service: Service, payment: Any) -> list[int]:
    refs = {charge["gateway_reference"] for a in payment["attempts"] for charge in a["charges"]}
    return [r["amount"] for r in service.sandbox.truth()["stripe"]["refunds"] if r["charge"] in refs]


def test_a_file_is_checked_approved_once_sent_and_answered_for(service):
    one, two = paid(service), paid(service, 5_000)
    batch = upload(service, file_of((one, 2_500, "duplicate"), (two, "", "requested_by_customer")))
    assert (batch["status"], batch["rows"], batch["totals"]) == ("pending_approval", 2, {"USD": 7_500})
    work(service)
    assert refunds_of(service, one) == []
    assert act(service, batch, "approve", status=403)["code"] == "own_request"
    running = act(service, batch, "approve", key=service.key("approver"))
    assert (running["status"], running["progress"]) == ("running", {"waiting": 2})
    work(service)
    done = read(service, batch)
    assert (done["status"], sum(done["progress"].values())) == ("done", 2)
    assert (refunds_of(service, one), refunds_of(service, two)) == ([2_500], [5_000])
    table = service.get(f"{PATH}/{batch['id']}/result")
    assert table.headers["content-type"].startswith("text/csv")
    lines = table.body.decode().splitlines()
    assert len(lines) == 3
    assert f"{one['id']},2500,USD,duplicate" in lines[1]
    [refund] = service.payment(one["id"])["refunds"]
    assert refund["batch"] == batch["id"]


def test_a_file_with_one_bad_row_is_not_taken_and_every_bad_row_is_named(service):
    payment = paid(service)
    text = file_of((payment, 6_000, "duplicate"), (payment, 6_000, "duplicate"), (payment, 100, "because"))
    refused = upload(service, text, status=422)
    assert [row["row"] for row in refused["rows"]] == [3, 4]
    assert "40.00 USD is left to refund" in refused["rows"][0]["problem"]
    assert refused["detail"].startswith(
        "Nothing of the file was taken: 2 rows are wrong. The first, line 3: "
    )
    unknown = upload(service, "payment,reason\npmt_01m81j18g058kz5g52d9cyekhn,duplicate\n", status=422)
    assert "there is no payment" in unknown["rows"][0]["problem"]


def test_the_same_file_is_one_batch_until_it_is_turned_down(service):
    text = file_of((paid(service), 100, "duplicate"))
    batch = upload(service, text, idempotency_key="once")
    assert upload(service, text, idempotency_key="once")["id"] == batch["id"]
    assert batch["id"] in upload(service, text, status=409)["detail"]
    act(service, batch, "reject", {"reason": "wrong month"}, key=service.key("approver"))
    assert upload(service, text)["id"] != batch["id"]


def test_a_row_whose_money_is_gone_by_then_says_so_and_the_others_go(service):
    one, two = paid(service), paid(service)
    batch = upload(service, file_of((one, 9_000, "duplicate"), (two, 1_000, "duplicate")))
    service.change_settings({"refundProcessing": {"refundApprovalRequired": False}})
    service.post(f"/api/payments/{one['id']}/refund", {"reason": "duplicate", "amount": 5_000})
    act(service, batch, "approve", key=service.key("approver"))
    work(service)
    done = read(service, batch)
    assert (done["status"], done["progress"]["refused"]) == ("done", 1)
    assert (refunds_of(service, one), refunds_of(service, two)) == ([5_000], [1_000])
    lines = service.get(f"{PATH}/{batch['id']}/result").body.decode().splitlines()
    assert "more than is left to refund" in lines[1]


def test_from_an_amount_in_all_two_must_agree(service):
    service.change_settings({"refundProcessing": {"secondApprovalThreshold": {"USD": 1_500}}})
    batch = upload(service, file_of((paid(service), 1_000, "duplicate"), (paid(service), 1_000, "duplicate")))
    assert batch["approvals_needed"] == 2
    first = act(service, batch, "approve", key=service.key("approver"))
    assert (first["status"], len(first["approvals"])) == ("pending_approval", 1)


def test_a_row_above_what_its_approver_may_let_go_waits_for_somebody_who_may(service):
    service.change_settings({"refundProcessing": {"limits": {"approver": {"perRefund": {"USD": 1_000}}}}})
    small, large = paid(service), paid(service)
    batch = upload(service, file_of((small, 1_000, "duplicate"), (large, "", "duplicate")))
    act(service, batch, "approve", key=service.key("approver"))
    work(service)
    assert (refunds_of(service, small), refunds_of(service, large)) == ([1_000], [])
    assert read(service, batch)["progress"]["pending_approval"] == 1
    [waiting] = service.payment(large["id"])["refunds"]
    service.change_settings({"refundProcessing": {"limits": {}}})
    path = f"/api/payments/refunds/{waiting['id']}/approve"
    assert service.post(path, key=service.key("approver")).json["status"] == "succeeded"


def test_rules_that_became_stricter_hold_when_a_batch_is_approved(service):
    batch = upload(service, file_of((paid(service), 1_000, "duplicate"), (paid(service), 1_000, "duplicate")))
    service.change_settings({"refundProcessing": {"secondApprovalThreshold": {"USD": 2_000}}})
    first = act(service, batch, "approve", key=service.key("approver"))
    assert (first["status"], first["approvals_needed"]) == ("pending_approval", 2)
    making = keys.create(service.context, name="a second", role=Role.APPROVER, actor="tests")
    assert act(service, batch, "approve", key=service.run(making)[1])["status"] == "running"


@pytest.mark.parametrize("commit", range(1, 7))
def test_a_batch_that_is_cut_off_goes_on_and_refunds_each_row_once(service, weak, commit):
    payments = [paid(service) for _ in range(3)]
    batch = upload(service, file_of(*((payment, 100, "duplicate") for payment in payments)))
    act(service, batch, "approve", key=service.key("approver"))
    weak.left = commit
    try:
        work(service)
    except Exception:  # noqa: BLE001  the process that died
        assert weak.left is None
    weak.left = None
    service.advance(61)
    work(service)
    assert read(service, batch)["status"] == "done"
    assert [refunds_of(service, payment) for payment in payments] == [[100], [100], [100]]


# What nobody decides.


def look(service: Service) -> None:
    """As the worker does, until nothing is due; and nothing is ever reserved by it."""
    while service.run(batches.carry_out(service.context)):
        pass


def waiting(service: Service, batch: Any) -> list[tuple[bool, str | None]]:
    """Who was called to decide on a batch: whether that is over, and by whom."""
    rows = service.rows(
        "SELECT * FROM exceptions WHERE kind = $1 AND subject = $2 ORDER BY id", batches.PENDING, batch["id"]
    )
    return [(row["resolved_at"] is not None, row["resolved_by"]) for row in rows]


def test_what_nobody_decides_in_time_ends_after_one_reminder_and_takes_nothing_with_it(service):
    payment = paid(service)
    text = file_of((payment, 1_000, "duplicate"))
    batch = upload(service, text)
    assert batch["expires_at"] > batch["requested_at"]
    service.advance(23 * HOUR)
    look(service)
    assert waiting(service, batch) == []
    for _ in range(3):
        service.advance(10 * HOUR)
        look(service)
        assert waiting(service, batch) == [(False, None)]
    service.advance(20 * HOUR)
    look(service)
    ended = read(service, batch)
    assert (ended["status"], ended["because"]) == ("cancelled", "nobody decided in time")
    assert (ended["ended_at"] is None, waiting(service, batch)) == (False, [(True, None)])
    assert service.payment(payment["id"])["refundable"] == 10_000
    [told] = service.rows(
        "SELECT actor FROM audit WHERE object_id = $1 AND action = 'refund_batch.expire'", batch["id"]
    )
    assert told["actor"] == "service"
    look(service)
    act(service, batch, "approve", status=409, key=service.key("approver"))
    assert refunds_of(service, payment) == []
    assert upload(service, text)["id"] != batch["id"]  # the same file may be brought again


def test_one_that_is_decided_after_the_reminder_calls_nobody_any_more_and_does_not_expire(service):
    payments = [paid(service), paid(service)]
    taken, turned_down = (upload(service, file_of((one, 1_000, "duplicate"))) for one in payments)
    service.advance(25 * HOUR)
    look(service)
    act(service, taken, "approve", key=service.key("approver"))
    act(service, turned_down, "reject", {"reason": "no"}, key=service.key("approver"))
    assert [waiting(service, one) for one in (taken, turned_down)] == [[(True, None)]] * 2
    service.advance(60 * HOUR)
    work(service)
    assert [read(service, one)["status"] for one in (taken, turned_down)] == ["done", "rejected"]
    assert read(service, turned_down)["because"] == "no"
    assert [refunds_of(service, one) for one in payments] == [[1_000], []]


def test_what_is_over_its_time_is_not_approved_before_it_is_looked_at_either(service):
    batch = upload(service, file_of((paid(service), 1_000, "duplicate")))
    service.advance(73 * HOUR)
    refused = act(service, batch, "approve", status=409, key=service.key("approver"))
    assert "nobody decided in time" in refused["detail"]


def test_a_batch_from_before_there_was_a_time_has_the_whole_of_it_from_now_on(service):
    batch = upload(service, file_of((paid(service), 1_000, "duplicate")))
    service.advance(100 * HOUR)
    service.rows(
        "UPDATE refund_batches SET expires_at = NULL, next_check_at = requested_at WHERE id = $1 RETURNING id",
        batch["id"],
    )
    look(service)
    waits = read(service, batch)
    assert (waits["status"], waiting(service, batch)) == ("pending_approval", [])
    until = datetime.fromisoformat(waits["expires_at"]) - service.context.now()
    assert timedelta(hours=71) < until <= timedelta(hours=72)


class Ahead:
    """The clock of a process for which the time to decide is over already."""

    def __init__(self, clock: Any) -> None:
        self._clock = clock

    def now(self) -> datetime:
        now: datetime = self._clock.now()
        return now + timedelta(hours=72)


def approver(service: Service) -> Caller:
    ctx = service.context
    return Caller(
        actor="key_bob", merchant_id=ctx.merchant_id, mode=ctx.mode, role=Role.APPROVER, stands_behind="bob"
    )


@pytest.mark.parametrize("approved_first", [True, False])
def test_an_approval_and_the_end_that_come_at_once_have_one_winner(service, approved_first):
    payment = paid(service)
    batch = upload(service, file_of((payment, 1_000, "duplicate")))
    ctx, bob = service.context, approver(service)
    ahead = replace(ctx, clock=Ahead(ctx.clock))

    async def approve() -> bool:
        try:
            await batches.approve(ctx, bob, batch["id"])
        except WrongStateError:
            return False
        return True

    async def end() -> None:
        while await batches.carry_out(ahead):
            pass

    async def both() -> bool:
        tasks = [approve(), end()] if approved_first else [end(), approve()]
        return next(one for one in await asyncio.gather(*tasks) if one is not None)

    approved = service.run(both())
    service.advance(73 * HOUR)  # whichever process it was that made the refund
    work(service)
    state = read(service, batch)["status"]
    assert (state, refunds_of(service, payment)) == (("done", [1_000]) if approved else ("cancelled", []))
    said = service.rows(
        "SELECT action FROM audit WHERE object_id = $1 AND action <> 'refund_batch.request'", batch["id"]
    )
    assert [row["action"] for row in said] == [f"refund_batch.{'approve' if approved else 'expire'}"]


def test_the_end_waits_for_whoever_is_deciding(service):
    batch = upload(service, file_of((paid(service), 1_000, "duplicate")))
    look(service)
    ctx = service.context
    ahead = replace(ctx, clock=Ahead(ctx.clock))

    async def while_deciding() -> None:
        async with ctx.db.transaction() as conn:
            await stored.lock(conn, batch["id"], ctx.merchant_id, ctx.mode)
            while await batches.carry_out(ahead):
                pass

    service.run(while_deciding())
    assert read(service, batch)["status"] == "pending_approval"


@pytest.mark.parametrize("moment", [25, 73])
def test_a_process_that_dies_at_the_reminder_or_the_end_leaves_it_to_the_next(service, weak, moment):
    batch = upload(service, file_of((paid(service), 1_000, "duplicate")))
    service.advance(moment * HOUR)
    while_due = read(service, batch)["status"]
    weak.left = 1
    with pytest.raises(CounterfoilError):
        look(service)
    assert (read(service, batch)["status"], waiting(service, batch)) == (while_due, [])
    look(service)
    ended = (("pending_approval", 1), ("cancelled", 0))[moment > 72]
    assert (read(service, batch)["status"], len(waiting(service, batch))) == ended
