"""Payments at the sandbox's Razorpay: the checkout stub, captures, and what time does to them."""

import json

import pytest
import razorpay

from sandbox_razorpay import DATA, GOOD_CARD, Shop, fresh, open_shop
from sandbox_server import ControlError

CORE = {
    *("id", "entity", "amount", "currency", "status", "order_id", "invoice_id", "international", "method"),
    *("amount_refunded", "refund_status", "captured", "description", "card_id", "bank", "wallet", "vpa"),
    *("email", "contact", "notes", "fee", "tax", "error_code", "error_description", "error_source"),
    *("error_step", "error_reason", "acquirer_data", "created_at"),
}
CARD = {"id", "entity", "name", "last4", "network", "type", "issuer", "international", "emi", "sub_type"}
NO_ERROR = dict.fromkeys(["error_code", "error_description", "error_source", "error_step", "error_reason"])
MINUTE, DAY = 60, 86400


@pytest.fixture(scope="module")
def shared():
    with open_shop() as shop:
        yield shop


@pytest.fixture
def shop(shared: Shop):
    with fresh(shared) as shop:
        yield shop


def errors_of(payment):
    return {name: payment[name] for name in NO_ERROR}


def test_a_card_payment_has_the_documented_fields(shop):
    payment = shop.paid(shop.order(), method="card", card=GOOD_CARD)
    assert payment.keys() == CORE
    shown = shop.client.payment.fetch(payment["id"], {"expand[]": "card"})
    assert shown.keys() == CORE | {"card"}
    assert shown["card"].keys() == CARD | {"token_iin"}
    assert (shown["card"]["last4"], shown["card"]["network"]) == ("1007", "Visa")
    assert shown["card"]["id"] == payment["card_id"]
    assert shop.client.payment.fetchCardDetails(payment["id"]) == shown["card"]


def test_a_upi_payment_has_the_documented_fields(shop):
    payment = shop.paid(shop.order(), method="upi", vpa="success@razorpay", contact="+919999900000")
    assert payment.keys() == CORE | {"upi"}
    assert payment["upi"].keys() == {"payer_account_type", "vpa", "flow"}
    assert payment["vpa"] == "success@razorpay"
    assert payment["contact"] == "+919999900000"
    assert len(payment["acquirer_data"]["rrn"]) == 12


@pytest.mark.parametrize(
    ("chosen", "reference"),
    [
        ({"method": "netbanking", "bank": "HDFC"}, "bank_transaction_id"),
        ({"method": "wallet", "wallet": "mobikwik"}, "transaction_id"),
        ({"method": "emi", "card": GOOD_CARD, "emi_duration": 9}, "auth_code"),
    ],
)
def test_every_method_pays_and_carries_its_own_reference(shop, chosen, reference):
    payment = shop.paid(shop.order(), **chosen)
    assert payment["method"] == chosen["method"]
    assert payment["acquirer_data"][reference].isdigit()
    assert payment["bank"] == chosen.get("bank")
    assert payment["wallet"] == chosen.get("wallet")


def test_an_emi_payment_can_be_shown_with_its_plan(shop):
    payment = shop.paid(shop.order(), method="emi", card=GOOD_CARD, emi_duration=9)
    shown = shop.client.payment.fetch(payment["id"], {"expand[]": "emi"})
    assert shown["emi"]["duration"] == 9


def test_the_card_number_and_its_cvv_are_kept_nowhere(tmp_path):
    with open_shop(data=tmp_path) as shop:
        shop.captured(method="card", card=GOOD_CARD | {"cvv": "9753"})
        kept = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b'"last4":"1007"' in kept
    assert b"41002800" not in kept
    assert b"4100 2800" not in kept
    assert b'"9753"' not in kept


def test_the_browser_gets_a_signature_that_the_sdk_accepts(shop):
    order = shop.order()
    status, answer = shop.pay(order)
    assert status == 200
    assert answer.keys() == {"razorpay_payment_id", "razorpay_order_id", "razorpay_signature"}
    assert shop.client.utility.verify_payment_signature(answer)
    with pytest.raises(razorpay.errors.SignatureVerificationError):
        shop.client.utility.verify_payment_signature(answer | {"razorpay_order_id": "order_of_another"})


@pytest.mark.parametrize(
    ("number", "reason"),
    [
        ("4100280000090000", "payment_timed_out"),
        ("4100280000080001", "insufficient_funds"),
        ("4100280000070002", "payment_cancelled"),
        ("4100280000060003", "card_declined"),
        ("4100280000050004", "card_declined"),
        ("4100280000040005", "card_declined"),
        ("4100280000010008", "card_number_invalid"),
        ("4100280000020007", "gateway_technical_error"),
    ],
)
def test_a_test_card_fails_with_its_reason(shop, number, reason):
    order = shop.order()
    status, answer = shop.pay(order, method="card", card=GOOD_CARD | {"number": number})
    error = answer["error"]
    assert (status, error["reason"]) == (400, reason)
    assert error["metadata"]["order_id"] == order["id"]
    payment = shop.payment(error["metadata"]["payment_id"])
    assert (payment["status"], payment["captured"]) == ("failed", False)
    assert errors_of(payment) == {f"error_{name[6:]}": error[name[6:]] for name in NO_ERROR}
    known = {row["reason"] for row in json.loads((DATA / "error_reasons.json").read_text())["reasons"]}
    assert reason in known


@pytest.mark.parametrize(
    ("chosen", "reason"),
    [
        ({"method": "upi", "vpa": "failure@razorpay"}, "payment_failed"),
        ({"method": "netbanking", "bank": "SBIN", "simulate": "failure"}, "payment_declined"),
        ({"method": "wallet", "wallet": "payzapp", "simulate": "failure"}, "payment_declined"),
        ({"method": "card", "card": GOOD_CARD | {"expiry": "01/20"}}, "card_expired"),
    ],
)
def test_other_methods_fail_on_demand(shop, chosen, reason):
    status, answer = shop.pay(shop.order(), **chosen)
    assert (status, answer["error"]["reason"]) == (400, reason)
    assert answer["error"]["metadata"]["payment_id"].startswith("pay_")


@pytest.mark.parametrize(
    ("chosen", "field"),
    [
        ({"method": "cash"}, "method"),
        ({"method": "upi"}, "vpa"),
        ({"method": "upi", "vpa": "nobody"}, "vpa"),
        ({"method": "netbanking", "bank": "NONE"}, "bank"),
        ({"method": "wallet", "wallet": ["x"]}, "wallet"),
        ({"method": "card", "card": "4100"}, "card"),
        ({"method": "card", "card": GOOD_CARD | {"number": "4100280000001008"}}, "card.number"),
        ({"method": "card", "card": GOOD_CARD | {"number": "४१००२८००००००१००७"}}, "card.number"),
        ({"method": "card", "card": GOOD_CARD | {"expiry": "13/39"}}, "card.expiry"),
        ({"method": "card", "card": GOOD_CARD | {"cvv": "12"}}, "card.cvv"),
        ({"method": "emi", "card": GOOD_CARD, "emi_duration": 7}, "emi_duration"),
    ],
)
def test_what_cannot_be_tried_makes_no_payment(shop, chosen, field):
    status, answer = shop.pay(shop.order(), **chosen)
    assert (status, answer["error"]["field"]) == (400, field)
    assert shop.sandbox.truth()["razorpay"]["payments"] == []


def test_a_checkout_of_another_key_is_refused(shop):
    status, answer = shop.pay(shop.order(), key="rzp_test_of_another", method="upi", vpa="success@razorpay")
    assert (status, answer["error"]["description"]) == (401, "Authentication failed")


def test_a_paid_order_takes_no_further_payment(shop):
    order = shop.order(capture="automatic")
    shop.paid(order)
    status, answer = shop.pay(order)
    assert (status, answer["error"]["reason"]) == (400, "order_already_paid")
    assert len(shop.sandbox.truth()["razorpay"]["payments"]) == 1


def test_capturing_takes_the_whole_amount_once(shop):
    payment = shop.paid(shop.order(500000))
    assert (payment["status"], payment["captured"]) == ("authorized", False)
    assert (payment["fee"], payment["tax"]) == (None, None)
    captured = shop.client.payment.capture(payment["id"], 500000, {"currency": "INR"})
    assert captured == payment | {"status": "captured", "captured": True, "fee": 11800, "tax": 1800}
    with pytest.raises(razorpay.errors.BadRequestError, match=r"^This payment has already been captured$"):
        shop.client.payment.capture(payment["id"], 500000, {"currency": "INR"})
    assert shop.payment(payment["id"]) == captured


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": 49999, "currency": "INR"}, "amount"),
        ({"amount": 50001, "currency": "INR"}, "amount"),
        ({"amount": "50000", "currency": "INR"}, "amount"),
        ({"currency": "INR"}, "amount"),
        ({"amount": 50000}, "currency"),
        ({"amount": 50000, "currency": "USD"}, "currency"),
    ],
)
def test_a_capture_of_anything_else_is_refused(shop, body, field):
    payment = shop.paid(shop.order(50000))
    status, answer = shop.api("POST", f"payments/{payment['id']}/capture", body)
    assert (status, answer["error"]["field"]) == (400, field)
    assert shop.payment(payment["id"])["status"] == "authorized"


def test_a_failed_payment_cannot_be_captured(shop):
    _, answer = shop.pay(shop.order(), method="upi", vpa="failure@razorpay")
    failed = answer["error"]["metadata"]["payment_id"]
    with pytest.raises(razorpay.errors.BadRequestError, match="Only payments which have been authorized"):
        shop.client.payment.capture(failed, 50000, {"currency": "INR"})


@pytest.mark.parametrize(
    ("amount", "chosen", "fee", "tax"),
    [
        (500000, {"method": "upi", "vpa": "success@razorpay"}, 11800, 1800),
        (9900, {"method": "card", "card": GOOD_CARD}, 198, 0),
        (200000, {"method": "card", "card": GOOD_CARD}, 4000, 0),
        (200001, {"method": "card", "card": GOOD_CARD}, 4720, 720),
        (100, {"method": "upi", "vpa": "success@razorpay"}, 2, 0),
        (150, {"method": "netbanking", "bank": "HDFC"}, 4, 1),
    ],
)
def test_the_fee_holds_its_tax(shop, amount, chosen, fee, tax):
    payment = shop.captured(amount, **chosen)
    assert (payment["fee"], payment["tax"]) == (fee, tax)


def test_a_foreign_payment_is_charged_on_its_value_in_rupees(shop):
    order = shop.client.order.create({"amount": 1000, "currency": "USD"})
    payment = shop.paid(order)
    assert (payment["currency"], payment["international"]) == ("USD", True)
    assert payment["fee"] - payment["tax"] == 1680
    assert payment["tax"] == 302
    events = shop.endpoint.expect("payment.authorized", "payment.captured", "order.paid")
    assert events["payment.captured"]["payload"]["payment"]["entity"]["base_amount"] == 84000


def test_notes_of_a_payment_can_change_and_nothing_else(shop):
    payment = shop.paid(shop.order())
    assert shop.client.payment.edit(payment["id"], {"notes": {"a": "b"}}) == payment | {"notes": {"a": "b"}}
    assert shop.api("PATCH", f"payments/{payment['id']}", {"notes": {}, "amount": 1})[0] == 400


def test_payments_are_listed_by_time_and_expanded(shop):
    first = shop.paid(shop.order(), method="card", card=GOOD_CARD)
    shop.sandbox.advance(100)
    second = shop.paid(shop.order())
    assert shop.client.payment.all()["items"] == [second, first]
    assert shop.client.payment.all({"to": first["created_at"]})["items"] == [first]
    assert shop.client.payment.all({"count": 1, "skip": 1})["items"] == [first]
    shown = shop.client.payment.all({"expand[]": "card"})["items"]
    assert [item["card"] and item["card"]["last4"] for item in shown] == [None, "1007"]


def test_a_pending_payment_fails_after_ten_minutes(shop):
    status, answer = shop.pay(shop.order(), method="upi", vpa="pending@razorpay")
    assert (status, answer["status"]) == (200, "created")
    pending = shop.payment(answer["razorpay_payment_id"])
    assert pending["status"] == "created"
    shop.sandbox.advance(10 * MINUTE - 5)
    assert shop.payment(pending["id"])["status"] == "created"
    shop.sandbox.advance(10)
    failed = shop.payment(pending["id"])
    assert (failed["status"], failed["error_reason"]) == ("failed", "payment_timed_out")
    event = shop.endpoint.expect("payment.failed")["payment.failed"]
    assert event["created_at"] == pending["created_at"] + 10 * MINUTE


def test_a_failed_payment_may_be_authorized_late_under_the_same_id(shop):
    order = shop.order(options={"manual_expiry_period": 7200})
    _, answer = shop.pay(order, method="upi", vpa="pending@razorpay")
    payment_id = answer["razorpay_payment_id"]
    shop.sandbox.advance(2 * DAY)
    assert shop.payment(payment_id)["status"] == "failed"
    shop.act("late_authorize", payment_id=payment_id)
    late = shop.payment(payment_id)
    assert late["status"] == "authorized"
    assert errors_of(late) == NO_ERROR
    assert late["acquirer_data"]["rrn"].isdigit()
    assert shop.client.payment.capture(payment_id, 50000, {"currency": "INR"})["captured"] is True


def test_the_bank_may_answer_while_the_payment_is_pending(shop):
    _, answer = shop.pay(shop.order(), method="upi", vpa="pending@razorpay")
    shop.act("late_authorize", payment_id=answer["razorpay_payment_id"])
    shop.sandbox.advance(20 * MINUTE)
    assert shop.payment(answer["razorpay_payment_id"])["status"] == "authorized"


def test_no_payment_is_authorized_after_three_days_or_twice(shop):
    _, answer = shop.pay(shop.order(), method="upi", vpa="pending@razorpay")
    payment_id = answer["razorpay_payment_id"]
    shop.sandbox.advance(3 * DAY + 1)
    with pytest.raises(ControlError, match="within three days"):
        shop.act("late_authorize", payment_id=payment_id)
    authorized = shop.paid(shop.order())
    with pytest.raises(ControlError, match="this one is authorized"):
        shop.act("late_authorize", payment_id=authorized["id"])
    with pytest.raises(ControlError, match="there is no payment"):
        shop.act("late_authorize", payment_id="pay_00000000000000")


def test_automatic_capture_is_for_payments_in_time_only(shop):
    order = shop.order(capture="automatic", options={"automatic_expiry_period": 12})
    _, answer = shop.pay(order, method="upi", vpa="pending@razorpay")
    shop.sandbox.advance(13 * MINUTE)
    shop.act("late_authorize", payment_id=answer["razorpay_payment_id"])
    assert shop.payment(answer["razorpay_payment_id"])["status"] == "authorized"


def test_a_customer_who_tries_again_in_the_app_keeps_the_payment_id(shop):
    order = shop.order()
    _, answer = shop.pay(order, method="upi", vpa="retry@razorpay")
    payment = shop.payment(answer["razorpay_payment_id"])
    assert payment["status"] == "authorized"
    assert errors_of(payment) == NO_ERROR
    events = shop.endpoint.expect("payment.failed", "payment.authorized")
    ids = {event["payload"]["payment"]["entity"]["id"] for event in events.values()}
    assert ids == {payment["id"]}
    assert shop.client.order.fetch(order["id"])["attempts"] == 1


def test_an_uncaptured_payment_is_given_back_when_its_time_is_over(shop):
    order = shop.order(options={"manual_expiry_period": 30})
    payment = shop.paid(order)
    shop.sandbox.advance(30 * MINUTE - 5)
    assert shop.payment(payment["id"])["status"] == "authorized"
    shop.sandbox.advance(10)
    over = shop.payment(payment["id"])
    assert (over["status"], over["captured"], over["amount_refunded"]) == ("refunded", False, 50000)
    assert over["fee"] is None
    [refund] = shop.client.payment.fetch_multiple_refund(payment["id"])["items"]
    assert (refund["amount"], refund["speed_requested"]) == (50000, "normal")
    events = shop.endpoint.expect("payment.authorized", "refund.created", "refund.processed")
    for name in ("refund.created", "refund.processed"):
        assert events[name]["payload"]["payment"]["entity"]["captured"] is False
    with pytest.raises(razorpay.errors.BadRequestError, match="Only payments which have been authorized"):
        shop.client.payment.capture(payment["id"], 50000, {"currency": "INR"})
    assert shop.client.order.fetch(order["id"])["status"] == "attempted"


def test_a_captured_payment_is_never_given_back_by_time(shop):
    payment = shop.paid(shop.order(options={"manual_expiry_period": 30}))
    shop.client.payment.capture(payment["id"], 50000, {"currency": "INR"})
    shop.sandbox.advance(30 * DAY)
    assert shop.payment(payment["id"])["status"] == "captured"


def test_a_payment_authorized_after_its_time_is_given_back_at_once(shop):
    order = shop.order(options={"manual_expiry_period": 30, "refund_speed": "optimum"})
    _, answer = shop.pay(order, method="upi", vpa="pending@razorpay")
    shop.sandbox.advance(DAY)
    shop.act("late_authorize", payment_id=answer["razorpay_payment_id"])
    events = shop.endpoint.expect(
        "payment.failed", "payment.authorized", "refund.created", "refund.processed"
    )
    refund = events["refund.created"]["payload"]["refund"]["entity"]
    assert (refund["speed_requested"], refund["speed_processed"]) == ("optimum", "instant")
    assert shop.payment(answer["razorpay_payment_id"])["status"] == "refunded"


def test_a_second_success_on_a_paid_order_is_given_back(shop):
    order = shop.order(capture="automatic")
    _, slow = shop.pay(order, method="upi", vpa="pending@razorpay")
    won = shop.paid(order)
    shop.act("late_authorize", payment_id=slow["razorpay_payment_id"])
    surplus = shop.payment(slow["razorpay_payment_id"])
    assert (surplus["status"], surplus["captured"]) == ("refunded", False)
    assert shop.payment(won["id"])["status"] == "captured"
    assert shop.client.order.fetch(order["id"])["amount_paid"] == 50000


def test_of_two_authorized_payments_the_captured_one_sends_the_other_back(shop):
    order = shop.order()
    first, second = shop.paid(order), shop.paid(order)
    shop.client.payment.capture(second["id"], 50000, {"currency": "INR"})
    assert shop.payment(first["id"])["status"] == "refunded"
    with pytest.raises(razorpay.errors.BadRequestError):
        shop.client.payment.capture(first["id"], 50000, {"currency": "INR"})


def test_the_browser_asks_what_became_of_a_payment(shop):
    _, answer = shop.pay(shop.order(), method="upi", vpa="pending@razorpay")
    path = f"/razorpay/checkout/payments/{answer['razorpay_payment_id']}"
    assert shop.call("GET", f"{path}?key={shop.auth[0]}") == (200, answer)
    assert shop.call("GET", path)[0] == 401
    shop.sandbox.advance(11 * MINUTE)
    status, failed = shop.call("GET", f"{path}?key={shop.auth[0]}")
    assert (status, failed["error"]["reason"]) == (400, "payment_timed_out")
    shop.act("late_authorize", payment_id=answer["razorpay_payment_id"])
    status, paid = shop.call("GET", f"{path}?key={shop.auth[0]}")
    assert shop.client.utility.verify_payment_signature(paid)


def test_any_page_may_load_the_script_and_call_the_checkout(shop):
    script = shop.session.get(f"{shop.sandbox.razorpay}/checkout.js")
    assert script.headers["content-type"] == "text/javascript; charset=utf-8"
    assert "window.Razorpay" in script.text
    pay = f"{shop.sandbox.razorpay}/checkout/pay"
    asked = shop.session.options(pay, headers={"access-control-request-headers": "content-type"})
    assert (asked.status_code, asked.headers["access-control-allow-headers"]) == (204, "content-type")
    for answer in (script, asked, shop.session.post(pay, json={})):
        assert answer.headers["access-control-allow-origin"] == "*"


def test_a_payment_without_a_card_has_none_to_show(shop):
    payment = shop.paid(shop.order())
    with pytest.raises(razorpay.errors.BadRequestError, match="not made by card"):
        shop.client.payment.fetchCardDetails(payment["id"])


def test_scripts_pay_without_a_key(shop):
    order = shop.order()
    answer = shop.act("pay", order_id=order["id"], method="upi", vpa="success@razorpay")
    assert shop.client.utility.verify_payment_signature(answer)


@pytest.mark.parametrize(
    "given", [{"captures": True}, {"captures_by_itself": 1}, {"refunds": "lost"}, {"instant_refunds": None}]
)
def test_a_switch_that_is_not_there_is_explained(shop, given):
    with pytest.raises(ControlError, match=next(iter(given))):
        shop.act(**given)
    assert shop.act()["captures_by_itself"] is False


def test_the_truth_survives_the_end_of_the_process(tmp_path):
    with open_shop(data=tmp_path) as shop:
        payment = shop.paid(shop.order(options={"manual_expiry_period": 30}))
        shop.act(captures_by_itself=True)
    with open_shop(data=tmp_path) as shop:
        assert shop.payment(payment["id"]) == payment
        assert shop.act()["captures_by_itself"] is True
        shop.sandbox.advance(31 * MINUTE)
        assert shop.payment(payment["id"])["status"] == "refunded"
