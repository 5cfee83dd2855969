"""What the pages show of a payment, from its first sight to its end."""

from dataclasses import replace
from typing import Any

import pytest
from starlette.requests import Request

from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.web import assets
from counterfoil.web.checkout.routes import Checkout
from customer import (
    CHALLENGED_CARD,
    DECLINED_CARD,
    LOST_CARD,
    Customer,
    Page,
    arrive,
    path_of,
    policy_of,
    text_of,
)
from service import Service

LINES = [
    {"name": "A chair", "quantity": 3, "amount": 1_999},
    {"name": "Delivery", "amount": 500},
]


def settings_of(customer: Customer) -> str:
    form = next(form for form in Page(customer.get()).all("form") if form.get("id") == "pay")
    return form["data-settings"] or ""


# The page


def test_the_page_says_who_is_paid_how_much_and_for_what(service):
    customer = arrive(service, 6_497, description="Two of three", reference="order 7", line_items=LINES)
    text = text_of(customer.get())
    assert "Your shop" in text
    assert "$64.97 USD" in text
    assert "Two of three" in text
    assert "A chair 3 × $19.99 $59.97" in text
    assert "Delivery $5.00" in text
    assert "Reference order 7" in text
    assert "Test mode" in text


def test_an_amount_in_rupees_is_grouped_in_lakhs(service):
    assert "₹1,23,456.78" in text_of(arrive(service, 12_345_678, "INR").get())


def test_stripes_fields_get_the_amount_in_stripes_own_units(service):
    assert '"amount": 50000, ' in settings_of(arrive(service, 500, "ISK"))


def test_no_client_secret_and_no_intent_is_shown_before_the_server_has_decided(service):
    customer = arrive(service)
    body = customer.get().body.decode()
    assert "secret" not in body.replace("the secure", "")
    assert customer.intent()["id"] not in body


def test_text_of_the_merchants_making_stays_text(service):
    nasty = """"'><script>alert(1)</script><img src=x onerror=alert(2)>{{7*7}}</form>"""
    lines = [{"name": nasty, "amount": 100}]
    named = {"name": nasty[:100], "email": "o'brien&co@shop.example"}
    customer = arrive(
        service,
        description=nasty,
        reference=nasty[:100],
        line_items=lines,
        customer=named,
        return_url="https://shop.example/?a='\"><script>alert(3)</script>",
    )
    answer = customer.get()
    page = Page(answer)
    assert page.text.count(nasty) == 3  # description, line and reference
    assert [one for one in page.elements if one[0] == "img"] == []
    assert page.scripts_text.strip() == ""
    assert all(script["src"] for script in page.all("script"))
    assert not any(name.startswith("on") for _, attributes in page.elements for name in attributes)
    assert "49" not in page.text


def test_every_script_is_one_we_know_and_carries_this_answers_nonce(service):
    customer = arrive(service)
    answers = [customer.get(), customer.get()]
    nonces = {policy_of(answer)["script-src"][0] for answer in answers}
    assert len(nonces) == 2
    for answer in answers:
        ours = {f"{assets.find(f'checkout/{name}.js').path}" for name in ("page", "stripe")}
        scripts = Page(answer).all("script")
        assert {script["src"] for script in scripts} == ours | {f"{service.sandbox.stripe}/js"}
        nonce = policy_of(answer)["script-src"][0].removeprefix("'nonce-").removesuffix("'")
        assert {script["nonce"] for script in scripts} == {nonce}


@pytest.mark.parametrize("currency", ["USD", "INR"])
def test_every_file_of_ours_is_named_with_its_digest(service, currency):
    page = Page(arrive(service, 50_000, currency).get())
    files = [
        one
        for one in page.all("script") + page.all("link")
        if "/static/" in (one.get("src") or one.get("href"))
    ]
    assert len(files) == 4
    for one in files:
        asset = assets.find((one.get("src") or one["href"]).partition("?")[0].removeprefix("/static/"))
        assert one.get("integrity", asset.integrity) == asset.integrity
    assert all("integrity" in one for one in page.all("link") if one["rel"] == "stylesheet")


def test_every_page_carries_its_policy(service):
    customer = arrive(service)
    pages = [
        customer.get(),
        customer.get(f"{customer.page}/return"),
        customer.get(f"{customer.page}?token=no"),
    ]
    for answer in pages:
        policy = policy_of(answer)
        assert policy["default-src"] == policy["frame-ancestors"] == policy["base-uri"] == ["'none'"]
        assert answer.headers["referrer-policy"] == "no-referrer"
        assert answer.headers["cache-control"] == "no-store"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert service.sandbox.url in policy_of(pages[0])["script-src"]
    assert service.sandbox.url not in str(policy_of(pages[1]))


def test_without_javascript_the_page_says_what_is_missing(service):
    assert "This page needs JavaScript" in text_of(arrive(service).get())


def test_after_a_decline_the_page_says_what_the_customer_may_know(service):
    customer = arrive(service)
    customer.pay(LOST_CARD)
    text = text_of(customer.get())
    assert "The bank declined the payment. Please use another card or method." in text
    assert "lost" not in text.lower()


@pytest.mark.parametrize(
    ("asked", "shown"),
    [
        ("https://shop.example/done", "https://shop.example/done?"),
        ("https://shop.example/done?a=b%20c&d", "https://shop.example/done?a=b%20c&d&"),
        ("http://shop.example?x=1#part", "http://shop.example?x=1&"),
        ("https://[broken/#a#b?c", "https://[broken/?"),
    ],
)
def test_the_way_back_tells_the_shop_which_payment_it_was_and_keeps_what_was_there(service, asked, shown):
    customer = arrive(service, return_url=asked)
    [back] = [link for link in Page(customer.get()).links() if link.startswith("http")]
    told, _, fragment = back.removeprefix(shown).partition("#")
    assert back.startswith(shown)
    assert told == f"payment={customer.id}&status=created"
    assert fragment == asked.partition("#")[2]


def test_under_a_path_all_addresses_carry_it(service):
    below = replace(service.context, public_url="https://shop.example/pay-here")
    customer = arrive(service)
    answer = service.run(get(below, customer, customer.page))
    body = answer.body.decode()
    assert f'/pay-here/pay/{customer.id}/confirm"' in body
    assert 'href="/pay-here/static/checkout/page.css' in body
    gone = service.run(get(below, customer, f"{customer.page}?token={customer.link.partition('=')[2]}"))
    assert gone.headers["location"] == f"/pay-here/pay/{customer.id}"
    assert f"Path=/pay-here/pay/{customer.id};" in gone.headers["set-cookie"]


async def get(context: Any, customer: Customer, path: str) -> Any:
    """The page as a service with this context would answer it."""
    bare, _, query = path.partition("?")
    route = next(r for r in Checkout(context).routes() if r.path_regex.fullmatch(bare))
    scope = {
        "type": "http",
        "method": "GET",
        "path": bare,
        "query_string": query.encode(),
        "headers": [(b"cookie", customer.cookie.encode())],
        "path_params": {"payment_id": customer.id},
    }
    return await route.endpoint(Request(scope))


# How it went


def test_the_result_is_asked_of_the_gateway_and_not_read_from_the_address(service):
    customer = arrive(service)
    lies = "payment_intent=pi_1&payment_intent_client_secret=pi_1_secret_x&redirect_status=succeeded"
    answer = customer.get(f"{customer.page}/return?{lies}")
    assert answer.status == 303
    assert path_of(answer) == f"{customer.page}/return"
    assert "Not paid yet" in customer.result()


def test_a_paid_payment_shows_its_proof_and_cannot_be_paid_again(service):
    customer = arrive(service, reference="order 8", return_url="https://shop.example/done")
    customer.pay()
    answer = customer.get()
    assert (answer.status, path_of(answer)) == (303, f"{customer.page}/return")
    text = customer.result()
    assert "Payment received" in text
    assert "Paid with Visa ending in 4242" in text
    assert "Reference order 8" in text
    assert customer.id in text
    page = Page(customer.get(f"{customer.page}/return"))
    assert page.links() == [f"https://shop.example/done?payment={customer.id}&status=captured"]
    assert page.all("main")[0]["data-forward"] == page.links()[0]


def test_a_refund_shows_on_the_result(service):
    customer = arrive(service)
    customer.pay()
    refund(service, customer, 2_500)
    service.eventually(lambda: "Refunded $25.00" in customer.result())


def refund(service: Service, customer: Customer, amount: int) -> None:
    """The merchant refunds at Stripe's own dashboard."""
    from sandbox_stripe import Merchant

    Merchant(service.sandbox).v1.refunds.create({"payment_intent": customer.intent()["id"], "amount": amount})


def test_paid_by_upi_the_proof_does_not_name_the_payer(service):
    customer = arrive(service, 50_000, "INR")
    order = service.payment(customer.id)["checkout"]["razorpay"]["order_id"]
    customer.post(service.pay_razorpay(order))
    assert "Paid with UPI, su***@razorpay" in customer.result()


def test_a_customer_who_closed_the_window_after_paying_learns_it_on_the_result_page(service):
    service.sandbox.webhooks(hold=True)
    try:
        customer = arrive(service, 50_000, "INR")
        order = service.payment(customer.id)["checkout"]["razorpay"]["order_id"]
        service.pay_razorpay(order)
        assert service.payment(customer.id)["status"] == "created"
        assert "Payment received" in customer.result()
    finally:
        service.sandbox.webhooks(hold=False)


def test_a_declined_payment_offers_another_try(service):
    customer = arrive(service)
    customer.pay(DECLINED_CARD)
    text = customer.result()
    assert "Payment not completed The bank declined the payment." in text
    assert customer.page in Page(customer.get(f"{customer.page}/return")).links()


def test_what_is_said_is_of_the_last_try_and_not_of_an_earlier_one(service):
    customer = arrive(service)
    for _ in range(2):
        customer.pay(CHALLENGED_CARD)
        service.authenticate(customer.intent()["id"], "fail")
        assert "could not confirm that it was you" in customer.result()
        customer.pay("4000000000009995")
        assert "There are not enough funds" in customer.result()


def test_a_customer_who_left_the_banks_page_may_try_again(service):
    customer = arrive(service)
    customer.pay(CHALLENGED_CARD)
    assert "Payment not confirmed" in customer.result()
    assert "Your bank has not heard from you" in text_of(customer.get())
    assert customer.pay()["status"] == "paid"


def test_while_the_bank_takes_its_time_nobody_is_asked_to_pay_again(service):
    customer = arrive(service, 50_000, "INR")
    order = service.payment(customer.id)["checkout"]["razorpay"]["order_id"]
    pending = service.pay_razorpay(order, vpa="pending@razorpay")
    text = customer.result()
    assert "Your bank is working on it" in text
    assert "do not need to pay again" in text
    service.sandbox.control("POST", "razorpay/late_authorize", {"payment_id": pending["razorpay_payment_id"]})
    service.until(customer.id, "captured")
    assert "Payment received" in customer.result()


def test_while_an_outcome_is_unknown_nobody_is_asked_to_pay_again(service):
    customer = arrive(service)
    service.sandbox.fault("stripe", "webhooks", "drop", times=None)
    service.sandbox.fault("stripe", "payment_intents.confirm", "error_5xx_after")
    service.sandbox.fault("stripe", "payment_intents.retrieve", "error_5xx_before", times=None)
    assert customer.pay()["status"] == "pending"
    assert "We are checking your payment" in customer.result()
    answer = customer.get()
    assert (answer.status, path_of(answer)) == (303, f"{customer.page}/return")
    service.sandbox.control("DELETE", "faults")
    service.eventually(lambda: "Payment received" in customer.result(), seconds=5)
    assert len(customer.charges()) == 1


def test_a_payment_for_later_capture_is_approved_and_not_called_paid(service):
    customer = arrive(service, capture="manual")
    customer.pay()
    text = customer.result()
    assert "Payment approved" in text
    assert "Payment received" not in text


def test_a_cancelled_payment_says_so(service):
    customer = arrive(service)
    assert service.post(f"/api/payments/{customer.id}/cancel").status == 200
    assert path_of(customer.get()) == f"{customer.page}/return"
    assert "Payment cancelled" in customer.result()


def test_a_payment_that_is_too_late_says_so(service):
    customer = Customer(service, service.create())
    service.advance(3600)
    customer.open()
    service.advance(23 * 3600)
    assert path_of(customer.get()) == f"{customer.page}/return"
    text = customer.result()
    assert "Payment expired" in text
    assert "new link" in text


def test_the_scripts_learn_the_status_and_nothing_else(service):
    customer = arrive(service, description="A secret present")
    status = customer.get(f"{customer.page}/status")
    assert status.json == {"status": "created", "version": service.payment(customer.id)["version"]}
    assert status.headers["cache-control"] == "no-store"


def test_when_the_database_is_away_the_page_says_what_to_do(service):
    class Away:
        def reading(self) -> Any:
            raise DatabaseAwayError("The database does not answer.")

    customer = arrive(service)
    away = replace(service.context, db=Away())
    for path in (customer.page, f"{customer.page}/return"):
        answer = service.run(get(away, customer, path))
        assert answer.status_code == 503
        assert answer.headers["retry-after"] == "2"
        assert "reload the page" in answer.body.decode()
    assert service.run(get(away, customer, f"{customer.page}/status")).status_code == 503


def test_a_decline_that_a_webhook_brings_is_shown_however_soon_the_page_is_reloaded(service):
    customer = arrive(service, 50_000, "INR")
    assert customer.get().status == 200
    order = service.payment(customer.id)["checkout"]["razorpay"]["order_id"]
    service.pay_razorpay(order, vpa="failure@razorpay")
    service.until(customer.id, "pending")
    again = customer.get()
    assert again.status == 200, again.headers
    assert service.payment(customer.id)["failure"]["customer_message"] in text_of(again)
