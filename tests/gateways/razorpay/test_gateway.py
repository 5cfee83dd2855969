import json
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from counterfoil.domain.call import Repeat, Verb
from counterfoil.domain.fact import Kind
from counterfoil.domain.money import Money
from counterfoil.gateways.base import Accepted, Opening, Refused, Unknown
from counterfoil.gateways.razorpay import gateway as module
from counterfoil.gateways.razorpay import speak
from gateways.razorpay.entities import ATTEMPT, ORDER, PAYMENT, order, payment
from gateways.scripted import answers, client, scripted

SINCE = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OPENING = Opening(reference=ATTEMPT, payment_id="pmt_1", amount=Money(50000, "INR"), capture="automatic")


@asynccontextmanager
async def razorpay(*acts):
    async with scripted(*acts) as server, client() as http:
        yield server, connected(http, server.url)


def connected(http, url=module.BASE_URL):
    return module.connect(
        http,
        account_id="gwa_1",
        mode="sandbox",
        base_url=url,
        key_id="rzp_test_counterfoil",
        key_secret="counterfoil_secret_1",
    )


def collection(*items):
    return answers({"entity": "collection", "count": len(items), "items": list(items)})


async def test_the_gateway_has_the_parts_that_razorpay_has():
    async with client() as http:
        gateway = connected(http)
    assert (gateway.name, gateway.account_id, gateway.mode) == ("razorpay", "gwa_1", "sandbox")
    assert gateway.collect is gateway.vouch
    assert gateway.refunds.key_life == timedelta(hours=23)
    assert (gateway.speak, gateway.confirm, gateway.cancel) == (speak, None, None)
    assert gateway.public_key == "rzp_test_counterfoil"
    assert gateway.collect.repeat == {
        Verb.OPEN: Repeat.HARMLESS,
        Verb.CAPTURE: Repeat.SINGLE_SHOT,
        Verb.REFUND: Repeat.KEYED,
        Verb.SUBMIT_EVIDENCE: Repeat.SINGLE_SHOT,
        Verb.ACCEPT_DISPUTE: Repeat.SINGLE_SHOT,
    }
    assert "counterfoil_secret" not in repr(gateway)


@pytest.mark.parametrize("capture", ["automatic", "manual"])
@pytest.mark.parametrize(("hold", "minutes"), [(720, 720), (7200, 7200), (100_000, 7200)])
async def test_an_order_is_always_for_manual_capture_with_a_time_of_its_own(capture, hold, minutes):
    opening = replace(OPENING, capture=capture, hold_minutes=hold)
    async with razorpay(answers(order())) as (server, gateway):
        await gateway.collect.open(opening, key="k")
    assert server.sent[0].json["payment"] == {
        "capture": "manual",
        "capture_options": {"manual_expiry_period": minutes, "refund_speed": "normal"},
    }
    assert server.sent[0].json["receipt"] == ATTEMPT


async def test_the_amount_is_written_as_an_integer():
    async with razorpay(answers(order())) as (server, gateway):
        await gateway.collect.open(OPENING, key="k")
        await gateway.collect.capture(ORDER, PAYMENT, Money(50000, "INR"), key="k")
    for sent in server.sent:
        assert (sent.json["amount"], sent.json["currency"]) == (50000, "INR")
        assert type(json.loads(sent.body)["amount"]) is int


@pytest.mark.parametrize(
    "other",
    [{"amount": 49999}, {"currency": "USD"}, {"receipt": "att_another"}, {"receipt": None}, {"id": "a/b"}],
)
async def test_an_order_for_something_else_than_was_asked_is_unknown(other):
    async with razorpay(answers(order(**other))) as (_, gateway):
        outcome = await gateway.collect.open(OPENING, key="k")
    assert (type(outcome), outcome.status) == (Unknown, 200)


@pytest.mark.parametrize(
    "other",
    [
        {"id": "pay_another"},
        {"order_id": "order_another"},
        {"order_id": None},
        {"amount": 1},
        {"currency": "USD"},
    ],
)
async def test_an_answer_about_another_payment_is_unknown(other):
    async with razorpay(answers(payment(**other))) as (_, gateway):
        outcome = await gateway.collect.capture(ORDER, PAYMENT, Money(50000, "INR"), key="k")
    assert (type(outcome), outcome.status) == (Unknown, 200)


async def test_a_look_up_tells_of_the_order_and_of_every_payment():
    failed = payment(id="pay_1", status="failed", captured=False)
    async with razorpay(answers(order(status="paid")), collection(payment(), failed)) as (server, gateway):
        outcome = await gateway.collect.look_up(ORDER)
    assert [(report.kind, report.object_id) for report in outcome.reports] == [
        (Kind.ATTEMPT_OPENED, ORDER),
        (Kind.CHARGE_CAPTURED, PAYMENT),
        (Kind.CHARGE_FAILED, "pay_1"),
        (Kind.ATTEMPT_DECLINED, "pay_1"),
    ]
    assert [sent.target for sent in server.sent] == [f"/v1/orders/{ORDER}", f"/v1/orders/{ORDER}/payments"]


@pytest.mark.parametrize(
    ("acts", "kind"),
    [
        ((answers({}, status=400),), Refused),
        ((answers(order(id="order_another")),), Unknown),
        ((answers(order()), answers({}, status=500)), Unknown),
        ((answers(order()), collection(payment(order_id="order_another"))), Unknown),
        ((answers(order()), collection(payment(currency="ZZZ"))), Unknown),
    ],
    ids=["no order", "another order", "no payments", "payments of another", "a currency that is none"],
)
async def test_a_look_up_that_saw_only_a_part_is_no_look_up(acts, kind):
    async with razorpay(*acts) as (_, gateway):
        assert isinstance(await gateway.collect.look_up(ORDER), kind)


async def test_the_newest_order_of_a_receipt_is_found_and_no_other_receipts():
    listed = collection(order(id="order_x", receipt="att_another"), order(id="order_2"), order(id="order_1"))
    async with razorpay(listed) as (server, gateway):
        found = await gateway.collect.find(OPENING, since=SINCE)
    assert (type(found), found.ref) == (Accepted, "order_2")
    assert server.sent[0].query == {"receipt": ATTEMPT}


@pytest.mark.parametrize("listed", [collection(), collection(order(receipt="att_another"))])
async def test_an_order_that_is_not_listed_is_not_found(listed):
    async with razorpay(listed) as (_, gateway):
        found = await gateway.collect.find(OPENING, since=SINCE)
    assert (type(found), found.ref, found.reports) == (Accepted, None, ())


async def test_a_found_order_for_another_amount_is_unknown():
    async with razorpay(collection(order(amount=1))) as (_, gateway):
        assert isinstance(await gateway.collect.find(OPENING, since=SINCE), Unknown)
