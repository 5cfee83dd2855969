"""Confirming from the browser: once for each token, from our own page alone, whatever is sent."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.services import payments
from counterfoil.services.payments import Caller
from counterfoil.web.checkout.confirming import Confirmation, Confirming
from counterfoil.web.checkout.looks import Looks
from customer import CHALLENGED_CARD, DECLINED_CARD, LOST_CARD, Customer, arrive
from service import Service, call, serving

SIGNATURE = "0" * 64


def order_of(service: Service, customer: Customer) -> str:
    return service.payment(customer.id)["checkout"]["razorpay"]["order_id"]


def test_a_card_is_charged_once_and_the_browser_is_sent_on(service):
    customer = arrive(service)
    assert customer.pay() == {"status": "paid", "redirect": f"{customer.page}/return"}
    assert service.payment(customer.id)["status"] == "captured"
    assert [charge["status"] for charge in customer.charges()] == ["succeeded"]


def test_a_decline_says_what_the_customer_may_know_and_another_card_pays(service):
    customer = arrive(service)
    declined = customer.pay(LOST_CARD)
    assert declined["status"] == "declined"
    assert declined["message"] == "The bank declined the payment. Please use another card or method."
    assert set(declined) == {"status", "message"}
    assert customer.pay()["status"] == "paid"
    assert [charge["status"] for charge in customer.charges()] == ["failed", "succeeded"]


def test_the_same_token_again_gets_the_same_answer_and_no_second_charge(service):
    customer = arrive(service)
    for card, charges in ((DECLINED_CARD, 1), (None, 2)):
        body = {"confirmation_token": customer.token(*([card] if card else []))}
        answers = [customer.post(body) for _ in range(3)]
        assert [answer.status for answer in answers] == [200, 200, 200]
        assert answers[0].json == answers[1].json == answers[2].json
        assert len(customer.charges()) == charges


def test_the_customer_finds_the_audit_log_naming_nobody_else(service):
    customer = arrive(service)
    customer.pay()
    rows = service.rows("SELECT actor, action FROM audit WHERE object_id = $1 ORDER BY id", customer.id)
    assert [(row["actor"], row["action"]) for row in rows[1:]] == [
        ("customer", "payment.confirm"),
        ("service", "receipt.issue"),
    ]


def test_a_next_action_goes_to_the_browser_and_is_stored_nowhere(service):
    customer = arrive(service)
    body = {"confirmation_token": customer.token(CHALLENGED_CARD)}
    first = customer.post(body).json
    secret = customer.intent()["client_secret"]
    assert first == {
        "status": "next_action",
        "next_action": {"type": "redirect_to_url", "client_secret": secret},
    }
    assert customer.post(body).json == first
    kept = service.rows("SELECT answer::text FROM idempotency WHERE payment_id = $1", customer.id)
    called = service.rows("SELECT answer FROM calls WHERE payment_id = $1", customer.id)
    assert "next_action" in str(kept)
    assert secret not in str(kept) + str(called)
    assert body["confirmation_token"] not in str(kept)


@pytest.mark.parametrize(("outcome", "status"), [("succeed", "paid"), ("fail", "declined")])
def test_after_the_bank_the_same_token_tells_how_it_went(service, outcome, status):
    customer = arrive(service)
    body = {"confirmation_token": customer.token(CHALLENGED_CARD)}
    customer.post(body)
    service.authenticate(customer.intent()["id"], outcome)
    assert customer.post(body).json["status"] == status


def test_the_same_token_twice_at_once_is_charged_once_however_often_it_is_sent(service):
    customer = arrive(service)
    body = {"confirmation_token": customer.token()}
    service.sandbox.fault("stripe", "payment_intents.confirm", "delay", seconds=1)
    with ThreadPoolExecutor() as pool:
        first = pool.submit(customer.post, body)
        service.eventually(lambda: service.sandbox.faults()[0]["fired"])
        again = [customer.post(body) for _ in range(3)]
        assert [(answer.status, answer.json["status"]) for answer in again] == [(409, "working")] * 3
        assert "We are checking your payment" in customer.result()
        assert first.result().json["status"] == "paid"
    assert customer.post(body).json["status"] == "paid"
    assert len(customer.charges()) == 1


def test_two_tabs_with_two_cards_charge_once(service):
    customer = arrive(service)
    bodies = [{"confirmation_token": customer.token()} for _ in range(2)]
    service.sandbox.fault("stripe", "payment_intents.confirm", "delay", seconds=0.5)
    with ThreadPoolExecutor() as pool:
        answers = [answer.json for answer in pool.map(customer.post, bodies)]
    assert sorted(answer["status"] for answer in answers) == ["paid", "pending"]
    assert [charge["status"] for charge in customer.charges()] == ["succeeded"]


def test_a_paid_payment_is_not_charged_again(service):
    customer = arrive(service)
    customer.pay()
    assert customer.pay() == {"status": "paid", "redirect": f"{customer.page}/return"}
    assert len(customer.charges()) == 1


def test_a_cancelled_payment_is_not_charged(service):
    customer = arrive(service)
    service.post(f"/api/payments/{customer.id}/cancel")
    assert customer.pay()["status"] == "ended"
    assert customer.charges() == []


def test_a_payment_that_is_too_late_is_not_charged_even_before_anybody_has_ended_it(fast_postgres):
    with serving(fast_postgres, work=False) as idle:
        made = idle.create()
        idle.advance(3600)
        customer = Customer(idle, made)
        customer.open()
        idle.advance(23 * 3600)
        assert idle.payment(customer.id)["status"] == "created"
        assert customer.pay()["status"] == "ended"
        assert customer.charges() == []


def test_an_answer_that_was_lost_is_pending_and_never_a_second_charge(service):
    customer = arrive(service)
    service.sandbox.fault("stripe", "payment_intents.confirm", "error_5xx_after")
    first = customer.pay()
    assert first == {"status": "pending", "redirect": f"{customer.page}/return"}
    assert customer.pay()["status"] in {"pending", "paid"}
    service.until(customer.id, "captured", seconds=20)
    assert len(customer.charges()) == 1


class Flickering:
    """A database that is away for the second transaction."""

    def __init__(self, db: Any) -> None:
        self._db, self._number = db, 0

    def transaction(self) -> Any:
        self._number += 1
        if self._number == 2:
            raise DatabaseAwayError("The database does not answer.")
        return self._db.transaction()


def test_a_confirmation_that_broke_off_keeps_its_token_and_is_resumed(service):
    customer = arrive(service)
    body = {"confirmation_token": customer.token()}
    away = Confirming(replace(service.context, db=Flickering(service.context.db)), Looks(nobody_looks))
    family, _ = service.run(payments.of_link(service.context, customer.id))
    caller = Caller("customer", family.payment.merchant_id, family.payment.mode)
    with pytest.raises(DatabaseAwayError):
        service.run(away.carry_out(caller, family, Confirmation(**body), "/"))
    assert (customer.post(body).status, customer.charges()) == (409, [])
    service.advance(31)
    assert customer.post(body).json["status"] == "paid"
    assert len(customer.charges()) == 1


async def nobody_looks(_caller: Caller, _payment_id: str) -> Any:
    raise AssertionError("nobody looks here")


def test_a_gateway_that_refuses_is_told_as_a_try_that_may_be_repeated(service):
    customer = arrive(service)
    service.sandbox.fault("stripe", "payment_intents.confirm", "rate_limit", times=None)
    told = customer.pay()
    assert told == {
        "status": "declined",
        "message": "The payment service cannot be reached. Please try again.",
    }
    service.sandbox.control("DELETE", "faults")
    assert customer.pay()["status"] == "paid"


def test_a_token_that_stripe_does_not_know_charges_nothing(service):
    customer = arrive(service)
    answer = customer.post({"confirmation_token": "ctoken_unknown"})
    assert (answer.status, answer.json["status"]) == (200, "declined")
    assert customer.charges() == []


# Razorpay


def test_what_razorpays_window_signed_is_captured_and_may_be_sent_again(service):
    customer = arrive(service, 50_000, "INR")
    signed = service.pay_razorpay(order_of(service, customer))
    assert customer.post(signed).json["status"] in {
        "paid",
        "pending",
    }  # the worker may be capturing it just now
    service.until(customer.id, "captured")
    assert customer.post(signed).json["status"] == "paid"
    assert service.payment(customer.id)["amount_captured"] == 50_000


def test_a_signature_of_something_else_changes_nothing(service):
    customer, other = arrive(service, 50_000, "INR"), arrive(service, 100, "INR")
    signed = service.pay_razorpay(order_of(service, other))
    forged = {**signed, "razorpay_order_id": order_of(service, customer)}
    for body in (signed, forged, {**forged, "razorpay_signature": SIGNATURE}):
        answer = customer.post(body)
        assert (answer.status, answer.json["status"]) == (422, "refused")
    assert service.payment(customer.id)["status"] == "created"
    assert other.post(signed).json["status"] == "paid"


def test_a_wrong_signature_does_not_spoil_the_right_one(service):
    customer = arrive(service, 50_000, "INR")
    signed = service.pay_razorpay(order_of(service, customer))
    assert customer.post({**signed, "razorpay_signature": SIGNATURE}).status == 422
    assert customer.post(signed).json["status"] == "paid"


def test_a_token_of_one_gateway_is_not_charged_at_the_other(service):
    customer = arrive(service, 50_000, "INR")
    answer = customer.post({"confirmation_token": "ctoken_1"})
    assert answer.status == 422
    assert "reload" in answer.json["message"]


# What is sent


@pytest.mark.parametrize(
    "headers",
    [
        {"sec_fetch_site": "cross-site"},
        {"sec_fetch_site": "same-site"},
        {"sec_fetch_site": "none"},
        {"origin": "https://evil.example"},
        {"origin": "null"},
    ],
)
def test_another_sites_page_cannot_pay_with_the_customers_cookie(service, headers):
    customer = arrive(service)
    answer = customer.post({"confirmation_token": customer.token()}, **headers)
    assert (answer.status, answer.json["status"]) == (403, "refused")
    assert customer.charges() == []


def test_a_request_that_does_not_say_where_it_comes_from_is_refused(service):
    customer = arrive(service)
    body = {"confirmation_token": customer.token()}
    answer = call(service.url, "POST", f"{customer.page}/confirm", body, headers={"cookie": customer.cookie})
    assert answer.status == 403
    assert customer.charges() == []


def test_without_this_payments_cookie_nothing_is_charged(service):
    customer, other = arrive(service), arrive(service)
    token = customer.token()
    customer.cookie = other.cookie
    assert customer.post({"confirmation_token": token}).status == 403
    customer.cookie = ""
    assert customer.post({"confirmation_token": token}).status == 403
    assert customer.charges() == []


def hostile() -> dict[str, Any]:
    signed = {"razorpay_order_id": "order_1", "razorpay_payment_id": "pay_1", "razorpay_signature": SIGNATURE}
    return {
        "nothing": b"",
        "no json": b"confirmation_token=ctoken_1",
        "no utf-8": b'{"confirmation_token": "\xff"}',
        "not a number": b'{"confirmation_token": NaN}',
        "a name twice": b'{"confirmation_token": "ctoken_1", "confirmation_token": "ctoken_2"}',
        "too deep": b"[" * 2000 + b"]" * 2000,
        "a list": [{"confirmation_token": "ctoken_1"}],
        "an empty object": {},
        "null": {"confirmation_token": None},
        "a number": {"confirmation_token": 1},
        "an object": {"confirmation_token": {"id": "ctoken_1"}},
        "a NUL": {"confirmation_token": "ctoken_\u0000"},
        "a path": {"confirmation_token": "../../charges"},
        "too long": {"confirmation_token": "c" * 256},
        "a saved method": {"payment_method": "pm_card_visa"},
        "a saved method beside a token": {"confirmation_token": "ctoken_1", "payment_method": "pm_card_visa"},
        "an amount": {"confirmation_token": "ctoken_1", "amount": 1},
        "both gateways": {"confirmation_token": "ctoken_1", **signed},
        "two of three": {name: signed[name] for name in ("razorpay_order_id", "razorpay_payment_id")},
        "a signature in capitals": {**signed, "razorpay_signature": "A" * 64},
        "a card number": {"confirmation_token": "4242424242424242"},
        "what can be read but not looked through": b"[" * 600 + b"]" * 600,
    }


@pytest.mark.parametrize("what", list(hostile()))
def test_a_body_that_is_no_confirmation_is_refused_and_nothing_is_done(service, what):
    customer = arrive(service)
    answer = customer.post(hostile()[what])
    assert answer.status in {400, 422}
    assert answer.json["status"] == "refused"
    assert answer.json["message"].endswith("reload the page and try again.")
    assert "4242" not in answer.body.decode()
    assert service.rows("SELECT * FROM idempotency WHERE payment_id = $1", customer.id) == []
    assert service.payment(customer.id)["status"] == "created"


def test_a_body_that_is_too_large_is_refused(service):
    customer = arrive(service)
    answer = customer.post(json.dumps({"confirmation_token": "ctoken_1", "x": "x" * 5000}).encode())
    assert (answer.status, answer.json["status"]) == (413, "refused")


def test_a_form_of_another_page_cannot_be_a_confirmation(service):
    customer = arrive(service)
    body = json.dumps({"confirmation_token": customer.token()}).encode()
    for kind in ("text/plain", "application/x-www-form-urlencoded", "application/jsonp"):
        assert customer.post(body, content_type=kind).status == 400
    assert customer.post(body, content_type="application/json; charset=utf-8").json["status"] == "paid"
