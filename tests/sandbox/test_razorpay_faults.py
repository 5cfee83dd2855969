"""Faults on calls to the sandbox's Razorpay: what the client sees, and what was done nevertheless."""

import json

import pytest
import razorpay
import requests

from sandbox_razorpay import Shop, fresh, open_shop


@pytest.fixture(scope="module")
def shared():
    with open_shop() as shop:
        yield shop


@pytest.fixture
def shop(shared: Shop):
    with fresh(shared) as shop:
        yield shop


def orders(shop):
    return len(shop.sandbox.truth()["razorpay"]["orders"])


@pytest.mark.parametrize(
    ("fault", "params", "error", "done"),
    [
        ("refuse", {}, requests.ConnectionError, 0),
        ("reset_before", {}, requests.ConnectionError, 0),
        ("reset_after", {}, requests.ConnectionError, 1),
        ("timeout_before", {"seconds": 5}, requests.Timeout, 0),
        ("timeout_after", {"seconds": 5}, requests.Timeout, 1),
        ("error_4xx", {"status": 401}, razorpay.errors.BadRequestError, 0),
        ("error_5xx_before", {"status": 500}, razorpay.errors.ServerError, 0),
        ("error_5xx_after", {"status": 502}, razorpay.errors.ServerError, 1),
        ("rate_limit", {}, razorpay.errors.BadRequestError, 0),
        ("garbage", {}, requests.JSONDecodeError, 1),
        ("truncated", {}, requests.RequestException, 1),
    ],
)
def test_a_fault_shows_as_the_sdk_would_meet_it_and_does_no_more_than_it_says(
    shop, fault, params, error, done
):
    shop.sandbox.fault("razorpay", "orders.create", fault, **params)
    with pytest.raises(error):
        shop.client.order.create({"amount": 50000, "currency": "INR"}, timeout=0.3)
    assert orders(shop) == done
    assert shop.order()["amount"] == 50000
    assert orders(shop) == done + 1


def test_a_rate_limit_and_a_server_error_have_razorpays_own_bodies(shop):
    shop.sandbox.fault("razorpay", "*", "rate_limit", retry_after=7)
    status, answer = shop.api("GET", "orders")
    assert (status, answer["error"]["description"]) == (429, "Too many requests")
    shop.sandbox.fault("razorpay", "*", "error_5xx_before", status=503)
    status, answer = shop.api("GET", "orders")
    assert (status, answer["error"]["code"]) == (503, "SERVER_ERROR")


def test_a_rate_limit_tells_when_to_come_back(shop):
    shop.sandbox.fault("razorpay", "orders.list", "rate_limit", retry_after=7)
    answer = shop.session.get(f"{shop.sandbox.razorpay}/v1/orders", auth=shop.auth)
    assert answer.headers["retry-after"] == "7"


def test_a_capture_whose_answer_is_lost_has_been_done_once(shop):
    payment = shop.paid(shop.order())
    shop.sandbox.fault("razorpay", "payments.capture", "reset_after")
    with pytest.raises(requests.ConnectionError):
        shop.client.payment.capture(payment["id"], 50000, {"currency": "INR"})
    with pytest.raises(razorpay.errors.BadRequestError, match="already been captured"):
        shop.client.payment.capture(payment["id"], 50000, {"currency": "INR"})
    assert shop.payment(payment["id"])["status"] == "captured"


def test_a_refund_whose_answer_is_lost_is_found_by_its_key(shop):
    payment = shop.captured()
    shop.sandbox.fault("razorpay", "payments.refund", "reset_after")
    with pytest.raises(requests.ConnectionError):
        shop.client.payment.refund(
            payment["id"], {"amount": 100}, headers={"X-Refund-Idempotency": "refund-key-1"}
        )
    shop.client.payment.refund(
        payment["id"], {"amount": 100}, headers={"X-Refund-Idempotency": "refund-key-1"}
    )
    assert shop.payment(payment["id"])["amount_refunded"] == 100


def test_the_checkout_can_fail_after_the_customer_has_paid(shop):
    order = shop.order()
    shop.sandbox.fault("razorpay", "checkout.pay", "error_5xx_after")
    assert shop.pay(order)[0] == 500
    assert shop.client.order.payments(order["id"])["items"][0]["status"] == "authorized"


def test_a_gateway_that_is_down_answers_nobody(shop):
    shop.sandbox.control("POST", "faults", {"gateway": "razorpay", "down": True})
    for _ in range(2):
        with pytest.raises(requests.ConnectionError):
            shop.client.order.all()
    shop.sandbox.control("POST", "faults", {"gateway": "razorpay", "down": False})
    assert shop.client.order.all()["count"] == 0


def test_latency_is_added_to_every_call():
    with open_shop(latency_ms=150) as shop:
        answer = shop.session.get(f"{shop.sandbox.razorpay}/v1/orders", auth=shop.auth)
        assert json.loads(answer.content)["count"] == 0
        assert 0.15 <= answer.elapsed.total_seconds() < 1
