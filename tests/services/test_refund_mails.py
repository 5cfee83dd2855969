"""Mails of refunds: the customer follows the money, the operators what waits for them, and nobody is told what is not so."""

import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

import builders
from counterfoil.services import batches, importing, refunding, sending
from counterfoil.services.context import Context
from counterfoil.services.importing import Plan
from counterfoil.store.payments import Family
from counterfoil.store.spool import spool
from database import Postgres
from postbox import Postbox, postbox
from service import Service, serving

ANNA, MONEY = "anna@example.com", "money@shop.example"
HOUR, DAY = 3_600, 86_400


OPEN = {
    "automatedRefunds": True,
    "refundApprovalRequired": False,
    "refundThreshold": {},
    "secondApprovalThreshold": {},
    "approvalReminderHours": 24,
    "approvalExpiryHours": 72,
    "tellCustomers": True,
}


@pytest.fixture(scope="module")
def running(fast_postgres: Postgres) -> Iterator[Service]:
    """No worker, and webhooks held: whatever happens was asked for by a test."""
    with serving(fast_postgres, work=False) as service:
        service.sandbox.webhooks(hold=True)
        yield service


@pytest.fixture
def box() -> Iterator[Postbox]:
    with postbox() as box:
        yield box


@pytest.fixture
def service(running: Service, box: Postbox) -> Iterator[Service]:
    """Nobody has to agree, and nothing that another test has left is due."""
    smtp = {"host": box.host, "port": box.port, "security": "none", "from": "shop@shop.example"}
    running.change_settings(
        {"delivery": {"smtp": smtp, "operators": [MONEY]}, "business": {"name": "Your shop"}}
    )
    rules(running, **OPEN)
    running.run(alone(running))
    yield running
    running.sandbox.control("POST", "stripe/refunds", {})


async def alone(service: Service) -> None:
    async with service.context.db.transaction() as conn:
        await conn.execute("DELETE FROM mails")
        await conn.execute("UPDATE refunds SET next_check_at = NULL")


def rules(service: Service, **fields: Any) -> None:
    service.change_settings({"refundProcessing": fields})


def paid(service: Service, *, known: bool = True, **asked: Any) -> Any:
    """A payment of anna's; as another customer each time, so that her day comes to nothing."""
    asked |= {"customer": {"email": ANNA, "id": builders.unique()}} if known else {}
    return service.create(payment_method="pm_card_bypassPending", confirm=True, **asked)


def asked_for(service: Service, amount: int = 4_000, *, payment: Any = None, **body: Any) -> Any:
    path = f"/api/payments/{(payment or paid(service))['id']}/refund"
    answer = service.post(path, {"reason": "requested_by_customer", "amount": amount} | body)
    assert answer.status == 201, answer
    return answer.json


def act(service: Service, refund: Any, verb: str, body: Any = None, role: str = "approver") -> Any:
    answer = service.post(f"/api/payments/refunds/{refund['id']}/{verb}", body, key=service.key(role))
    assert answer.status in {200, 201}, answer
    return answer.json


def pass_by(service: Service, seconds: float = 31) -> None:
    """Time goes by, in which refunds are looked after and mails are sent."""
    service.advance(seconds)
    service.run(refunding.due_refunds(service.context))
    service.run(sending.due_mails(service.context))


def look_after(service: Service, refund: Any) -> None:
    service.run(refunding.look_after(service.context, refund["payment"], refund["id"]))


def course(service: Service, name: str, **more: Any) -> None:
    """How the next refunds go at the gateway."""
    service.sandbox.control("POST", "stripe/refunds", {"course": name, **more})


def at_gateway(service: Service, refund: Any, status: str) -> None:
    """A refund goes on at the gateway, and we hear of it."""
    ref = service.get(f"/api/payments/refunds/{refund['id']}").json["gateway_reference"]
    why = {"failure_reason": "lost_or_stolen_card"} if status == "failed" else {}
    service.sandbox.control("POST", "stripe/refund", {"refund": ref, "status": status, **why})
    look_after(service, refund)


def mails(service: Service, refund: Any) -> list[tuple[str, str, str | None]]:
    """The lines of the payment's timeline that are of mails."""
    lines = service.get(f"/api/payments/{refund['payment']}/timeline").json["data"]
    return [
        (line["what"], line["detail"]["recipient"], line["detail"]["outcome"])
        for line in lines
        if line["kind"] == "mail"
    ]


def text(mail: Any) -> str:
    return mail.get_body(("plain",)).get_content()


def subjects(box: Postbox, to: str) -> list[str]:
    return [mail["Subject"].removeprefix("[Sandbox] ") for mail in box.to(to)]


SENT = "Your refund from Your shop is on its way"
PAID = "Your refund from Your shop has been paid out"
FAILED = "Your refund from Your shop did not go through"


# The customer.


def test_a_customer_is_told_that_it_is_on_its_way_and_that_it_was_paid_out(service, box):
    course(service, "pending", seconds=3 * DAY)
    refund = asked_for(service)
    pass_by(service)
    assert subjects(box, ANNA) == [SENT]
    assert "Your shop has sent back 40.00 USD of your payment of 100.00 USD." in text(box.to(ANNA)[0])
    at_gateway(service, refund, "succeeded")
    pass_by(service)
    assert subjects(box, ANNA) == [SENT, PAID]
    assert mails(service, refund) == [("refund_sent", ANNA, "sent"), ("refund_paid", ANNA, "sent")]


def test_what_is_paid_out_at_once_is_told_once(service, box):
    refund = asked_for(service)
    assert refund["status"] == "succeeded"
    for _ in range(3):
        look_after(service, refund)
        pass_by(service)
    assert subjects(box, ANNA) == [PAID]


def test_what_was_paid_out_in_the_moment_it_was_sent_is_not_told_to_be_on_its_way_as_well(service, box):
    course(service, "pending", seconds=3 * DAY)
    refund = asked_for(service)
    at_gateway(service, refund, "succeeded")
    pass_by(service)
    assert subjects(box, ANNA) == [PAID]
    assert ("refund_sent", ANNA, "withdrawn") in mails(service, refund)


def test_the_banks_reference_is_told_where_it_is_known(service, box):
    course(service, "pending", seconds=3 * DAY)
    refund = asked_for(service)
    service.sandbox.control(
        "POST", "stripe/refund", {"refund": refund["gateway_reference"], "status": "succeeded"}
    )
    service.advance(2 * HOUR)  # the reference comes within the hour
    look_after(service, refund)
    arn = service.get(f"/api/payments/refunds/{refund['id']}").json["arn"]
    assert len(arn) == 23
    pass_by(service)
    assert f"the reference is {arn}." in text(box.to(ANNA)[-1])


def test_a_failure_is_told_without_the_gateways_reason(service, box):
    refund = asked_for(service)
    pass_by(service)
    at_gateway(service, refund, "failed")
    pass_by(service)
    assert subjects(box, ANNA) == [PAID, FAILED]
    told = box.to(ANNA)[1]
    assert "you need not do anything: Your shop will be in touch." in text(told)
    assert not [
        word
        for word in ("lost_or", "stolen", "stripe", "gateway", "expired")
        if word in told.as_string().lower()
    ]


def test_a_success_that_became_a_failure_meanwhile_is_not_told_as_a_success(service, box):
    refund = asked_for(service)
    assert refund["status"] == "succeeded"
    at_gateway(service, refund, "failed")
    pass_by(service)
    assert subjects(box, ANNA) == [FAILED]
    assert ("refund_paid", ANNA, "withdrawn") in mails(service, refund)


def test_a_failure_whose_place_another_refund_has_taken_is_not_told(service, box):
    refund = asked_for(service)
    at_gateway(service, refund, "failed")
    again = act(service, refund, "retry")
    assert again["status"] == "succeeded"
    pass_by(service)
    assert subjects(box, ANNA) == [PAID]


def test_what_was_paid_back_in_another_way_is_told_with_its_reference(service, box):
    refund = asked_for(service)
    at_gateway(service, refund, "failed")
    pass_by(service)
    manual = act(service, refund, "manual", {"evidence": "UTR 4711"})
    act(service, manual, "approve", role="admin")
    pass_by(service)
    assert subjects(box, ANNA) == [FAILED, PAID]
    assert "The reference: UTR 4711" in text(box.to(ANNA)[1])
    assert "in another way than you paid" in text(box.to(ANNA)[1])


def test_a_refund_made_in_the_gateways_dashboard_is_told_as_well(service, box):
    payment = paid(service)
    intent = payment["attempts"][0]["gateway_reference"]
    made = service.sandbox.control(
        "POST", "stripe/dashboard_refund", {"payment_intent": intent, "amount": 700}
    )
    service.run(builders.told(service.context, "stripe", builders.event("refund.created", made)))
    pass_by(service)
    assert subjects(box, ANNA) == [PAID]
    assert "7.00 USD" in text(box.to(ANNA)[0])


@pytest.mark.parametrize(("days", "told"), [(-3, []), (1, [PAID])], ids=["before", "since"])
def test_of_what_was_given_back_before_an_import_nobody_is_told(service, box, days, told):
    ctx, ref = service.context, f"ch_{builders.unique()}"
    as_of = ctx.now() - timedelta(days=2)
    family = service.run(imported(ctx, ref, as_of))
    made = int((as_of + timedelta(days=days)).timestamp())
    refund = builders.refund(family.attempts[0], f"re_{ref}", ref, 300, created=made)
    service.run(builders.told(ctx, "stripe", builders.event("refund.created", refund, created=made)))
    assert len(service.payment(family.payment.id)["refunds"]) == 1
    pass_by(service)
    assert subjects(box, ANNA) == told


async def imported(ctx: Context, ref: str, as_of: datetime) -> Family:
    """A payment of before, of which five dollars were given back by then."""
    row = {
        "gateway": "stripe", "charge": ref, "payment_intent": f"pi_{ref}", "amount": 10_000, "currency": "USD",
        "captured": 10_000, "captured_at": "2026-01-31T12:00:00Z", "refunded": 500, "customer": {"email": ANNA},
    }  # fmt: skip
    plan = Plan(name="past.jsonl", format="jsonl", as_of=as_of)
    with spool() as kept:
        await importing.bring(ctx, "cli:tests", [json.dumps(row).encode() + b"\n"], plan, kept)
        [line] = kept.lines()
    return await builders.family_of(ctx, line.payment)


def test_the_banks_reference_that_comes_when_the_mail_is_long_forgotten_is_no_other_mail(service, box):
    refund = asked_for(service)
    pass_by(service)
    service.advance(sending.KEPT.total_seconds())
    service.run(sending.prune(service.context))
    look_after(service, refund)
    assert service.get(f"/api/payments/refunds/{refund['id']}").json["arn"]
    pass_by(service)
    assert (subjects(box, ANNA), mails(service, refund)) == ([PAID], [])


def test_who_did_not_ask_is_not_told_of_a_request(service, box):
    rules(service, refundApprovalRequired=True)
    rejected, cancelled, waiting = (asked_for(service) for _ in range(3))
    act(service, rejected, "reject", {"reason": "goods were used"})
    act(service, cancelled, "cancel")
    rules(service, automatedRefunds=False)
    act(service, waiting, "approve")
    pass_by(service)
    assert subjects(box, ANNA) == []


def test_what_never_left_is_not_told_to_have_failed(service, box):
    """Refused as it was sent, for want of money that comes: the customer waits as before."""
    course(service, "refused", times=1)
    refund = asked_for(service)
    assert refund["status"] == "approved"
    service.run(sending.due_mails(service.context))
    assert subjects(box, ANNA) == []
    pass_by(service, 61)
    pass_by(service)
    assert subjects(box, ANNA) == [PAID]


@pytest.mark.parametrize("silent", ["setting", "address", "smtp"])
def test_where_there_is_no_way_or_no_wish_to_tell_the_customer_nothing_waits(service, box, silent):
    if silent == "setting":
        rules(service, tellCustomers=False)
    if silent == "smtp":
        service.change_settings({"delivery": {"smtp": None}})
    refund = asked_for(service, payment=paid(service, known=silent != "address"))
    pass_by(service)
    assert (box.mails, mails(service, refund)) == ([], [])


# The operators.


def test_operators_are_told_at_once_of_what_waits_for_them(service, box):
    rules(service, refundThreshold={"USD": 1_000}, secondApprovalThreshold={"USD": 9_000})
    payment = paid(service, reference="order 7")
    one = asked_for(service, 2_000, payment=payment, note="by phone")
    pass_by(service)
    [mail] = box.to(MONEY)
    assert subjects(box, MONEY) == ["A refund of 20.00 USD waits for approval"]
    for said in (
        one["id"],
        payment["id"],
        "order 7",
        "by phone",
        "One person has to agree",
        ANNA,
        one["requested_by"],
    ):
        assert said in text(mail)
    assert f"counterfoil refunds approve {one['id']}" in text(mail)
    assert "(approval from 10.00 USD of one payment)" in text(mail)
    asked_for(service, 7_000, payment=payment)
    pass_by(service)
    assert "Two people have to agree" in text(box.to(MONEY)[1])


def test_what_is_decided_within_the_moment_is_not_asked_for(service, box):
    rules(service, refundApprovalRequired=True)
    refund = asked_for(service)
    act(service, refund, "approve")
    pass_by(service)
    assert subjects(box, MONEY) == []
    assert ("refund_pending_operators", MONEY, "withdrawn") in mails(service, refund)


def test_they_are_reminded_once_and_no_more(service, box):
    rules(service, refundApprovalRequired=True, approvalReminderHours=1, approvalExpiryHours=3)
    refund = asked_for(service)
    for _ in range(8):
        pass_by(service, HOUR / 2)
    assert subjects(box, MONEY) == [
        "A refund of 40.00 USD waits for approval",
        "Still waiting for approval: a refund of 40.00 USD",
    ]
    assert service.get(f"/api/payments/refunds/{refund['id']}").json["status"] == "cancelled"


def test_one_that_waits_anew_since_rules_became_stricter_is_told_and_reminded_of_anew(service, box):
    rules(
        service,
        refundApprovalRequired=True,
        automatedRefunds=False,
        approvalReminderHours=1,
        approvalExpiryHours=9,
    )
    refund = asked_for(service)
    for _ in range(2):
        pass_by(service, HOUR)
    act(service, refund, "approve")
    rules(service, secondApprovalThreshold={"USD": 1})
    assert act(service, refund, "send", role="admin")["approvals_needed"] == 2
    pass_by(service)
    told = ["A refund of 40.00 USD waits for approval", "Still waiting for approval: a refund of 40.00 USD"]
    assert subjects(box, MONEY) == [*told, told[0]]
    for _ in range(3):
        pass_by(service, HOUR)
    assert subjects(box, MONEY) == told * 2


def brought(service: Service) -> Any:
    """A batch of two refunds that waits for approval."""
    csv = "payment,amount,reason\n" + "".join(f"{paid(service)['id']},2000,duplicate\n" for _ in range(2))
    answer = service.post("/api/payments/refunds/batches", {"name": "returns.csv", "csv": csv})
    assert answer.status == 201, answer
    return answer.json


def reminded(service: Service) -> None:
    """The time of the reminder comes, and some more in which it is sent."""
    service.advance(HOUR + 1)
    while service.run(batches.carry_out(service.context)):
        pass


def test_they_are_reminded_once_of_a_batch_that_waits(service, box):
    rules(service, approvalReminderHours=1, approvalExpiryHours=9, secondApprovalThreshold={"USD": 4_000})
    batch = brought(service)
    for _ in range(12):
        reminded(service)
        pass_by(service)
    [mail] = box.to(MONEY)
    assert subjects(box, MONEY) == ["Still waiting for approval: 2 refunds, 40.00 USD in all"]
    assert "brought 2 refunds in the file returns.csv, 40.00 USD in all" in text(mail)
    assert "Two people have to agree, other than who brought it." in text(mail)
    assert f"counterfoil refunds approve {batch['id']} agrees" in text(mail)
    assert service.get(f"/api/payments/refunds/batches/{batch['id']}").json["status"] == "cancelled"


def test_of_a_batch_that_was_decided_meanwhile_nobody_is_reminded(service, box):
    rules(service, approvalReminderHours=1)
    batch = brought(service)
    reminded(service)
    service.post(f"/api/payments/refunds/batches/{batch['id']}/reject", {"reason": "no"})
    pass_by(service)
    assert box.mails == []
    [mail] = service.rows("SELECT kind, outcome FROM mails WHERE about = $1", batch["id"])
    assert (mail["kind"], mail["outcome"]) == ("refund_batch_reminder_operators", "withdrawn")


def test_a_reminder_of_a_batch_that_cannot_be_delivered_calls_a_person(service, box):
    rules(service, approvalReminderHours=1)
    box.rcpt.append("550 5.1.1 no such user")
    batch = brought(service)
    reminded(service)
    pass_by(service)
    called = service.rows("SELECT sentence FROM exceptions WHERE kind = 'mail_failed' ORDER BY id")
    assert f"of {batch['id']} could not be delivered" in called[-1]["sentence"]


def test_operators_are_told_of_a_failure_with_what_the_gateway_says(service, box):
    refund = asked_for(service)
    at_gateway(service, refund, "failed")
    pass_by(service)
    [mail] = box.to(MONEY)
    assert subjects(box, MONEY) == [f"Refund failed: 40.00 USD, {refund['payment']}"]
    assert (
        f"The refund {refund['id']} of 40.00 USD has failed at stripe: the gateway says: lost_or_stolen_card."
        in text(mail)
    )
    assert f"counterfoil refunds manual {refund['id']}" in text(mail)


def test_a_mail_that_cannot_be_delivered_calls_a_person(service, box):
    refund = asked_for(service)
    box.rcpt.append("550 5.1.1 no such user")
    pass_by(service)
    assert mails(service, refund) == [("refund_paid", ANNA, "bounced")]
    [opened] = service.rows(
        "SELECT sentence FROM exceptions WHERE payment_id = $1 AND kind = 'mail_failed'", refund["payment"]
    )
    assert opened["sentence"].startswith(
        f"The mail refund_paid of {refund['payment']} could not be delivered"
    )


def test_what_is_put_into_it_stays_text(service, box):
    rules(service, refundApprovalRequired=True)
    service.change_settings({"business": {"name": "Shop\r\nBcc: all@example.com <b>{amount}</b>"}})
    asked_for(service, note="x\r\nBcc: all@example.com {rule} <script>alert(1)</script>")
    pass_by(service)
    [mail] = box.to(MONEY)
    html = mail.get_body(("html",)).get_content()
    assert (mail["Bcc"], "<script>" in html, "{rule}" in text(mail)) == (None, False, True)
