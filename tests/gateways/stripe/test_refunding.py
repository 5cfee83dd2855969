from contextlib import asynccontextmanager

import pytest

from counterfoil.domain.errors import AmountNotValidError
from counterfoil.domain.fact import Kind
from counterfoil.domain.failure import FailureCode
from counterfoil.domain.money import Money
from counterfoil.gateways.base import KEY_CONFLICT, Accepted, Refused, Unknown
from gateways.scripted import answers, client, resets, scripted
from gateways.stripe.objects import CHARGE, refund
from gateways.stripe.test_gateway import connected, page

REFUND = refund()["id"]
OURS = "rfn_01kasvzxm8h3e5g7j9n1q3s5t7"


@asynccontextmanager
async def stripe(*acts):
    async with scripted(*acts) as server, client() as http:
        yield server, connected(http, server.url).refunds


def body(refunds, minor=2500, speed="normal"):
    return refunds.body(CHARGE, Money(minor, "USD"), reference=OURS, speed=speed)


async def test_a_refund_is_asked_for_with_the_bytes_that_were_frozen():
    async with stripe(answers(refund())) as (server, refunds):
        frozen = body(refunds)
        outcome = await refunds.refund(CHARGE, frozen, key=OURS)
    (sent,) = server.sent
    assert sent.body == frozen
    assert (sent.path, sent.headers["idempotency-key"]) == ("/v1/refunds", OURS)
    assert sent.form == {"charge": CHARGE, "amount": "2500", "metadata[counterfoil_refund]": OURS}
    assert (outcome.ref, [report.kind for report in outcome.reports]) == (REFUND, [Kind.REFUND_SUCCEEDED])


async def test_the_bytes_are_the_same_each_time_and_at_either_speed():
    async with stripe(answers(refund())) as (_, refunds):
        assert body(refunds) == body(refunds) == body(refunds, speed="optimum")


async def test_a_lost_answer_is_asked_for_once_more_with_the_same_bytes_and_key():
    async with stripe(resets, answers(refund())) as (server, refunds):
        outcome = await refunds.refund(CHARGE, body(refunds), key=OURS)
    assert isinstance(outcome, Accepted)
    first, second = server.sent
    assert first.body == second.body
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"] == OURS


async def test_an_amount_that_stripe_cannot_write_has_no_body():
    async with stripe(answers(refund())) as (_, refunds):
        with pytest.raises(AmountNotValidError):
            refunds.body(CHARGE, Money(12345, "KWD"), reference=OURS, speed="normal")


@pytest.mark.parametrize("other", [{"charge": "ch_another"}, {"charge": None}, {"amount": 2499}])
async def test_a_refund_of_something_else_than_was_asked_is_unknown(other):
    async with stripe(answers(refund(**other))) as (_, refunds):
        outcome = await refunds.refund(CHARGE, body(refunds), key=OURS)
    assert (type(outcome), outcome.status) == (Unknown, 200)


REFUSALS = [
    ({"code": "charge_already_refunded"}, FailureCode.ALREADY_REFUNDED, True),
    ({"code": "charge_disputed"}, FailureCode.REFUND_DISPUTED, False),
    ({"message": "Insufficient funds in your balance"}, FailureCode.REFUND_BALANCE_SHORT, False),
]


@pytest.mark.parametrize(("error", "code", "already"), REFUSALS)
async def test_a_refusal_says_why(error, code, already):
    async with stripe(answers({"error": error}, status=400)) as (_, refunds):
        outcome = await refunds.refund(CHARGE, body(refunds), key=OURS)
    assert (type(outcome), outcome.code, outcome.already) == (Refused, code, already)


async def test_a_key_that_was_used_with_another_body_is_refused_by_a_name_of_its_own():
    error = {"type": "idempotency_error", "message": "Keys for idempotent requests can only be used once."}
    async with stripe(answers({"error": error}, status=400)) as (_, refunds):
        outcome = await refunds.refund(CHARGE, body(refunds), key=OURS)
    assert (type(outcome), outcome.gateway_code, outcome.already) == (Refused, KEY_CONFLICT, False)


async def test_a_key_that_is_still_at_work_is_unknown():
    error = {"type": "idempotency_error", "code": "idempotency_key_in_use"}
    async with stripe(answers({"error": error}, status=409)) as (_, refunds):
        assert isinstance(await refunds.refund(CHARGE, body(refunds), key=OURS), Unknown)


async def test_a_refund_is_found_by_our_id_pages_away():
    mine = refund(metadata={"counterfoil_refund": OURS})
    async with stripe(page(refund(id="re_other"), more=True), page(mine)) as (server, refunds):
        found = await refunds.find_refund(CHARGE, reference=OURS)
    assert found.ref == REFUND
    assert found.reports[0].detail["refund"] == OURS
    assert server.sent[0].query == {"charge": CHARGE, "limit": "100"}


async def test_a_refund_that_is_not_listed_is_not_found():
    async with stripe(page(refund(metadata=None))) as (_, refunds):
        found = await refunds.find_refund(CHARGE, reference=OURS)
    assert (type(found), found.ref, found.reports) == (Accepted, None, ())


async def test_how_a_refund_stands_is_read_by_its_id():
    failed = refund(status="failed", failure_reason="expired_or_canceled_card")
    async with stripe(answers(failed)) as (server, refunds):
        outcome = await refunds.look_up_refund(REFUND)
    assert server.sent[0].path == f"/v1/refunds/{REFUND}"
    (report,) = outcome.reports
    assert (report.kind, report.charge_ref) == (Kind.REFUND_FAILED, CHARGE)
    assert report.detail["failure_reason"] == "expired_or_canceled_card"


async def test_an_answer_about_another_refund_is_unknown():
    async with stripe(answers(refund(id="re_another"))) as (_, refunds):
        assert isinstance(await refunds.look_up_refund(REFUND), Unknown)
