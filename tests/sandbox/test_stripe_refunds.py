"""Refunds: whole, in parts, too much, slow, and failing days later."""

import pytest
import stripe

from sandbox_server import ControlError

DAY = 86_400


def refund(merchant, intent, **more):
    return merchant.v1.refunds.create({"payment_intent": intent.id, **more})


def test_a_whole_refund_gives_everything_back(merchant):
    paid = merchant.paid()
    back = refund(merchant, paid, reason="requested_by_customer", metadata={"request": "R1"})
    assert (back.status, back.amount, back.reason) == ("succeeded", 10000, "requested_by_customer")
    charge = merchant.charge(paid, "refunds")
    assert (charge.refunded, charge.amount_refunded) == (True, 10000)
    assert [one.id for one in charge.refunds.data] == [back.id]
    assert merchant.types()[-2:] == ["refund.created", "charge.refunded"]
    assert merchant.events()[-1]["data"]["previous_attributes"] == {"amount_refunded": 0, "refunded": False}


def test_parts_are_refunded_until_nothing_is_left(merchant):
    paid = merchant.paid(1000)
    for amount in (300, 300):
        refund(merchant, paid, amount=amount)
    assert merchant.charge(paid).refunded is False
    with pytest.raises(stripe.InvalidRequestError, match="greater than unrefunded amount") as refused:
        refund(merchant, paid, amount=401)
    assert (refused.value.http_status, refused.value.param) == (400, "amount")
    assert refund(merchant, paid).amount == 400
    assert merchant.charge(paid).refunded is True
    with pytest.raises(stripe.InvalidRequestError) as refused:
        refund(merchant, paid)
    assert refused.value.code == "charge_already_refunded"
    assert sum(one["amount"] for one in merchant.sandbox.truth()["stripe"]["refunds"]) == 1000


def test_a_charge_is_refunded_by_its_own_id(merchant):
    paid = merchant.paid()
    back = merchant.v1.refunds.create({"charge": str(paid.latest_charge), "amount": 1})
    assert (back.charge, back.payment_intent) == (paid.latest_charge, paid.id)


def test_only_what_was_captured_is_refunded(merchant):
    held = merchant.paid(capture_method="manual")
    for unpaid in (held, merchant.intent()):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            refund(merchant, unpaid)
        assert refused.value.code == "charge_not_refundable"
    merchant.v1.payment_intents.capture(held.id, {"amount_to_capture": 600})
    assert refund(merchant, held).amount == 600


@pytest.mark.parametrize("amount", [0, -1])
def test_a_refund_is_of_something(merchant, amount):
    with pytest.raises(stripe.InvalidRequestError) as refused:
        refund(merchant, merchant.paid(), amount=amount)
    assert refused.value.code == "parameter_invalid_integer"


def test_thousandths_are_refunded_in_tens(merchant):
    with pytest.raises(stripe.InvalidRequestError, match="multiples of 10"):
        refund(merchant, merchant.paid(10000, currency="kwd"), amount=1234)


@pytest.mark.parametrize("params", [{}, {"charge": "ch_1", "payment_intent": "pi_1"}])
def test_a_refund_names_a_charge_or_an_intent(merchant, params):
    with pytest.raises(stripe.InvalidRequestError, match="charge or payment_intent"):
        merchant.v1.refunds.create(params)


def test_a_refund_of_what_does_not_exist_is_missed(merchant):
    for params in ({"charge": "ch_nope"}, {"payment_intent": "pi_nope"}):
        with pytest.raises(stripe.InvalidRequestError) as refused:
            merchant.v1.refunds.create(params)
        assert (refused.value.http_status, refused.value.code) == (404, "resource_missing")


def test_a_refund_debits_the_balance_and_keeps_the_fee(merchant):
    back = refund(merchant, merchant.paid(), amount=2500, expand=["balance_transaction"])
    row = back.balance_transaction
    assert (row.amount, row.fee, row.net, row.reporting_category, row.source) == (
        -2500,
        0,
        -2500,
        "refund",
        back.id,
    )


def test_a_pending_refund_succeeds_later(merchant, sandbox):
    back = refund(merchant, merchant.paid(method="pm_card_pendingRefund"))
    assert (back.status, back.pending_reason) == ("pending", "processing")
    sandbox.advance(6)
    assert merchant.v1.refunds.retrieve(back.id).status == "succeeded"
    assert merchant.types()[-2:] == ["refund.updated", "charge.refund.updated"]
    assert merchant.events()[-1]["data"]["previous_attributes"] == {"status": "pending"}


def test_a_refund_may_fail_after_it_succeeded_and_the_money_is_back(merchant, sandbox):
    paid = merchant.paid(method="pm_card_refundFail")
    back = refund(merchant, paid)
    assert back.status == "succeeded"
    sandbox.advance(6)
    failed = merchant.v1.refunds.retrieve(back.id, {"expand": ["failure_balance_transaction"]})
    assert (failed.status, failed.failure_reason) == ("failed", "expired_or_canceled_card")
    assert failed.failure_balance_transaction.amount == 10000
    assert merchant.types()[-3:] == ["refund.failed", "refund.updated", "charge.refund.updated"]
    assert (merchant.charge(paid).refunded, merchant.charge(paid).amount_refunded) == (False, 0)
    assert refund(merchant, paid, amount=1).status == "succeeded"


def test_a_bank_debits_refund_has_ids_and_rows_of_its_own(merchant, sandbox):
    paid = merchant.paid(method="pm_usBankAccount_success")
    sandbox.advance(6)
    back = refund(merchant, paid, expand=["balance_transaction"])
    assert back.id.startswith("pyr_")
    assert (back.balance_transaction.type, back.balance_transaction.reporting_category) == (
        "payment_refund",
        "refund",
    )


def test_the_banks_reference_of_a_refund_appears_within_hours(merchant, sandbox):
    back = refund(merchant, merchant.paid())
    assert back.destination_details.card.reference_status == "pending"
    sandbox.advance(3601)
    details = merchant.v1.refunds.retrieve(back.id).destination_details.card
    assert (details.reference_status, len(details.reference)) == ("available", 23)
    assert merchant.types()[-2:] == ["refund.updated", "charge.refund.updated"]


def test_a_refund_on_its_way_cannot_be_cancelled(merchant):
    back = refund(merchant, merchant.paid())
    with pytest.raises(stripe.InvalidRequestError, match="cannot be canceled"):
        merchant.v1.refunds.cancel(back.id)


def test_refunds_are_listed_by_charge_and_by_intent(merchant):
    one, other = merchant.paid(), merchant.paid()
    first, second = refund(merchant, one, amount=1), refund(merchant, one, amount=2)
    refund(merchant, other)
    listed = merchant.v1.refunds.list
    assert [r.id for r in listed({"payment_intent": one.id}).data] == [second.id, first.id]
    assert [r.id for r in listed({"charge": str(one.latest_charge)}).data] == [second.id, first.id]
    assert len(listed().data) == 3


# Scripted


def script(merchant, path="refunds", **given):
    return merchant.sandbox.control("POST", f"stripe/{path}", given)


def test_a_refund_waits_for_days_and_then_succeeds(merchant, sandbox):
    script(merchant, course="pending", seconds=3 * DAY)
    back = refund(merchant, merchant.paid())
    sandbox.advance(3 * DAY - 60)
    assert merchant.v1.refunds.retrieve(back.id).status == "pending"
    sandbox.advance(120)
    assert merchant.v1.refunds.retrieve(back.id).status == "succeeded"
    sandbox.advance(3601)
    assert merchant.v1.refunds.retrieve(back.id).destination_details.card.reference_status == "available"


def test_a_refund_fails_after_days_for_the_reason_that_was_named(merchant, sandbox):
    for course, status in (("failing", "succeeded"), ("pending_failing", "pending")):
        script(merchant, course=course, seconds=3 * DAY, failure_reason="lost_or_stolen_card")
        paid = merchant.paid()
        back = refund(merchant, paid)
        assert back.status == status
        sandbox.advance(3 * DAY + 60)
        failed = merchant.v1.refunds.retrieve(back.id)
        assert (failed.status, failed.failure_reason) == ("failed", "lost_or_stolen_card")
        assert merchant.charge(paid).amount_refunded == 0


def test_a_refund_without_the_money_for_it_waits_and_moves_no_balance_until_then(merchant, sandbox):
    script(merchant, course="short", seconds=DAY)
    back = refund(merchant, merchant.paid())
    assert (back.status, back.pending_reason) == ("pending", "insufficient_funds")
    assert back.balance_transaction is None
    sandbox.advance(DAY + 60)
    done = merchant.v1.refunds.retrieve(back.id, {"expand": ["balance_transaction"]})
    assert (done.status, done.balance_transaction.amount) == ("succeeded", -10000)
    script(merchant, course="short")
    short = refund(merchant, merchant.paid())
    failed = script(merchant, "refund", refund=short.id, status="failed", failure_reason="insufficient_funds")
    assert "failure_balance_transaction" not in failed


def test_a_refund_may_be_refused_for_want_of_money(merchant):
    paid = merchant.paid()
    script(merchant, course="refused", times=1)
    with pytest.raises(stripe.InvalidRequestError) as refused:
        refund(merchant, paid)
    assert refused.value.code == "balance_insufficient"
    assert refund(merchant, paid).status == "succeeded"


def test_a_course_lasts_as_often_as_it_was_asked_for_or_until_it_is_ended(merchant):
    paid = merchant.paid()
    script(merchant, course="pending", times=2)
    statuses = [refund(merchant, paid, amount=1).status for _ in range(3)]
    assert statuses == ["pending", "pending", "succeeded"]
    script(merchant, course="pending")
    assert [refund(merchant, paid, amount=1).status for _ in range(3)] == ["pending"] * 3
    script(merchant)
    assert refund(merchant, paid, amount=1).status == "succeeded"


def test_a_refund_goes_on_by_hand_and_its_timer_has_nothing_left_to_say(merchant, sandbox):
    script(merchant, course="pending_failing", seconds=DAY)
    paid = merchant.paid()
    back = refund(merchant, paid)
    assert script(merchant, "refund", refund=back.id, status="succeeded")["status"] == "succeeded"
    sandbox.advance(2 * DAY)
    assert merchant.v1.refunds.retrieve(back.id).status == "succeeded"
    late = script(merchant, "refund", refund=back.id, status="failed")
    assert late["failure_balance_transaction"].startswith("txn_")
    assert merchant.charge(paid).amount_refunded == 0
    with pytest.raises(ControlError, match="it is over"):
        script(merchant, "refund", refund=back.id, status="succeeded")


def test_a_refund_in_the_dashboard_names_nothing_of_ours(merchant):
    paid = merchant.paid()
    made = script(merchant, "dashboard_refund", payment_intent=paid.id, amount=2500, reason="duplicate")
    assert (made["amount"], made["reason"], made["metadata"]) == (2500, "duplicate", {})
    assert merchant.types()[-2:] == ["refund.created", "charge.refunded"]
    assert merchant.events()[-1]["request"] == {"id": None, "idempotency_key": None}
    with pytest.raises(ControlError, match="greater than unrefunded"):
        script(merchant, "dashboard_refund", charge=str(paid.latest_charge), amount=7501)
    [row] = merchant.sandbox.control("GET", "money")["stripe"]
    assert (row["charge"], row["attempt"], row["refunded"], row["left"]) == (
        paid.latest_charge,
        paid.id,
        2500,
        7500,
    )
