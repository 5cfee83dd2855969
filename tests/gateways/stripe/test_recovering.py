import json
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from counterfoil.gateways.base import Listed, Refused, Unknown
from counterfoil.gateways.stripe import recovering
from counterfoil.gateways.stripe.events import READ
from gateways.scripted import answers, client, scripted
from gateways.stripe.test_gateway import connected

UNTIL = datetime(2026, 11, 22, 12, 0, 0, 900_000, tzinfo=UTC)
SINCE = UNTIL - timedelta(hours=1)


@asynccontextmanager
async def stripe(*acts):
    async with scripted(*acts) as server, client() as http:
        yield server, connected(http, server.url).recover


def page(*ids, more=False):
    rows = [{"id": id_, "object": "event", "type": "charge.updated", "created": 1} for id_ in ids]
    return answers({"object": "list", "url": "/v1/events", "data": rows, "has_more": more})


def ids(listed):
    return [json.loads(found.event)["id"] for found in listed.found]


def read(recover):
    return recover.read("charge.*", since=SINCE, until=UNTIL)


def test_the_lists_together_hold_every_type_that_yields_facts():
    beginnings = tuple(group.removesuffix("*") for group in recovering.GROUPS)
    assert all(kind.startswith(beginnings) for kind in READ)
    assert [listing.name for listing in recovering.Events.listings] == list(recovering.GROUPS)


async def test_every_page_of_the_window_is_read_and_handed_over_oldest_first():
    async with stripe(
        page("evt_5", "evt_4", more=True), page("evt_3", "evt_2", more=True), page("evt_1")
    ) as (
        server,
        recover,
    ):
        assert ids(await read(recover)) == ["evt_1", "evt_2", "evt_3", "evt_4", "evt_5"]
    window = {"type": "charge.*", "created[gte]": "1795345200", "created[lte]": "1795348800", "limit": "100"}
    assert server.sent[0].path == "/v1/events"
    assert [sent.query for sent in server.sent] == [
        window,
        window | {"starting_after": "evt_4"},
        window | {"starting_after": "evt_2"},
    ]
    assert server.sent[0].headers["stripe-version"]


async def test_an_event_comes_byte_for_byte():
    raw = b'{"id": "evt_1",  "object":"event", "amount": 1.10, "n": "\\u00e9"}'
    async with stripe(answers(b'{"data": [' + raw + b'], "has_more": false}')) as (_, recover):
        [found] = (await read(recover)).found
    assert found.event == raw


async def test_a_window_with_too_much_is_not_whole_and_nothing_of_it_is_kept(monkeypatch):
    monkeypatch.setattr(recovering, "MAX_PAGES", 2)
    async with stripe(page("evt_2", more=True)) as (server, recover):
        assert await read(recover) == Listed(whole=False)
    assert len(server.sent) == 2


@pytest.mark.parametrize(
    ("act", "kind"),
    [
        (answers({"error": {"message": "No such key"}}, status=401), Refused),
        (answers({"error": {"message": "Slower"}}, status=429), Refused),
        (answers({"error": {"message": "No money"}}, status=402), Unknown),
        (answers({}, status=500), Unknown),
        (answers(b"no json"), Unknown),
        (answers({"data": [{"object": "event"}], "has_more": False}), Unknown),
        (answers({"data": "all of them", "has_more": False}), Unknown),
    ],
)
async def test_what_is_no_page_is_an_outcome_on_the_first_page_and_on_the_second(act, kind):
    for acts in ((act,), (page("evt_1", more=True), act)):
        async with stripe(*acts) as (_, recover):
            assert isinstance(await read(recover), kind)
