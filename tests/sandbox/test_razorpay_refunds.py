"""Refunds at the sandbox's Razorpay, asked for with the official SDK."""

import json
import threading

import pytest
import razorpay

from sandbox_razorpay import DATA, Shop, fresh, open_shop
from sandbox_server import ControlError, eventually

KEYS = {
    *("id", "entity", "amount", "receipt", "currency", "payment_id", "notes", "acquirer_data"),
    *("created_at", "batch_id", "status", "speed_processed", "speed_requested"),
}
KEY = "refund-key-0001"
HOUR, DAY = 3600, 86400

ERRORS = {case["name"]: case for case in json.loads((DATA / "errors.json").read_text())["cases"]}


@pytest.fixture(scope="module")
def shared():
    with open_shop() as shop:
        yield shop


@pytest.fixture
def shop(shared: Shop):
    with fresh(shared) as shop:
        yield shop


def keyed(shop: Shop, payment, body, key=KEY):
    return shop.api("POST", f"payments/{payment['id']}/refund", body, **{"x-refund-idempotency": key})


def told(case, answer):
    """The documented error, but for the name of the field it concerns."""
    answer["error"].pop("field", None)
    return answer == ERRORS[case]["body"] and ERRORS[case]["http"]


def test_a_refund_has_the_documented_fields(shop):
    payment = shop.captured(500100)
    refund = shop.client.payment.refund(payment["id"], {"receipt": "R1"})
    assert refund.keys() == KEYS
    assert (refund["amount"], refund["payment_id"], refund["receipt"]) == (500100, payment["id"], "R1")
    assert (refund["speed_requested"], refund["speed_processed"]) == ("normal", "normal")
    assert shop.client.refund.fetch(refund["id"]) == refund


def test_a_refund_is_processed_before_its_bank_reference_is_known(shop):
    refund = shop.client.payment.refund(shop.captured()["id"], {})
    assert (refund["status"], refund["acquirer_data"]) == ("processed", {"arn": None})
    shop.sandbox.advance(DAY + 5)
    later = shop.client.refund.fetch(refund["id"])
    assert later["status"] == "processed"
    assert len(later["acquirer_data"]["arn"]) == 23


def test_partial_refunds_go_on_until_nothing_is_left(shop):
    payment = shop.captured(50000)
    shop.client.payment.refund(payment["id"], {"amount": 20000})
    part = shop.payment(payment["id"])
    assert (part["status"], part["refund_status"], part["amount_refunded"]) == ("captured", "partial", 20000)
    status, answer = shop.api("POST", f"payments/{payment['id']}/refund", {"amount": 30001})
    assert told("refund_too_big", answer) == status
    assert shop.client.payment.refund(payment["id"], {})["amount"] == 30000
    whole = shop.payment(payment["id"])
    assert (whole["status"], whole["refund_status"], whole["amount_refunded"]) == ("refunded", "full", 50000)
    assert whole["captured"] is True
    status, answer = shop.api("POST", f"payments/{payment['id']}/refund", {"amount": 100})
    assert told("refunded_already", answer) == status
    assert (whole["fee"], whole["tax"]) == (payment["fee"], payment["tax"])


def test_a_refund_may_name_its_payment_in_the_body(shop):
    payment = shop.captured()
    refund = shop.client.refund.create({"payment_id": payment["id"], "amount": 100, "notes": {"why": "x"}})
    assert (refund["payment_id"], refund["notes"]) == (payment["id"], {"why": "x"})
    with pytest.raises(razorpay.errors.BadRequestError, match="The payment_id field is required"):
        shop.client.refund.create({"amount": 100})


def test_refunds_are_listed_alone_and_by_payment(shop):
    payment, other = shop.captured(), shop.captured()
    first = shop.client.payment.refund(payment["id"], {"amount": 100})
    second = shop.client.payment.refund(payment["id"], {"amount": 200})
    third = shop.client.payment.refund(other["id"], {"amount": 300})
    assert shop.client.refund.all()["items"] == [third, second, first]
    assert shop.client.refund.all({"count": 1, "skip": 1})["items"] == [second]
    assert shop.client.payment.fetch_multiple_refund(payment["id"])["items"] == [second, first]
    assert shop.client.payment.fetch_refund_id(payment["id"], first["id"]) == first
    with pytest.raises(razorpay.errors.BadRequestError, match="does not exist"):
        shop.client.payment.fetch_refund_id(payment["id"], third["id"])


def test_only_notes_of_a_refund_can_change(shop):
    refund = shop.client.payment.refund(shop.captured()["id"], {"amount": 100})
    assert shop.client.refund.edit(refund["id"], {"notes": {"a": "b"}}) == refund | {"notes": {"a": "b"}}
    assert shop.api("PATCH", f"refunds/{refund['id']}", {"notes": {}, "amount": 1})[0] == 400


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"amount": 99}, "amount"),
        ({"amount": 0, "speed": "optimum"}, "amount"),
        ({"amount": -100}, "amount"),
        ({"amount": "100"}, "amount"),
        ({"speed": "fast"}, "speed"),
        ({"receipt": "r" * 41}, "receipt"),
        ({"notes": []} | {"amount": 50001}, "amount"),
    ],
)
def test_a_refund_is_checked_as_razorpay_checks_it(shop, body, field):
    payment = shop.captured()
    status, answer = shop.api("POST", f"payments/{payment['id']}/refund", body)
    assert (status, answer["error"]["field"]) == (400, field)
    assert shop.client.refund.all()["count"] == 0


def test_less_than_a_rupee_goes_back_only_instantly(shop):
    payment = shop.captured()
    status, answer = shop.api("POST", f"payments/{payment['id']}/refund", {"amount": 99})
    assert answer == ERRORS["min_amount"]["body"]
    assert status == 400
    assert shop.client.payment.refund(payment["id"], {"amount": 99, "speed": "optimum"})["amount"] == 99


def test_a_refund_in_three_decimals_ends_in_zero(shop):
    payment = shop.paid(shop.client.order.create({"amount": 10000, "currency": "KWD"}))
    for amount, status in ((1, 400), (11, 400), (10, 200)):
        assert shop.api("POST", f"payments/{payment['id']}/refund", {"amount": amount})[0] == status


def test_only_a_captured_payment_is_refunded(shop):
    payment = shop.paid(shop.order())
    with pytest.raises(razorpay.errors.BadRequestError, match="status should be captured"):
        shop.client.payment.refund(payment["id"], {})


def test_a_payment_of_half_a_year_ago_is_refunded_only_instantly(shop):
    payment = shop.captured()
    shop.sandbox.advance(184 * DAY)
    with pytest.raises(razorpay.errors.BadRequestError, match="too old"):
        shop.client.payment.refund(payment["id"], {})
    assert shop.client.payment.refund(payment["id"], {"speed": "optimum"})["status"] == "processed"


def test_an_account_without_balance_refunds_nothing(shop):
    payment = shop.captured()
    shop.act(refunds="no_balance")
    with pytest.raises(razorpay.errors.BadRequestError, match="does not have enough balance"):
        shop.client.payment.refund(payment["id"], {})
    assert shop.payment(payment["id"])["amount_refunded"] == 0


def test_a_pending_refund_is_processed_in_time(shop):
    shop.act(refunds="pending")
    payment = shop.captured()
    refund = shop.client.payment.refund(payment["id"], {"amount": 20000})
    assert refund["status"] == "pending"
    assert shop.payment(payment["id"])["amount_refunded"] == 20000
    shop.sandbox.advance(2 * HOUR)
    assert shop.client.refund.fetch(refund["id"])["status"] == "processed"


def test_a_refund_that_fails_gives_its_amount_free_again(shop):
    shop.act(refunds="failing")
    payment = shop.captured(50000)
    refund = shop.client.payment.refund(payment["id"], {})
    assert shop.payment(payment["id"])["status"] == "refunded"
    shop.sandbox.advance(2 * HOUR)
    assert shop.client.refund.fetch(refund["id"])["status"] == "failed"
    assert shop.payment(payment["id"]) == payment
    shop.act(refunds="processed")
    assert shop.client.payment.refund(payment["id"], {})["amount"] == 50000
    names = ["refund.created", "refund.failed", "refund.created", "refund.processed"]
    shop.endpoint.expect("payment.authorized", "payment.captured", "order.paid", *names)


def test_a_pending_refund_ends_on_demand_once(shop):
    shop.act(refunds="pending")
    payment = shop.captured()
    good = shop.client.payment.refund(payment["id"], {"amount": 100})
    bad = shop.client.payment.refund(payment["id"], {"amount": 200})
    assert shop.act("refund", refund_id=good["id"], status="processed")["status"] == "processed"
    assert shop.act("refund", refund_id=bad["id"], status="failed")["status"] == "failed"
    assert shop.payment(payment["id"])["amount_refunded"] == 100
    with pytest.raises(ControlError, match="is failed does not become processed"):
        shop.act("refund", refund_id=bad["id"], status="processed")
    with pytest.raises(ControlError, match="status is one of"):
        shop.act("refund", refund_id=good["id"], status="lost")
    shop.sandbox.advance(2 * HOUR)
    assert shop.client.refund.fetch(bad["id"])["status"] == "failed"


def test_an_instant_refund_falls_back_to_normal_speed(shop):
    shop.act(instant_refunds=False)
    refund = shop.client.payment.refund(shop.captured()["id"], {"speed": "optimum"})
    assert (refund["status"], refund["speed_processed"]) == ("pending", "normal")
    shop.sandbox.advance(2 * HOUR)
    assert shop.client.refund.fetch(refund["id"])["status"] == "processed"
    paid = ["payment.authorized", "payment.captured", "order.paid"]
    events = shop.endpoint.expect(*paid, "refund.created", "refund.speed_changed", "refund.processed")
    times = [events[f"refund.{name}"]["created_at"] for name in ("created", "speed_changed", "processed")]
    assert times == [times[0], times[0] + 100, times[0] + 90 * 60]
    changed = events["refund.speed_changed"]["payload"]["refund"]["entity"]
    assert (changed["speed_requested"], changed["speed_processed"]) == ("optimum", "normal")


def test_a_refund_that_ended_early_changes_its_speed_no_more(shop):
    shop.act(instant_refunds=False)
    refund = shop.client.payment.refund(shop.captured()["id"], {"speed": "optimum"})
    shop.act("refund", refund_id=refund["id"], status="processed")
    shop.sandbox.advance(2 * HOUR)
    paid = ["payment.authorized", "payment.captured", "order.paid"]
    shop.endpoint.expect(*paid, "refund.created", "refund.processed")


def test_the_same_key_and_body_give_the_same_refund(shop):
    payment = shop.captured()
    first = shop.client.payment.refund(
        payment["id"], {"amount": 10000, "notes": {"a": "b"}}, headers={"X-Refund-Idempotency": KEY}
    )
    again = shop.client.payment.refund(
        payment["id"], {"notes": {"a": "b"}, "amount": 10000}, headers={"X-Refund-Idempotency": KEY}
    )
    assert again == first
    assert shop.payment(payment["id"])["amount_refunded"] == 10000


def test_without_a_key_a_refund_is_made_twice(shop):
    payment = shop.captured()
    shop.client.payment.refund(payment["id"], {"amount": 10000})
    shop.client.payment.refund(payment["id"], {"amount": 10000})
    assert shop.payment(payment["id"])["amount_refunded"] == 20000


def test_the_same_key_for_another_body_or_payment_is_a_conflict(shop):
    payment, other = shop.captured(), shop.captured()
    keyed(shop, payment, {"amount": 10000})
    for target, body in ((payment, {"amount": 20000}), (payment, b"no json"), (other, {"amount": 10000})):
        status, answer = keyed(shop, target, body)
        assert (status, answer) == (409, ERRORS["idem_mismatch"]["body"])
    assert shop.client.refund.all()["count"] == 1


def test_the_same_key_while_the_first_is_running_is_a_conflict_to_try_again(shop):
    payment = shop.captured()
    shop.sandbox.fault("razorpay", "payments.refund", "delay", seconds=0.5)
    answers = []
    first = threading.Thread(target=lambda: answers.append(keyed(shop, payment, {"amount": 10000})))
    first.start()
    eventually(lambda: shop.sandbox.faults()[0]["fired"])
    status, answer = keyed(shop, payment, b"{")
    assert (status, answer) == (409, ERRORS["idem_in_progress"]["body"])
    first.join()
    assert answers == [keyed(shop, payment, {"amount": 10000})]
    assert shop.client.refund.all()["count"] == 1


@pytest.mark.parametrize("key", ["", "short", "123456789"])
def test_a_short_key_is_refused(shop, key):
    status, answer = keyed(shop, shop.captured(), {"amount": 10000}, key)
    assert (status, answer) == (400, ERRORS["idem_short"]["body"])


@pytest.mark.parametrize(
    "key", ["a key with spaces", "key/with/slashes", "ключ-ключ-ключ".encode().decode("latin-1")]
)
def test_a_key_of_other_characters_is_refused(shop, key):
    status, answer = keyed(shop, shop.captured(), {"amount": 10000}, key)
    assert status == 400
    assert "letters, digits, underscores and hyphens" in answer["error"]["description"]


def test_a_refused_refund_leaves_its_key_free(shop):
    payment = shop.captured()
    assert keyed(shop, payment, b"no json")[0] == 400
    assert keyed(shop, payment, {"amount": 50001})[0] == 400
    assert keyed(shop, payment, {"amount": 50000})[0] == 200


def test_a_key_on_a_capture_means_nothing(shop):
    payment = shop.paid(shop.order())
    body = {"amount": 50000, "currency": "INR"}
    path = f"payments/{payment['id']}/capture"
    assert shop.api("POST", path, body, **{"x-refund-idempotency": KEY})[0] == 200
    status, answer = shop.api("POST", path, body, **{"x-refund-idempotency": KEY})
    assert (status, answer) == (400, ERRORS["already_captured"]["body"])


def test_after_a_server_error_the_key_finds_the_refund_that_was_made(shop):
    payment = shop.captured()
    shop.sandbox.fault("razorpay", "payments.refund", "error_5xx_after")
    assert keyed(shop, payment, {"amount": 10000})[0] == 500
    status, refund = keyed(shop, payment, {"amount": 10000})
    assert (status, refund["status"]) == (200, "processed")
    assert shop.payment(payment["id"])["amount_refunded"] == 10000


def test_a_refund_may_wait_for_days(shop):
    shop.act(refunds="pending", refund_seconds=3 * DAY)
    refund = shop.client.payment.refund(shop.captured()["id"], {"amount": 100})
    shop.sandbox.advance(3 * DAY - 60)
    assert shop.client.refund.fetch(refund["id"])["status"] == "pending"
    shop.sandbox.advance(120)
    assert shop.client.refund.fetch(refund["id"])["status"] == "processed"


def test_a_refund_may_fail_long_after_it_was_processed(shop):
    shop.act(refunds="failing_late", refund_seconds=3 * DAY)
    payment = shop.captured()
    refund = shop.client.payment.refund(payment["id"], {"amount": 100})
    assert refund["status"] == "processed"
    shop.sandbox.advance(2 * DAY)
    assert len(shop.client.refund.fetch(refund["id"])["acquirer_data"]["arn"]) == 23
    shop.sandbox.advance(2 * DAY)
    assert shop.client.refund.fetch(refund["id"])["status"] == "failed"
    assert shop.payment(payment["id"])["amount_refunded"] == 0
    names = ["refund.created", "refund.processed", "refund.failed"]
    shop.endpoint.expect("payment.authorized", "payment.captured", "order.paid", *names)


def test_a_processed_refund_fails_on_demand(shop):
    payment = shop.captured()
    refund = shop.client.payment.refund(payment["id"], {})
    assert shop.act("refund", refund_id=refund["id"], status="failed")["status"] == "failed"
    assert shop.payment(payment["id"])["status"] == "captured"


def test_a_refund_in_the_dashboard_names_nothing_of_ours(shop):
    payment = shop.captured()
    made = shop.act("dashboard_refund", payment_id=payment["id"], amount=20000, speed="optimum")
    assert (made["amount"], made["notes"], made["receipt"]) == (20000, [], None)
    assert made["speed_processed"] == "instant"
    assert shop.client.refund.all()["items"] == [made]
    [row] = shop.sandbox.control("GET", "money")["razorpay"]
    assert (row["charge"], row["attempt"], row["refunded"], row["left"]) == (
        payment["id"],
        payment["order_id"],
        20000,
        30000,
    )
