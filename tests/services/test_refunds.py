"""Refunds: who may ask and who must agree, what is kept in reserve, what is sent, and what the gateway makes of it."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from counterfoil.domain.failure import FailureCode
from counterfoil.domain.money import Money
from counterfoil.domain.operator import Role
from counterfoil.gateways.base import Outcome, Refused
from counterfoil.gateways.stripe.refunding import Refunds
from counterfoil.services import keys, refunding, settling
from database import Postgres
from service import Service, Weak, serving

OPEN = {
    "refundProcessing": {
        "automatedRefunds": True,
        "refundApprovalRequired": False,
        "refundThreshold": {},
        "secondApprovalThreshold": {},
        "partialRefundsEnabled": True,
        "limits": {},
        "automatic": {},
        "speed": "normal",
    }
}
SILENT = {"timeout_after": {"seconds": 0.05}}


@pytest.fixture(scope="module")
def weak() -> Weak:
    return Weak()


@pytest.fixture(scope="module")
def running(fast_postgres: Postgres, weak: Weak) -> Iterator[Service]:
    """No worker, and webhooks held: whatever happens was asked for by a test."""
    with serving(fast_postgres, work=False, on_commit=weak) as service:
        service.sandbox.webhooks(hold=True)
        service.key()
        yield service


@pytest.fixture
def service(running: Service) -> Iterator[Service]:
    """Nobody has to agree, and what may go goes by itself, until a test says otherwise."""
    running.change_settings(OPEN)
    yield running
    running.sandbox.control("DELETE", "faults")


def rules(service: Service, **fields: Any) -> None:
    service.change_settings({"refundProcessing": fields})


def paid(service: Service, amount: int = 10_000, gateway: str = "stripe", **asked: Any) -> Any:
    if gateway == "stripe":
        made = service.create(amount, payment_method="pm_card_bypassPending", confirm=True, **asked)
    else:
        made = service.create(amount, "INR", gateway="razorpay", **asked)
        service.pay_razorpay(made["attempts"][0]["gateway_reference"])
        made = service.post(f"/api/payments/{made['id']}/sync").json
    assert made["status"] == "captured", made
    return made


def ask(service: Service, payment: Any, amount: int | None = None, status: int = 201, **more: Any) -> Any:
    of_request = {name: more.pop(name) for name in ("key", "idempotency_key") if name in more}
    body = {"reason": "requested_by_customer", **more} | ({} if amount is None else {"amount": amount})
    answer = service.post(f"/api/payments/{payment['id']}/refund", body, **of_request)
    assert answer.status == status, answer
    return answer.json


def act(service: Service, refund: Any, verb: str, body: Any = None, status: int = 200, **more: Any) -> Any:
    answer = service.post(f"/api/payments/refunds/{refund['id']}/{verb}", body, **more)
    assert answer.status == status, answer
    return answer.json


def read(service: Service, refund: Any) -> Any:
    return service.get(f"/api/payments/refunds/{refund['id']}").json


def at_gateway(service: Service, payment: Any) -> list[Any]:
    """The refunds of a payment in the sandbox's own truth."""
    truth = service.sandbox.truth()
    refs = {charge["gateway_reference"] for a in payment["attempts"] for charge in a["charges"]}
    ours = [r for r in truth["stripe"]["refunds"] if r["charge"] in refs]
    return ours + [r for r in truth["razorpay"]["refunds"] if r["payment_id"] in refs]


def look_after(service: Service, refund: Any) -> None:
    service.run(refunding.look_after(service.context, refund["payment"], refund["id"]))


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
def test_a_refund_that_needs_nobody_is_sent_at_once_and_counted(service, gateway):
    payment = paid(service, gateway=gateway)
    refund = ask(service, payment, 4_000)
    assert (refund["status"], refund["rule"]) in {
        ("succeeded", "no approval is required"),
        ("processing", "no approval is required"),
    }
    assert refund["gateway_reference"]
    [there] = at_gateway(service, payment)
    assert (there["id"], there["amount"]) == (refund["gateway_reference"], 4_000)
    after = service.payment(payment["id"])
    assert (after["amount_refunded"], after["refundable"]) == (4_000, 6_000)
    assert [one["id"] for one in after["refunds"]] == [refund["id"]]


def test_without_an_amount_all_that_is_left_goes_back(service):
    payment = paid(service)
    ask(service, payment, 2_500)
    assert ask(service, payment)["amount"] == 7_500
    assert service.payment(payment["id"])["refundable"] == 0
    refused = ask(service, payment, status=409)
    assert (refused["code"], refused["refundable"]) == ("refund_not_possible", 0)
    assert refused["detail"] == "Nothing is left to refund. Of 100.00 USD, 100.00 USD went back."


def test_more_than_is_left_is_refused_and_says_what_is_left(service):
    payment = paid(service)
    rules(service, refundApprovalRequired=True)
    ask(service, payment, 6_000)
    refused = ask(service, payment, 6_000, status=422)
    assert (refused["code"], refused["field"], refused["refundable"]) == ("invalid_request", "amount", 4_000)
    assert "60.00 USD is kept for other refunds" in refused["detail"]


def test_only_what_was_captured_can_be_refunded(service):
    made = service.create(5_000)
    refused = ask(service, made, status=409)
    assert (refused["code"], refused["payment_status"]) == ("refund_not_possible", "created")
    assert "this payment is created" in refused["detail"]


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"reason": "because"}, "reason"),
        ({"reason": "other"}, "note"),
        ({"reason": "duplicate", "amount": 0}, "amount"),
        ({"reason": "duplicate", "amount": -5}, "amount"),
        ({"reason": "duplicate", "amount": 1.5}, "amount"),
        ({"reason": "duplicate", "amount": "5"}, "amount"),
        ({"reason": "duplicate", "currency": "EUR"}, "currency"),
        ({}, "reason"),
    ],
)
def test_a_request_that_makes_no_sense_is_refused_and_names_its_field(service, body, field):
    answer = service.post(f"/api/payments/{paid(service)['id']}/refund", body)
    assert answer.status == 422
    assert field in answer.json["detail"]


@pytest.mark.parametrize("wrong", [{"amount": 0}, {"amount": -5}, {"amount": 10_001}, {"currency": "EUR"}])
def test_a_wrong_amount_or_currency_is_refused_with_what_is_left(service, wrong):
    payment = paid(service)
    answer = service.post(f"/api/payments/{payment['id']}/refund", {"reason": "duplicate", **wrong})
    assert (answer.status, answer.json["field"], answer.json["refundable"]) == (
        422,
        next(iter(wrong)),
        10_000,
    )
    assert ask(service, payment, 1_000, currency="usd")["amount"] == 1_000


def test_parts_may_be_switched_off(service):
    rules(service, partialRefundsEnabled=False)
    payment = paid(service)
    assert ask(service, payment, 1, status=409)["code"] == "refund_not_possible"
    assert ask(service, payment)["amount"] == 10_000


def test_who_asked_does_not_approve_and_one_yes_lets_it_go(service):
    rules(service, refundApprovalRequired=True)
    payment = paid(service)
    refund = ask(service, payment, 3_000)
    assert (refund["status"], refund["approvals_needed"], refund["stage"]) == (
        "pending_approval",
        1,
        "waits for an approval",
    )
    assert at_gateway(service, payment) == []
    assert act(service, refund, "approve", status=403)["code"] == "own_request"
    assert act(service, refund, "approve", status=403, key=service.key("support"))["code"] == "not_permitted"
    approved = act(service, refund, "approve", key=service.key("approver"))
    assert approved["status"] in {"processing", "succeeded"}
    assert [one["role"] for one in approved["approvals"]] == ["approver"]
    assert len(at_gateway(service, payment)) == 1
    act(service, refund, "approve", status=409, key=service.key("approver"))
    assert len(at_gateway(service, payment)) == 1


def test_a_key_made_with_a_key_belongs_to_the_same_person(service):
    rules(service, refundApprovalRequired=True)
    first, text = service.run(keys.create(service.context, name="anna", role=Role.APPROVER, actor="tests"))
    _, second = service.run(keys.create(service.context, name="bot", role=Role.ADMIN, actor=first.id))
    refund = ask(service, paid(service), key=text)
    assert act(service, refund, "approve", status=403, key=second)["code"] == "own_request"


def test_above_a_threshold_two_must_agree(service):
    rules(service, refundThreshold={"USD": 1_000}, secondApprovalThreshold={"USD": 5_000})
    payment = paid(service)
    refund = ask(service, payment, 6_000, key=service.key("support"))
    assert (refund["approvals_needed"], refund["rule"]) == (2, "two must agree from 50.00 USD")
    once = act(service, refund, "approve", key=service.key("approver"))
    assert (once["status"], len(once["approvals"])) == ("pending_approval", 1)
    again = act(service, refund, "approve", key=service.key("approver"))
    assert (again["status"], len(again["approvals"])) == ("pending_approval", 1)
    assert act(service, refund, "approve")["status"] in {"processing", "succeeded"}


def test_splitting_does_not_slip_under_a_threshold(service):
    rules(service, refundThreshold={"USD": 5_000})
    customer = {"id": "cus_splitter"}
    payment = paid(service, customer=customer)
    assert ask(service, payment, 3_000)["approvals_needed"] == 0
    second = ask(service, payment, 2_000)
    assert (second["approvals_needed"], second["rule"]) == (1, "approval from 50.00 USD of one payment")
    other = ask(service, paid(service, customer=customer), 1_000)
    assert (other["approvals_needed"], other["rule"]) == (
        1,
        "approval from 50.00 USD of one customer and day",
    )


def test_without_a_customer_what_goes_back_to_one_card_counts_together(service):
    rules(service, refundThreshold={"USD": 5_000})
    one, two, other = (
        service.create(10_000, payment_method=f"pm_card_{brand}", confirm=True)
        for brand in ("mastercard", "mastercard", "amex")
    )
    assert ask(service, one, 3_000)["approvals_needed"] == 0
    assert ask(service, two, 3_000)["rule"] == "approval from 50.00 USD of one customer and day"
    assert ask(service, other, 3_000)["approvals_needed"] == 0


def test_what_was_rejected_does_not_count_and_is_refundable_again(service):
    rules(service, refundThreshold={"USD": 5_000})
    payment = paid(service, customer={"id": "cus_rejected"})
    refund = ask(service, payment, 6_000)
    assert service.post(f"/api/payments/refunds/{refund['id']}/reject").status == 422
    rejected = act(service, refund, "reject", {"reason": "goods were used"}, key=service.key("approver"))
    assert (rejected["status"], rejected["because"]) == ("rejected", "goods were used")
    assert service.payment(payment["id"])["refundable"] == 10_000
    assert ask(service, payment, 4_000)["approvals_needed"] == 0


def test_limits_hold_for_a_role_and_for_a_persons_day(service):
    rules(service, limits={"support": {"perRefund": {"USD": 2_000}, "perDay": {"USD": 3_000}}})
    making = keys.create(service.context, name="new here", role=Role.SUPPORT, actor="tests")
    support, payment = service.run(making)[1], paid(service)
    refused = ask(service, payment, 2_001, status=403, key=support)
    assert (refused["code"], refused["detail"]) == (
        "refund_limit",
        "A refund by the role support may be 20.00 USD at most.",
    )
    ask(service, payment, 2_000, key=support)
    assert ask(service, payment, 1_500, status=403, key=support)["code"] == "refund_limit"
    assert ask(service, payment, 1_500)["amount"] == 1_500


def test_rules_let_small_amounts_and_cancellations_go(service):
    rules(
        service,
        refundApprovalRequired=True,
        automatic={"smallAmounts": {"USD": 500}, "beforeFulfilment": True},
    )
    payment = paid(service, customer={"id": "cus_small"})
    small = ask(service, payment, 500, reason="duplicate")
    assert (small["approvals_needed"], small["rule"]) == (0, "automatic: small amounts up to 5.00 USD")
    early = ask(service, payment, 2_000)
    assert (early["approvals_needed"], early["rule"]) == (0, "automatic: cancelled before fulfilment")
    service.post(f"/api/payments/{payment['id']}/fulfil")
    assert ask(service, payment, 2_000)["approvals_needed"] == 1


def test_one_that_asked_may_withdraw_and_others_need_the_role(service):
    rules(service, refundApprovalRequired=True)
    payment, support = paid(service), service.key("support")
    mine, theirs = ask(service, payment, 1_000, key=support), ask(service, payment, 1_000)
    act(service, theirs, "cancel", status=403, key=support)
    assert act(service, mine, "cancel", key=support)["status"] == "cancelled"
    act(service, mine, "approve", status=409, key=service.key("approver"))
    assert service.payment(payment["id"])["refundable"] == 9_000


def test_where_refunds_are_not_automated_a_person_sends_them(service):
    rules(service, automatedRefunds=False)
    payment = paid(service)
    refund = ask(service, payment, 1_000)
    assert (refund["status"], refund["stage"]) == ("approved", "approved, not yet sent")
    assert at_gateway(service, payment) == []
    assert act(service, refund, "send", key=service.key("approver"))["status"] in {"processing", "succeeded"}
    act(service, refund, "send", status=409)
    assert len(at_gateway(service, payment)) == 1


def test_rules_that_became_stricter_hold_at_sending(service):
    rules(service, automatedRefunds=False)
    payment = paid(service)
    refund = ask(service, payment, 4_000)
    rules(service, refundThreshold={"USD": 1_000})
    reopened = act(service, refund, "send")
    assert (reopened["status"], reopened["approvals_needed"]) == ("pending_approval", 1)
    assert at_gateway(service, payment) == []


def test_pending_shows_what_is_needed_to_decide(service):
    rules(service, refundApprovalRequired=True)
    customer = {"id": "cus_pending", "email": "pending@example.com"}
    first, second = paid(service, customer=customer), paid(service, customer=customer)
    other, refund = ask(service, first, 100), ask(service, second, 200)
    listed = service.get("/api/payments/refunds/pending").json["data"]
    shown = next(one for one in listed if one["id"] == refund["id"])
    assert shown["payment_summary"]["id"] == second["id"]
    assert [one["id"] for one in shown["customer_refunds"]] == [other["id"]]
    assert (shown["refundable_besides"], shown["age_s"] >= 0, shown["history"]) == (9_800, True, [])


def test_nobody_deciding_ends_it_after_one_reminder(service):
    rules(service, refundApprovalRequired=True, approvalReminderHours=1, approvalExpiryHours=2)
    payment = paid(service)
    refund = ask(service, payment, 1_000)
    look_after(service, refund)
    service.advance(2 * 3600 + 60)
    look_after(service, refund)
    ended = read(service, refund)
    assert (ended["status"], ended["because"]) == ("cancelled", "nobody decided in time")
    assert service.payment(payment["id"])["refundable"] == 10_000
    act(service, refund, "approve", status=409, key=service.key("approver"))


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
@pytest.mark.parametrize("lost", ["timeout_after", "error_5xx_after", "error_5xx_before", "garbage"])
def test_a_lost_answer_is_looked_for_and_the_refund_made_once(service, gateway, lost):
    payment = paid(service, gateway=gateway)
    call = "refunds.create" if gateway == "stripe" else "payments.refund"
    service.sandbox.fault(gateway, call, lost, **({"seconds": 0.05} if lost == "timeout_after" else {}))
    refund = ask(service, payment, 4_000)
    for _ in range(6):
        if read(service, refund)["gateway_reference"]:
            break
        service.advance(120)
        service.run(settling.sync(service.context, payment["id"]))
        look_after(service, refund)
    assert read(service, refund)["status"] in {"processing", "succeeded"}
    assert len(at_gateway(service, payment)) == 1


def test_what_was_given_back_already_by_whom_could_not_be_read_is_not_known_to_have_failed(
    service, monkeypatch
):
    payment, refund = paid(service), Refunds.refund

    async def repeated(self: Refunds, charge_ref: str, body: bytes, *, key: str) -> Outcome:
        await refund(self, charge_ref, body, key=key)
        again = FailureCode.ALREADY_REFUNDED
        return Refused(
            code=again, gateway_code=again.slug, message="It was given back already.", already=True
        )

    monkeypatch.setattr(Refunds, "refund", repeated)
    service.sandbox.fault("stripe", "refunds.list", "error_5xx_before", times=1)
    asked = ask(service, payment)
    assert (asked["status"], asked["stage"]) == ("processing", "sent, the gateway has not answered yet")
    service.run(settling.sync(service.context, payment["id"]))
    assert read(service, asked)["status"] == "succeeded"


def test_a_refund_that_is_found_and_contradicts_our_record_is_not_believed_and_stops_nothing(
    service, monkeypatch
):
    payment, find = paid(service), Refunds.find_refund

    async def in_euros(self: Refunds, charge_ref: str, *, reference: str) -> Outcome:
        found: Any = await find(self, charge_ref, reference=reference)
        told = [replace(one, amount=Money(one.amount.minor, "EUR")) for one in found.reports]
        return replace(found, reports=tuple(told))

    monkeypatch.setattr(Refunds, "find_refund", in_euros)
    service.sandbox.fault("stripe", "refunds.create", "error_5xx_after", times=1)
    asked = ask(service, payment, 4_000)
    assert service.post(f"/api/payments/{payment['id']}/sync").status == 200
    assert read(service, asked)["status"] == "processing"
    rows = service.rows("SELECT id, kind FROM exceptions WHERE payment_id = $1", payment["id"])
    assert [row["kind"] for row in rows] == ["gateway_contradicts"]

    service.post(f"/api/payments/exceptions/{rows[0]['id']}/resolve", {"note": "asked the gateway"})
    assert service.post(f"/api/payments/{payment['id']}/sync").status == 200
    told = service.rows("SELECT resolved_at FROM exceptions WHERE payment_id = $1", payment["id"])
    assert len(told) == 1  # it says what was settled, and nothing new
    assert told[0]["resolved_at"] is not None


def test_fifty_at_once_of_more_than_half_are_one(service):
    payment = paid(service)
    with ThreadPoolExecutor(16) as many:
        answers = list(
            many.map(
                lambda _: service.post(
                    f"/api/payments/{payment['id']}/refund", {"reason": "duplicate", "amount": 6_000}
                ),
                range(50),
            )
        )
    assert sorted(answer.status for answer in answers).count(201) == 1
    assert len(at_gateway(service, payment)) == 1


def test_the_same_request_twice_is_one_refund(service):
    payment = paid(service)
    first = ask(service, payment, 1_000, idempotency_key="again")
    assert ask(service, payment, 1_000, idempotency_key="again")["id"] == first["id"]
    assert len(at_gateway(service, payment)) == 1
    ask(service, payment, 2_000, idempotency_key="again", status=422)


def test_a_payment_made_twice_is_given_back_once_by_rule(service):
    rules(service, automatic={"duplicatePayments": True}, refundApprovalRequired=True)
    asked = {"reference": "order-1001", "customer": {"id": "cus_twice"}}
    first, second, other = (
        paid(service, **asked),
        paid(service, **asked),
        paid(service, reference="order-1002"),
    )
    for payment in (first, second, other, first, second):
        service.run(settling.look_after(service.context, payment["id"]))
    assert [len(at_gateway(service, one)) for one in (first, second, other)] == [0, 1, 0]
    [refund] = service.payment(second["id"])["refunds"]
    assert (refund["source"], refund["rule"]) == ("rule", f"automatic: paid before, as {first['id']}")


def test_of_a_payment_made_twice_none_is_given_back_by_rule_while_a_person_gives_back_the_other(service):
    rules(service, automatic={"duplicatePayments": True}, refundApprovalRequired=True)
    asked = {"reference": "order-1003", "customer": {"id": "cus_undone"}}
    first = paid(service, **asked)
    assert ask(service, first)["status"] == "pending_approval"
    second = paid(service, **asked)
    service.run(settling.look_after(service.context, second["id"]))
    assert service.payment(second["id"])["refunds"] == []
