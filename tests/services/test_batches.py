"""Batches: a file is checked whole, one approval by another person lets it go, and each row is refunded once."""

from collections.abc import Iterator
from typing import Any

import pytest

from counterfoil.domain.operator import Role
from counterfoil.services import batches, keys, refunding
from database import Postgres
from service import Service, Weak, serving

OPEN = {
    "automatedRefunds": True,
    "refundApprovalRequired": True,
    "refundThreshold": {},
    "secondApprovalThreshold": {},
}
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
