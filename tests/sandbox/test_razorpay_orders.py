"""Orders at the sandbox's Razorpay, asked for with the official SDK."""

import pytest
import razorpay

from sandbox_razorpay import Shop, fresh, open_shop

KEYS = {
    "id",
    "entity",
    "amount",
    "amount_paid",
    "amount_due",
    "currency",
    "receipt",
    "offer_id",
    "status",
    "attempts",
    "notes",
    "created_at",
}


@pytest.fixture(scope="module")
def shared():
    with open_shop() as shop:
        yield shop


@pytest.fixture
def shop(shared: Shop):
    with fresh(shared) as shop:
        yield shop


def refusal(shop: Shop, **wrong):
    status, answer = shop.api("POST", "orders", {"amount": 50000, "currency": "INR", **wrong})
    assert status == 400
    return answer["error"]


def test_an_order_has_the_documented_fields_and_begins_unpaid(shop):
    order = shop.order(50000, receipt="A1", notes={"cart": "7", "tables": 3})
    assert order.keys() == KEYS
    assert order["id"].startswith("order_")
    assert len(order["id"]) == len("order_") + 14
    assert (order["status"], order["attempts"]) == ("created", 0)
    assert (order["amount_due"], order["amount_paid"]) == (50000, 0)
    assert order["notes"] == {"cart": "7", "tables": 3}
    assert shop.client.order.fetch(order["id"]) == order


def test_notes_that_are_empty_are_a_list(shop):
    assert shop.order(notes={})["notes"] == []
    assert shop.order()["notes"] == []


def test_creating_an_order_twice_makes_two(shop):
    assert shop.order(receipt="same")["id"] != shop.order(receipt="same")["id"]
    assert shop.client.order.all({"receipt": "same"})["count"] == 2


def test_a_payment_attempt_is_counted_and_a_captured_payment_pays_the_order(shop):
    order = shop.order(capture="automatic")
    shop.pay(order, method="upi", vpa="failure@razorpay")
    assert shop.client.order.fetch(order["id"])["status"] == "attempted"
    shop.paid(order)
    paid = shop.client.order.fetch(order["id"])
    assert (paid["status"], paid["attempts"]) == ("paid", 2)
    assert (paid["amount_due"], paid["amount_paid"]) == (0, 50000)


def test_an_order_stays_paid_after_its_refund(shop):
    payment = shop.captured()
    shop.client.payment.refund(payment["id"], {})
    assert shop.client.order.fetch(payment["order_id"])["status"] == "paid"


def test_an_order_lists_its_payments_newest_first(shop):
    order = shop.order(capture="automatic")
    shop.pay(order, method="upi", vpa="failure@razorpay")
    won = shop.paid(order)
    found = shop.client.order.payments(order["id"])
    assert (found["entity"], found["count"]) == ("collection", 2)
    assert [item["status"] for item in found["items"]] == ["captured", "failed"]
    assert found["items"][0] == won


def test_only_notes_of_an_order_can_change(shop):
    order = shop.order()
    assert shop.client.order.edit(order["id"], {"notes": {"a": "b"}})["notes"] == {"a": "b"}
    with pytest.raises(razorpay.errors.BadRequestError, match="amount is/are not required"):
        shop.client.order.edit(order["id"], {"amount": 1})
    assert shop.client.order.fetch(order["id"])["amount"] == 50000


def test_orders_are_found_by_receipt_time_and_authorization(shop):
    first = shop.order(receipt="first")
    shop.sandbox.advance(1000)
    second = shop.order(receipt="second")
    shop.paid(second)

    def ids(**query):
        return [order["id"] for order in shop.client.order.all(query)["items"]]

    assert ids() == [second["id"], first["id"]]
    assert ids(receipt="first") == [first["id"]]
    assert ids(receipt="none") == []
    assert ids(authorized=1) == [second["id"]]
    assert ids(authorized=0) == [first["id"]]
    assert ids(**{"from": second["created_at"]}) == [second["id"]]
    assert ids(to=first["created_at"]) == [first["id"]]


def test_lists_are_paged_by_count_and_skip_without_a_word_on_more(shop):
    made = [shop.order(receipt=str(number))["id"] for number in range(12)][::-1]
    first = shop.client.order.all()
    assert first.keys() == {"entity", "count", "items"}
    assert [order["id"] for order in first["items"]] == made[:10]
    page = shop.client.order.all({"count": 5, "skip": 10})
    assert [order["id"] for order in page["items"]] == made[10:]


@pytest.mark.parametrize(
    "query",
    ["count=0", "count=101", "count=ten", "skip=-1", "from=1", "to=99999999999999999999", "authorized=yes"],
)
def test_a_list_refuses_a_window_it_cannot_open(shop, query):
    status, answer = shop.api("GET", f"orders?{query}")
    assert status == 400
    assert answer["error"]["field"] == query.split("=")[0]


def test_an_order_can_be_shown_with_its_payments(shop):
    order = shop.order()
    payment = shop.paid(order)
    shown = shop.client.order.fetch(order["id"], {"expand[]": "payments"})
    assert shown["payments"]["items"] == [payment]
    with pytest.raises(razorpay.errors.BadRequestError, match=r"expand\.0"):
        shop.client.order.fetch(order["id"], {"expand[]": "nothing"})


@pytest.mark.parametrize(
    ("wrong", "field", "sentence"),
    [
        ({"amount": 99}, "amount", "The amount must be at least INR 1.00"),
        ({"amount": 0, "currency": "USD"}, "amount", "The amount must be at least 1."),
        ({"amount": "50000"}, "amount", "The amount must be an integer."),
        ({"amount": 500.0}, "amount", "The amount must be an integer."),
        ({"amount": True}, "amount", "The amount must be an integer."),
        ({"amount": None}, "amount", "The amount field is required."),
        ({"amount": 10**10}, "amount", "Amount exceeds maximum amount allowed."),
        ({"amount": 10**30}, "amount", "Amount exceeds maximum amount allowed."),
        ({"currency": "XXX"}, "currency", "Currency is not supported"),
        ({"currency": "inr"}, "currency", "Currency is not supported"),
        ({"currency": "KWD", "amount": 10001}, "amount", "The amount of KWD must end in 0"),
        ({"receipt": "r" * 41}, "receipt", "The receipt may not be greater than 40 characters."),
        ({"receipt": 7}, "receipt", "The receipt must be a string."),
        ({"notes": {str(n): "x" for n in range(16)}}, "notes", "should be less than or equal to 15"),
        ({"notes": {"a": "x" * 257}}, "notes", "may not be greater than 256 characters"),
        ({"notes": {"a": {}}}, "notes", "The notes.a must be a string."),
        ({"notes": "text"}, "notes", "The notes must be an array."),
        ({"partial_payment": True}, "partial_payment", "not enabled"),
        ({"payment_capture": "yes"}, "payment_capture", "must be true or false"),
        ({"surprise": 1}, None, "surprise is/are not required and should not be sent"),
    ],
)
def test_an_order_is_checked_as_razorpay_checks_it(shop, wrong, field, sentence):
    error = refusal(shop, **wrong)
    assert error["code"] == "BAD_REQUEST_ERROR"
    assert sentence in error["description"]
    assert error.get("field") == field
    assert shop.sandbox.truth()["razorpay"]["orders"] == []


@pytest.mark.parametrize(
    ("capture", "options", "field"),
    [
        (None, {}, "payment.capture"),
        ("sometimes", {}, "payment.capture"),
        ("automatic", {}, "payment.capture_options.automatic_expiry_period"),
        ("automatic", {"automatic_expiry_period": 11}, "payment.capture_options.automatic_expiry_period"),
        ("manual", {"manual_expiry_period": 7201}, "payment.capture_options.manual_expiry_period"),
        (
            "automatic",
            {"automatic_expiry_period": 30, "manual_expiry_period": 29},
            "payment.capture_options.manual_expiry_period",
        ),
        ("manual", {"refund_speed": "fast"}, "payment.capture_options.refund_speed"),
    ],
)
def test_a_capture_rule_keeps_its_limits(shop, capture, options, field):
    error = refusal(shop, payment={"capture": capture, "capture_options": options})
    assert error["field"] == field
    assert error["reason"] == "input_validation_failed"


@pytest.mark.parametrize(
    ("rule", "status"),
    [
        ({}, "captured"),
        ({"payment_capture": 1}, "captured"),
        ({"payment_capture": 0}, "authorized"),
        ({"payment": {"capture": "manual"}}, "authorized"),
        (
            {"payment": {"capture": "automatic", "capture_options": {"automatic_expiry_period": 12}}},
            "captured",
        ),
    ],
)
def test_the_capture_rule_decides_whether_a_payment_is_captured_by_itself(shop, rule, status):
    order = shop.client.order.create({"amount": 50000, "currency": "INR", **rule})
    assert shop.paid(order)["status"] == status


def test_a_direct_settlement_account_captures_in_spite_of_a_manual_order(shop):
    assert shop.act(captures_by_itself=True)["captures_by_itself"] is True
    assert shop.paid(shop.order(capture="manual"))["status"] == "captured"


@pytest.mark.parametrize("body", [b"\xff\xfe\x00", b"{", b"[]", b"100", b"[" * 50000, b'"\xed\xa0\x80"'])
def test_hostile_bytes_get_razorpays_own_error(shop, body):
    status, answer = shop.api("POST", "orders", body)
    assert status == 400
    assert answer["error"]["description"] == "The request body is not a JSON object."


def test_a_body_of_a_megabyte_is_not_read(shop):
    status, answer = shop.api("POST", "orders", b'"' + b"x" * 1_100_000 + b'"')
    assert status == 413
    assert answer["error"]["code"] == "BAD_REQUEST_ERROR"


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "",
        "Basic",
        "Basic !!!",
        "Basic cnpwX3Rlc3Q6d3Jvbmc=",
        "basic RIGHT",
        "BASIC RIGHT",
        "Bearer RIGHT",
    ],
)
def test_only_basic_with_the_right_keys_is_let_in(shop, authorization):
    right = "Basic cnpwX3Rlc3RfY291bnRlcmZvaWw6Y291bnRlcmZvaWxfc2FuZGJveF9zZWNyZXQ="
    given = {} if authorization is None else {"authorization": authorization.replace("RIGHT", right[6:])}
    status, answer = shop.call("GET", "/razorpay/v1/orders", headers=given)
    assert (status, answer["error"]["description"]) == (401, "Authentication failed")
    assert shop.call("GET", "/razorpay/v1/orders", headers={"authorization": right})[0] == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "orders/order_00000000000000"),
        ("GET", "orders/order_00000000000000/payments"),
        ("PATCH", "orders/order_00000000000000"),
        ("GET", "payments/pay_00000000000000"),
        ("GET", "refunds/rfnd_00000000000000"),
        ("GET", "payments/downtimes/down_00000000000000"),
        ("GET", "orders/%00%ff'--"),
    ],
)
def test_an_unknown_id_is_a_400(shop, method, path):
    status, answer = shop.api(method, path, {"notes": {"a": "b"}})
    assert (status, answer["error"]["description"]) == (400, "The id provided does not exist")


def test_an_id_of_another_kind_is_unknown(shop):
    order = shop.order()
    assert shop.api("GET", f"payments/{order['id']}")[0] == 400


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "nothing"), ("DELETE", "orders"), ("POST", "orders/order_1/x")]
)
def test_an_unknown_url_or_method_is_a_400(shop, method, path):
    status, answer = shop.api(method, path)
    assert status == 400
    assert answer["error"]["description"] == "The requested URL was not found on the server."
