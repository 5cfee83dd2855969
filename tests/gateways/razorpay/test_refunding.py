from contextlib import asynccontextmanager

import pytest

from counterfoil.domain.errors import AmountNotValidError
from counterfoil.domain.fact import Kind
from counterfoil.domain.failure import FailureCode
from counterfoil.domain.money import Money
from counterfoil.gateways.base import KEY_CONFLICT, Accepted, Refused, Unknown
from gateways.razorpay.entities import PAYMENT, refund
from gateways.razorpay.test_gateway import collection, connected
from gateways.scripted import answers, client, resets, scripted

REFUND = refund()["id"]
OURS = "rfn_01kasvzxm8h3e5g7j9n1q3s5t7"


@asynccontextmanager
async def razorpay(*acts):
    async with scripted(*acts) as server, client() as http:
        yield server, connected(http, server.url).refunds


def body(refunds, speed="normal"):
    return refunds.body(PAYMENT, Money(20000, "INR"), reference=OURS, speed=speed)


def says(description, status=400):
    return answers({"error": {"code": "BAD_REQUEST_ERROR", "description": description}}, status=status)


@pytest.mark.parametrize("speed", ["normal", "optimum"])
async def test_a_refund_is_asked_for_with_the_bytes_that_were_frozen_at_its_speed(speed):
    async with razorpay(answers(refund())) as (server, refunds):
        frozen = body(refunds, speed)
        assert frozen == body(refunds, speed)
        outcome = await refunds.refund(PAYMENT, frozen, key=OURS)
    (sent,) = server.sent
    assert sent.body == frozen
    assert (sent.path, sent.headers["x-refund-idempotency"]) == (f"/v1/payments/{PAYMENT}/refund", OURS)
    assert sent.json == {
        "amount": 20000,
        "speed": speed,
        "receipt": OURS,
        "notes": {"counterfoil_refund": OURS},
    }
    assert (outcome.ref, [report.kind for report in outcome.reports]) == (REFUND, [Kind.REFUND_SUCCEEDED])


async def test_a_lost_answer_is_asked_for_once_more_with_the_same_bytes_and_key():
    async with razorpay(resets, answers(refund())) as (server, refunds):
        outcome = await refunds.refund(PAYMENT, body(refunds), key=OURS)
    assert isinstance(outcome, Accepted)
    first, second = server.sent
    assert first.body == second.body
    assert first.headers["x-refund-idempotency"] == second.headers["x-refund-idempotency"] == OURS


async def test_an_amount_that_razorpay_cannot_write_has_no_body():
    async with razorpay(answers(refund())) as (_, refunds):
        with pytest.raises(AmountNotValidError):
            refunds.body(PAYMENT, Money(12345, "KWD"), reference=OURS, speed="normal")


@pytest.mark.parametrize("other", [{"payment_id": "pay_another"}, {"amount": 19999}, {"status": "odd"}])
async def test_a_refund_of_something_else_than_was_asked_is_unknown(other):
    async with razorpay(answers(refund(**other))) as (_, refunds):
        outcome = await refunds.refund(PAYMENT, body(refunds), key=OURS)
    assert (type(outcome), outcome.status) == (Unknown, 200)


async def test_a_key_that_is_still_at_work_is_unknown():
    busy = says("Another request with the same idempotency key is still in progress.", 409)
    async with razorpay(busy) as (_, refunds):
        assert isinstance(await refunds.refund(PAYMENT, body(refunds), key=OURS), Unknown)


async def test_a_key_that_was_used_with_another_body_is_refused_by_a_name_of_its_own():
    used = says("Different request with the same idempotency key has already been processed.", 409)
    async with razorpay(used) as (_, refunds):
        outcome = await refunds.refund(PAYMENT, body(refunds), key=OURS)
    assert (type(outcome), outcome.gateway_code, outcome.already) == (Refused, KEY_CONFLICT, False)


async def test_a_refusal_says_why():
    short = says("Your account does not have enough balance to carry out the refund operation.")
    async with razorpay(short, says("The payment has been fully refunded already")) as (_, refunds):
        first = await refunds.refund(PAYMENT, body(refunds), key=OURS)
        second = await refunds.refund(PAYMENT, body(refunds), key=OURS)
    assert (first.code, first.already) == (FailureCode.REFUND_BALANCE_SHORT, False)
    assert (second.code, second.already) == (FailureCode.ALREADY_REFUNDED, True)


async def test_a_refund_whose_id_razorpay_knows_may_have_been_made_before():
    known = {
        "code": "BAD_REQUEST_ERROR",
        "reason": "duplicate_refund_id",
        "description": "Duplicate refund id.",
    }
    async with razorpay(answers({"error": known}, status=400)) as (_, refunds):
        outcome = await refunds.refund(PAYMENT, body(refunds), key=OURS)
    assert (outcome.code, outcome.already) == (FailureCode.DUPLICATE, True)


async def test_a_refund_is_found_by_our_id():
    mine = refund(notes={"counterfoil_refund": OURS})
    async with razorpay(collection(refund(id="rfnd_other", notes={"why": "x"}), mine)) as (server, refunds):
        found = await refunds.find_refund(PAYMENT, reference=OURS)
    assert (found.ref, found.reports[0].detail["refund"]) == (REFUND, OURS)
    assert server.sent[0].target == f"/v1/payments/{PAYMENT}/refunds?count=100"


async def test_a_refund_that_is_not_listed_is_not_found():
    async with razorpay(collection(refund())) as (_, refunds):
        found = await refunds.find_refund(PAYMENT, reference=OURS)
    assert (type(found), found.ref, found.reports) == (Accepted, None, ())


async def test_the_banks_reference_is_read_by_the_refunds_id_once_it_is_there():
    async with razorpay(answers(refund(acquirer_data={"arn": "7433"}))) as (server, refunds):
        outcome = await refunds.look_up_refund(REFUND)
    assert server.sent[0].path == f"/v1/refunds/{REFUND}"
    (report,) = outcome.reports
    assert (report.charge_ref, report.detail["arn"]) == (PAYMENT, "7433")


async def test_an_answer_about_another_refund_is_unknown():
    async with razorpay(answers(refund(id="rfnd_another"))) as (_, refunds):
        assert isinstance(await refunds.look_up_refund(REFUND), Unknown)
