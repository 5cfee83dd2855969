from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from counterfoil.domain.fact import Kind
from counterfoil.gateways.base import Listed, Refused, Unknown
from counterfoil.gateways.razorpay import recovering
from gateways.razorpay.entities import ORDER, dispute, payment, refund
from gateways.razorpay.test_gateway import collection, connected
from gateways.scripted import answers, client, scripted

UNTIL = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
SINCE = UNTIL - timedelta(hours=1)


@asynccontextmanager
async def razorpay(*acts):
    async with scripted(*acts) as server, client() as http:
        yield server, connected(http, server.url).recover


def read(recover, name="payments"):
    return recover.read(name, since=SINCE, until=UNTIL)


def of(*numbers):
    return collection(*(payment(id=f"pay_{number}", status="authorized") for number in numbers))


def ids(listed):
    return [found.refs[0] for found in listed.found]


async def test_every_page_of_a_window_with_a_fixed_end_is_read_and_handed_over_oldest_first(monkeypatch):
    monkeypatch.setattr(recovering, "PAGE", 2)
    async with razorpay(of(5, 4), of(3, 2), of(1)) as (server, recover):
        assert ids(await read(recover)) == ["pay_1", "pay_2", "pay_3", "pay_4", "pay_5"]
    window = {"expand[]": "card", "from": "1795345200", "to": "1795348800", "count": "2"}
    assert server.sent[0].path == "/v1/payments"
    assert [sent.query for sent in server.sent] == [window | {"skip": skip} for skip in ("0", "2", "4")]


async def test_a_list_that_moves_while_it_is_read_gives_each_object_once(monkeypatch):
    monkeypatch.setattr(recovering, "PAGE", 2)
    async with razorpay(of(3, 2), of(2, 1), of()) as (_, recover):
        assert ids(await read(recover)) == ["pay_1", "pay_2", "pay_3"]


async def test_a_last_page_that_is_full_is_followed_by_an_empty_one(monkeypatch):
    monkeypatch.setattr(recovering, "PAGE", 1)
    async with razorpay(of(1), of()) as (server, recover):
        assert ids(await read(recover)) == ["pay_1"]
    assert len(server.sent) == 2


async def test_an_object_says_what_it_is_and_by_what_it_may_be_known():
    async with razorpay(of(1)) as (_, recover):
        [found] = (await read(recover)).found
    assert found.refs == ("pay_1", ORDER)
    assert [report.kind for report in found.reports] == [Kind.CHARGE_AUTHORIZED]


@pytest.mark.parametrize("name", ["refunds", "late refunds"])
async def test_a_refund_is_known_by_its_payment(name):
    async with razorpay(collection(refund(id="rfnd_1", payment_id="pay_1"))) as (server, recover):
        [found] = (await read(recover, name)).found
    assert server.sent[0].path == "/v1/refunds"
    assert found.refs == ("rfnd_1", "pay_1")
    assert [report.charge_ref for report in found.reports] == ["pay_1"]


async def test_a_dispute_is_known_by_its_payment():
    async with razorpay(collection(dispute(id="disp_1", payment_id="pay_1"))) as (server, recover):
        [found] = (await read(recover, "disputes")).found
    assert server.sent[0].path == "/v1/disputes"
    assert found.refs == ("disp_1", "pay_1")
    assert [report.kind for report in found.reports] == [Kind.DISPUTE_OPEN]


async def test_an_object_that_cannot_be_understood_is_told_and_hides_no_other():
    odd = payment(id="pay_odd", currency="XXQ", status="authorized")
    strange = payment(id="pay_strange", status="on_the_moon")
    async with razorpay(collection(odd, strange, payment(id="pay_1", status="authorized"))) as (_, recover):
        found = {one.refs[0]: one for one in (await read(recover)).found}
    assert found["pay_1"].reports
    for id_ in ("pay_odd", "pay_strange"):
        assert (found[id_].refs, found[id_].reports) == ((id_, ORDER), ())
        assert found[id_].unreadable


async def test_a_window_with_too_much_is_not_whole_and_nothing_of_it_is_kept(monkeypatch):
    monkeypatch.setattr(recovering, "MAX_PAGES", 2)
    monkeypatch.setattr(recovering, "PAGE", 1)
    async with razorpay(of(1)) as (server, recover):
        assert await read(recover) == Listed(whole=False)
    assert len(server.sent) == 2


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (answers({"error": {"description": "Authentication failed"}}, status=401), Refused),
        (answers({"error": {"description": "Slower"}}, status=429), Refused),
        (answers({}, status=502), Unknown),
        (answers(b"no json"), Unknown),
        (answers({"items": [{"entity": "payment"}]}), Unknown),
        (answers({"items": [7]}), Unknown),
    ],
)
async def test_what_is_no_page_is_an_outcome_on_the_first_page_and_on_the_second(act, kind, monkeypatch):
    monkeypatch.setattr(recovering, "PAGE", 1)
    for acts in ((act,), (of(1), act)):
        async with razorpay(*acts) as (_, recover):
            assert isinstance(await read(recover), kind)
