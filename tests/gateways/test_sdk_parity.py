"""Our requests against those of the official SDKs: what each sends for the same call, to a server that keeps it."""

import asyncio
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from urllib.parse import parse_qsl

import pytest
import razorpay as razorpay_sdk
import requests
import stripe as stripe_sdk

from counterfoil.domain.money import Money
from counterfoil.gateways.base import Evidence, Method, Opening
from counterfoil.gateways.razorpay import gateway as razorpay
from counterfoil.gateways.stripe import gateway as stripe
from gateways.razorpay.entities import ORDER, PAYMENT, order, payment
from gateways.razorpay.entities import dispute as razorpay_dispute
from gateways.razorpay.entities import refund as razorpay_refund
from gateways.scripted import answers, client, scripted
from gateways.stripe.objects import ATTEMPT, INTENT, charge, dispute, intent, refund

stripe_sdk.enable_telemetry = False  # it would write to the home folder

SECRET = "sk_test_counterfoil_parity"
KEY_ID, KEY_SECRET = "rzp_test_counterfoil", "counterfoil_parity_secret"
KEY = "counterfoil-key-1"
RETURN_URL = "https://shop.example/return?order=A 1&x=1"
SINCE = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
HELD = charge(captured=False, amount_captured=0)
EVIDENCE = Evidence(
    summary="They have it.",
    texts={"product_description": "A lamp — ₹ & é", "receipt": "No. 1\nPaid"},
)
CONTESTED = Evidence(summary="They have it — ₹", amount=10000)


def opening(amount):
    return Opening(
        reference=ATTEMPT,
        payment_id="pmt_1",
        amount=amount,
        capture="manual",
        description="Order A1 — ₹ & é",
        metadata={"order": "A 1&b=c", "note": "₹ é"},
        hold_minutes=600,
    )


def pairs(sent):
    """Method, path, and every parameter, decoded and in no order."""
    query = parse_qsl(sent.target.partition("?")[2], keep_blank_values=True)
    form = "x-www-form-urlencoded" in sent.headers.get("content-type", "")
    body = parse_qsl(sent.body.decode(), keep_blank_values=True) if form else sent.body and sent.json
    return sent.method, sent.path, sorted(query), sorted(body) if form else body


@asynccontextmanager
async def recorded(answer):
    """A server that answers everything the same, and a session for an SDK."""
    async with scripted(answers(answer, Content_Type="application/json")) as server:
        with requests.Session() as session:
            yield server, session


async def both(server, ours, theirs):
    """What our call and the SDK's sent: one request each."""
    await ours
    await asyncio.to_thread(theirs)
    assert len(server.sent) == 2
    return server.sent


LISTED = {"object": "list", "url": "/v1/x", "has_more": False, "data": []}
METADATA = {
    "counterfoil_attempt": ATTEMPT,
    "counterfoil_payment": "pmt_1",
    "order": "A 1&b=c",
    "note": "₹ é",
}
STRIPE_CALLS = {
    "open": (
        intent(),
        lambda gateway: gateway.collect.open(opening(Money(10000, "USD")), key=KEY),
        lambda api, options: api.payment_intents.create(
            {
                "amount": 10000,
                "currency": "usd",
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "always"},
                "capture_method": "manual",
                "description": "Order A1 — ₹ & é",
                "metadata": METADATA,
            },
            options,
        ),
    ),
    "open for a customer whose saved methods may be charged": (
        intent(),
        lambda gateway: gateway.collect.open(
            replace(opening(Money(10000, "USD")), customer_ref="cus_1", redirects=False), key=KEY
        ),
        lambda api, options: api.payment_intents.create(
            {
                "amount": 10000,
                "currency": "usd",
                "automatic_payment_methods": {"enabled": True, "allow_redirects": "never"},
                "capture_method": "manual",
                "customer": "cus_1",
                "description": "Order A1 — ₹ & é",
                "metadata": METADATA,
            },
            options,
        ),
    ),
    "confirm with a saved method, the customer away": (
        intent(status="requires_capture", latest_charge=HELD),
        lambda gateway: gateway.confirm.confirm(
            INTENT, Method(payment_method="pm_1", off_session=True), key=KEY, return_url=RETURN_URL
        ),
        lambda api, options: api.payment_intents.confirm(
            INTENT,
            {
                "payment_method": "pm_1",
                "off_session": True,
                "return_url": RETURN_URL,
                "expand": ["latest_charge"],
            },
            options,
        ),
    ),
    "confirm with a token": (
        intent(status="requires_capture", latest_charge=HELD),
        lambda gateway: gateway.confirm.confirm(
            INTENT, Method(confirmation_token="ctoken_1"), key=KEY, return_url=RETURN_URL
        ),
        lambda api, options: api.payment_intents.confirm(
            INTENT,
            {"confirmation_token": "ctoken_1", "return_url": RETURN_URL, "expand": ["latest_charge"]},
            options,
        ),
    ),
    "capture": (
        intent(status="succeeded", amount_received=6000, latest_charge=charge(amount_captured=6000)),
        lambda gateway: gateway.collect.capture(INTENT, charge()["id"], Money(6000, "USD"), key=KEY),
        lambda api, options: api.payment_intents.capture(
            INTENT, {"amount_to_capture": 6000, "expand": ["latest_charge"]}, options
        ),
    ),
    "cancel": (
        intent(status="canceled"),
        lambda gateway: gateway.cancel.cancel(INTENT, key=KEY),
        lambda api, options: api.payment_intents.cancel(INTENT, {"expand": ["latest_charge"]}, options),
    ),
    "refund": (
        refund(amount=4000),
        lambda gateway: gateway.refunds.refund(
            charge()["id"],
            gateway.refunds.body(charge()["id"], Money(4000, "USD"), reference="cal_1", speed="normal"),
            key=KEY,
        ),
        lambda api, options: api.refunds.create(
            {"charge": charge()["id"], "amount": 4000, "metadata": {"counterfoil_refund": "cal_1"}}, options
        ),
    ),
    "look up a refund": (
        refund(),
        lambda gateway: gateway.refunds.look_up_refund(refund()["id"]),
        lambda api, _: api.refunds.retrieve(refund()["id"]),
    ),
    "submit evidence": (
        dispute(),
        lambda gateway: gateway.disputes.submit(dispute()["id"], EVIDENCE, key=KEY),
        lambda api, options: api.disputes.update(
            dispute()["id"],
            {
                "evidence": {
                    "product_description": "A lamp — ₹ & é",
                    "uncategorized_text": "They have it.\n\nReceipt\nNo. 1\nPaid",
                },
                "submit": True,
            },
            options,
        ),
    ),
    "draft evidence": (
        dispute(),
        lambda gateway: gateway.disputes.draft(dispute()["id"], Evidence(summary="They have it.")),
        lambda api, options: api.disputes.update(
            dispute()["id"],
            {"evidence": {"uncategorized_text": "They have it."}, "submit": False},
            options,
        ),
    ),
    "accept a dispute": (
        dispute(status="lost"),
        lambda gateway: gateway.disputes.accept(dispute()["id"], key=KEY),
        lambda api, options: api.disputes.close(dispute()["id"], {}, options),
    ),
    "look up a dispute": (
        dispute(),
        lambda gateway: gateway.disputes.look_up_dispute(dispute()["id"]),
        lambda api, _: api.disputes.retrieve(dispute()["id"]),
    ),
    "find a refund": (
        LISTED,
        lambda gateway: gateway.refunds.find_refund(charge()["id"], reference="cal_1"),
        lambda api, _: api.refunds.list({"charge": charge()["id"], "limit": 100}),
    ),
    "look up": (
        intent(),
        lambda gateway: gateway.collect.look_up(INTENT),
        lambda api, _: api.payment_intents.retrieve(
            INTENT, {"expand": ["latest_charge.balance_transaction"]}
        ),
    ),
    "find": (
        LISTED,
        lambda gateway: gateway.collect.find(opening(Money(10000, "USD")), since=SINCE),
        lambda api, _: api.payment_intents.list(
            {
                "created": {
                    "gte": int(SINCE.timestamp()) - 300,
                    "lte": int(SINCE.timestamp()) + 3600,
                },
                "limit": 100,
            }
        ),
    ),
}


@pytest.mark.parametrize("name", STRIPE_CALLS)
async def test_stripe_is_sent_what_its_own_sdk_sends(name):
    answer, ours, theirs = STRIPE_CALLS[name]
    async with recorded(answer) as (server, session), client() as http:
        gateway = stripe.connect(
            http,
            account_id="gwa_1",
            mode="sandbox",
            base_url=server.url,
            secret_key=SECRET,
            publishable_key="pk_test_counterfoil",
        )
        sdk = stripe_sdk.StripeClient(
            SECRET,
            base_addresses={"api": server.url},
            http_client=stripe_sdk.RequestsClient(session=session, timeout=5),
        )
        mine, official = await both(server, ours(gateway), lambda: theirs(sdk.v1, {"idempotency_key": KEY}))
    assert pairs(mine) == pairs(official)
    for header in ("authorization", "stripe-version"):
        assert mine.headers[header] == official.headers[header]
    if mine.method == "POST" and name != "draft evidence":  # a draft may be written over again and again
        assert mine.headers["idempotency-key"] == official.headers["idempotency-key"] == KEY


RAZORPAY_CALLS = {
    "open": (
        order(),
        lambda gateway: gateway.collect.open(opening(Money(50000, "INR")), key=KEY),
        lambda api: api.order.create(
            {
                "amount": 50000,
                "currency": "INR",
                "receipt": ATTEMPT,
                "notes": METADATA,
                "payment": {
                    "capture": "manual",
                    "capture_options": {"manual_expiry_period": 600, "refund_speed": "normal"},
                },
            }
        ),
    ),
    "capture": (
        payment(),
        lambda gateway: gateway.collect.capture(ORDER, PAYMENT, Money(50000, "INR"), key=KEY),
        lambda api: api.payment.capture(PAYMENT, 50000, {"currency": "INR"}),
    ),
    "refund": (
        razorpay_refund(),
        lambda gateway: gateway.refunds.refund(
            PAYMENT,
            gateway.refunds.body(PAYMENT, Money(20000, "INR"), reference="cal_1", speed="normal"),
            key=KEY,
        ),
        lambda api: api.payment.refund(
            PAYMENT,
            {
                "amount": 20000,
                "speed": "normal",
                "receipt": "cal_1",
                "notes": {"counterfoil_refund": "cal_1"},
            },
            headers={"Content-Type": "application/json", "X-Refund-Idempotency": KEY},
        ),
    ),
    "refund at once": (
        razorpay_refund(),
        lambda gateway: gateway.refunds.refund(
            PAYMENT,
            gateway.refunds.body(PAYMENT, Money(20000, "INR"), reference="cal_1", speed="optimum"),
            key=KEY,
        ),
        lambda api: api.payment.refund(
            PAYMENT,
            {
                "amount": 20000,
                "speed": "optimum",
                "receipt": "cal_1",
                "notes": {"counterfoil_refund": "cal_1"},
            },
            headers={"Content-Type": "application/json", "X-Refund-Idempotency": KEY},
        ),
    ),
    "look up a refund": (
        razorpay_refund(),
        lambda gateway: gateway.refunds.look_up_refund(razorpay_refund()["id"]),
        lambda api: api.refund.fetch(razorpay_refund()["id"]),
    ),
    "draft evidence": (
        razorpay_dispute(),
        lambda gateway: gateway.disputes.draft(razorpay_dispute()["id"], CONTESTED),
        lambda api: api.dispute.contest(
            razorpay_dispute()["id"],
            {"amount": 10000, "summary": "They have it — ₹", "action": "draft"},
        ),
    ),
    "submit evidence": (
        razorpay_dispute(),
        lambda gateway: gateway.disputes.submit(razorpay_dispute()["id"], CONTESTED, key=KEY),
        lambda api: api.dispute.contest(
            razorpay_dispute()["id"],
            {"amount": 10000, "summary": "They have it — ₹", "action": "submit"},
        ),
    ),
    "accept a dispute": (
        razorpay_dispute(status="lost"),
        lambda gateway: gateway.disputes.accept(razorpay_dispute()["id"], key=KEY),
        lambda api: api.dispute.accept(razorpay_dispute()["id"]),
    ),
    "look up a dispute": (
        razorpay_dispute(),
        lambda gateway: gateway.disputes.look_up_dispute(razorpay_dispute()["id"]),
        lambda api: api.dispute.fetch(razorpay_dispute()["id"]),
    ),
    "find a refund": (
        {"entity": "collection", "count": 0, "items": []},
        lambda gateway: gateway.refunds.find_refund(PAYMENT, reference="cal_1"),
        lambda api: api.payment.fetch_multiple_refund(PAYMENT, {"count": 100}),
    ),
    "find": (
        {"entity": "collection", "count": 0, "items": []},
        lambda gateway: gateway.collect.find(opening(Money(50000, "INR")), since=SINCE),
        lambda api: api.order.all({"receipt": ATTEMPT}),
    ),
}


@asynccontextmanager
async def razorpays(answer):
    async with recorded(answer) as (server, session), client() as http:
        gateway = razorpay.connect(
            http,
            account_id="gwa_1",
            mode="sandbox",
            base_url=server.url,
            key_id=KEY_ID,
            key_secret=KEY_SECRET,
        )
        sdk = razorpay_sdk.Client(session=session, auth=(KEY_ID, KEY_SECRET), base_url=server.url)
        yield server, gateway, sdk


@pytest.mark.parametrize("name", RAZORPAY_CALLS)
async def test_razorpay_is_sent_what_its_own_sdk_sends(name):
    answer, ours, theirs = RAZORPAY_CALLS[name]
    async with razorpays(answer) as (server, gateway, sdk):
        mine, official = await both(server, ours(gateway), lambda: theirs(sdk))
    assert pairs(mine) == pairs(official)
    for header in ("authorization", "x-refund-idempotency"):
        assert mine.headers.get(header) == official.headers.get(header)


async def test_razorpay_is_read_where_its_own_sdk_reads():
    async with razorpays(order()) as (server, gateway, sdk):
        await gateway.collect.look_up(ORDER)  # the second answer is no list: the outcome does not matter here
        await asyncio.to_thread(sdk.order.fetch, ORDER)
        await asyncio.to_thread(sdk.order.payments, ORDER)
    mine, official = server.sent[:2], server.sent[2:]
    assert [pairs(sent) for sent in mine] == [pairs(sent) for sent in official]
