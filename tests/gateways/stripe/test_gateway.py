from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from counterfoil.domain.call import Repeat, Verb
from counterfoil.domain.fact import Kind
from counterfoil.domain.money import Money
from counterfoil.gateways.base import Accepted, Method, Opening, Refused, Unknown
from counterfoil.gateways.stripe import gateway as module
from counterfoil.gateways.stripe import line, speak
from gateways.scripted import answers, client, scripted
from gateways.stripe.objects import ATTEMPT, CHARGE, INTENT, charge, intent

SINCE = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
OPENING = Opening(reference=ATTEMPT, payment_id="pmt_1", amount=Money(10000, "USD"), capture="automatic")


@asynccontextmanager
async def stripe(*acts, mode="sandbox"):
    async with scripted(*acts) as server, client() as http:
        yield server, connected(http, server.url, mode)


def connected(http, url=module.BASE_URL, mode="sandbox"):
    return module.connect(
        http,
        account_id="gwa_1",
        mode=mode,
        base_url=url,
        secret_key="sk_test_counterfoil_1",
        publishable_key="pk_test_counterfoil_1",
    )


def page(*rows, more=False):
    return answers({"object": "list", "url": "/v1/x", "data": list(rows), "has_more": more})


def charges(outcome):
    return [(report.kind, report.object_id) for report in outcome.reports if report.charge_ref]


async def test_the_gateway_has_the_parts_that_stripe_has():
    async with client() as http:
        gateway = connected(http)
    assert (gateway.name, gateway.account_id, gateway.mode) == ("stripe", "gwa_1", "sandbox")
    assert gateway.collect is gateway.confirm is gateway.cancel
    assert (gateway.speak, gateway.vouch, gateway.public_key) == (speak, None, "pk_test_counterfoil_1")
    assert gateway.refunds.key_life == timedelta(hours=23)
    assert gateway.collect.repeat == dict.fromkeys(Verb, Repeat.KEYED)
    assert "sk_test" not in repr(gateway)


@pytest.mark.parametrize(("capture", "method"), [("automatic", "automatic_async"), ("manual", "manual")])
async def test_the_capture_method_is_always_named(capture, method):
    async with stripe(answers(intent())) as (server, gateway):
        await gateway.collect.open(
            Opening(reference=ATTEMPT, payment_id="pmt_1", amount=Money(10000, "USD"), capture=capture),
            key="k",
        )
    assert server.sent[0].form["capture_method"] == method
    assert "confirm" not in server.sent[0].form


async def test_a_long_description_is_clipped():
    opening = Opening(
        reference=ATTEMPT,
        payment_id="pmt_1",
        amount=Money(10000, "USD"),
        capture="manual",
        description="line\nline" + "x" * 2000,
    )
    async with stripe(answers(intent())) as (server, gateway):
        await gateway.collect.open(opening, key="k")
    assert server.sent[0].form["description"] == "line line" + "x" * 991


# A gateway that lies

OTHERS = [
    {"amount": 9999},
    {"currency": "eur"},
    {"livemode": True},
    {"metadata": {"counterfoil_attempt": "att_another"}},
    {"metadata": {}},
    {"metadata": None},
]


@pytest.mark.parametrize("other", OTHERS)
async def test_an_intent_for_something_else_than_was_asked_is_unknown(other):
    async with stripe(answers(intent(**other))) as (_, gateway):
        outcome = await gateway.collect.open(OPENING, key="k")
    assert isinstance(outcome, Unknown)
    assert "was asked" in outcome.message
    assert outcome.status == 200


async def test_the_same_intent_is_believed_in_the_mode_it_says():
    async with stripe(answers(intent(livemode=True)), mode="live") as (_, gateway):
        assert isinstance(await gateway.collect.open(OPENING, key="k"), Accepted)
    async with stripe(answers(intent()), mode="live") as (_, gateway):
        assert isinstance(await gateway.collect.open(OPENING, key="k"), Unknown)


async def calls(gateway):
    yield await gateway.confirm.confirm(INTENT, Method(payment_method="pm_1"), key="k", return_url=None)
    yield await gateway.collect.capture(INTENT, CHARGE, Money(10000, "USD"), key="k")
    yield await gateway.cancel.cancel(INTENT, key="k")
    yield await gateway.collect.look_up(INTENT)


@pytest.mark.parametrize(
    "other", [{"id": "pi_another"}, {"livemode": True}, {"currency": "zzz"}, {"object": "charge"}]
)
async def test_an_answer_about_another_intent_is_unknown(other):
    taken = intent(**{"status": "succeeded", "amount_received": 10000, "latest_charge": charge(), **other})
    async with stripe(answers(taken)) as (_, gateway):
        async for outcome in calls(gateway):
            assert isinstance(outcome, Unknown)


async def test_a_capture_of_another_charge_than_was_asked_is_unknown():
    taken = intent(status="succeeded", amount_received=10000, latest_charge=charge(id="ch_another"))
    async with stripe(answers(taken)) as (_, gateway):
        outcome = await gateway.collect.capture(INTENT, CHARGE, Money(10000, "USD"), key="k")
    assert isinstance(outcome, Unknown)


async def test_an_id_that_is_no_path_segment_stays_one():
    async with stripe(answers({}, status=404)) as (server, gateway):
        assert isinstance(await gateway.collect.look_up("../refunds?x=1"), Refused)
    assert server.sent[0].target.startswith("/v1/payment_intents/..%2Frefunds%3Fx%3D1?expand")


# Reading

FAILED = {"status": "failed", "captured": False, "amount_captured": 0}


async def test_a_look_up_tells_of_every_charge_once():
    latest = charge(id="ch_3")
    acts = (
        answers(intent(status="succeeded", amount_received=10000, latest_charge=latest)),
        page(latest, charge(id="ch_2", **FAILED), more=True),
        page(charge(id="ch_1", **FAILED)),
    )
    async with stripe(*acts) as (server, gateway):
        outcome = await gateway.collect.look_up(INTENT)
    assert charges(outcome) == [
        (Kind.CHARGE_CAPTURED, "ch_3"),
        (Kind.CHARGE_FAILED, "ch_2"),
        (Kind.CHARGE_FAILED, "ch_1"),
    ]
    assert [sent.path for sent in server.sent] == [
        f"/v1/payment_intents/{INTENT}",
        "/v1/charges",
        "/v1/charges",
    ]
    assert server.sent[1].query == {"payment_intent": INTENT, "limit": "100"}
    assert server.sent[2].query == {"payment_intent": INTENT, "limit": "100", "starting_after": "ch_2"}


async def test_a_look_up_of_an_intent_without_a_charge_is_one_call():
    async with stripe(answers(intent())) as (server, gateway):
        assert (await gateway.collect.look_up(INTENT)).ref == INTENT
    assert len(server.sent) == 1


HELD = intent(status="requires_capture", latest_charge=charge(captured=False, amount_captured=0))


@pytest.mark.parametrize(
    ("listing", "kind"),
    [
        (answers({}, status=500), Unknown),
        (answers({}, status=401), Refused),
        (page(more=True), Unknown),
        (page(charge(id="ch_2", currency="zzz")), Unknown),
        (page(charge(id="ch_2"), more=True), Unknown),
    ],
    ids=["500", "401", "an empty page that is not the last", "a currency that is none", "a list without end"],
)
async def test_a_look_up_that_saw_only_a_part_is_no_look_up(monkeypatch, listing, kind):
    monkeypatch.setattr(line, "MAX_PAGES", 3)
    async with stripe(answers(HELD), listing) as (server, gateway):
        assert isinstance(await gateway.collect.look_up(INTENT), kind)
    assert len(server.sent) <= 4


async def test_an_opening_is_found_pages_away():
    strangers = [intent(id=f"pi_{n}", metadata={}) for n in range(3)]
    async with stripe(page(*strangers, more=True), page(intent())) as (server, gateway):
        found = await gateway.collect.find(OPENING, since=SINCE)
    assert (found.ref, [report.kind for report in found.reports]) == (INTENT, [Kind.ATTEMPT_OPENED])
    around = int(SINCE.timestamp())
    assert server.sent[0].query == {
        "created[gte]": str(around - 300),
        "created[lte]": str(around + 3600),
        "limit": "100",
    }
    assert server.sent[1].query["starting_after"] == "pi_2"


async def test_what_was_found_counts_though_the_rest_could_not_be_read():
    async with stripe(page(intent(), more=True), answers({}, status=500)) as (_, gateway):
        assert (await gateway.collect.find(OPENING, since=SINCE)).ref == INTENT


@pytest.mark.parametrize(
    "listing",
    [
        (page(intent(metadata={}), more=True), answers({}, status=500)),
        (page(intent(metadata={}), more=True),),
        (page(intent(amount=1)),),
    ],
    ids=["half read", "without end", "another amount"],
)
async def test_an_absence_that_was_not_seen_whole_is_unknown(monkeypatch, listing):
    monkeypatch.setattr(line, "MAX_PAGES", 2)
    async with stripe(*listing) as (_, gateway):
        assert isinstance(await gateway.collect.find(OPENING, since=SINCE), Unknown)
