"""Deliveries: signed, in order, tried again, given up, ended with notice; and what a bad receiver can do, which is little."""

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from time import monotonic

import pytest
from standardwebhooks import Webhook

import builders
import outgoing
from counterfoil import courier as posting
from counterfoil.domain.endpoint import DELAYS, NOTICE_BEFORE, TRIES
from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.services import delivering, endpoints
from counterfoil.services.context import Context
from outgoing import advance, all_sent, an_endpoint, happened, log_of, owner, sending_house, state
from receiver import OK, Receiver, answering, receiving

FAILS = answering(500, b"no")


@pytest.fixture
async def ctx(database_url: str, tmp_path: Path) -> AsyncIterator[Context]:
    async with sending_house(database_url, tmp_path / "key") as house:
        yield house


@pytest.fixture
async def shop() -> AsyncIterator[Receiver]:
    async with receiving() as backend:
        yield backend


async def test_an_event_is_delivered_signed_as_the_convention_says(ctx: Context, shop: Receiver):
    endpoint, secret = await an_endpoint(ctx, shop.url)
    await happened(ctx, "pmt_1", 3)
    await all_sent(ctx)
    [got] = shop.got
    told = Webhook(secret).verify(got.body, got.headers)
    [event] = await outgoing.numbered(ctx)
    assert got.headers["webhook-id"] == told["id"] == event.id
    assert told | {"id": "", "timestamp": ""} == {
        "id": "",
        "type": "payment.updated",
        "timestamp": "",
        "mode": "sandbox",
        "sequence": 1,
        "version": 3,
        "data": {"id": "pmt_1", "object": "payment", "version": 3},
    }
    [row] = await log_of(ctx, endpoint)
    assert (row["status"], row["outcome"], row["number"], row["error"]) == (200, "delivered", 1, None)


async def test_each_object_goes_version_by_version(ctx: Context, shop: Receiver):
    await an_endpoint(ctx, shop.url)
    for version in range(1, 6):
        for object_id in ("pmt_1", "pmt_2", "pmt_3"):
            await happened(ctx, object_id, version)
    await all_sent(ctx)
    assert {shop.of(f"pmt_{n}")[0] for n in (1, 2, 3)} == {1}
    assert [shop.of(f"pmt_{n}") for n in (1, 2, 3)] == [[1, 2, 3, 4, 5]] * 3


async def test_a_version_waits_until_the_one_before_it_has_ended(ctx: Context, shop: Receiver):
    shop.queue = [FAILS]
    await an_endpoint(ctx, shop.url)
    await happened(ctx, "pmt_1", 1)
    await all_sent(ctx)
    await happened(ctx, "pmt_1", 2)
    await happened(ctx, "pmt_2", 1)
    await all_sent(ctx)
    assert (shop.of("pmt_1"), shop.of("pmt_2")) == ([1], [1])
    advance(ctx, DELAYS[0] * 2)
    await all_sent(ctx)
    assert shop.of("pmt_1") == [1, 1, 2]


async def test_tries_follow_the_schedule_and_end(ctx: Context, shop: Receiver):
    shop.say = FAILS
    endpoint, _ = await an_endpoint(ctx, shop.url, "payment.*")
    await happened(ctx, "pmt_1", 1)
    await all_sent(ctx)
    for number, delay in enumerate(DELAYS, start=1):
        advance(ctx, delay - timedelta(seconds=2))
        await delivering.due(ctx)
        await ctx.hands.rest(5)
        assert len(shop.got) == number, f"came before {delay}"
        advance(ctx, delay * 0.2 + timedelta(seconds=2))
        await delivering.due(ctx)
        await ctx.hands.rest(5)
        assert len(shop.got) == number + 1
    advance(ctx, timedelta(days=2))
    await all_sent(ctx)
    log = await log_of(ctx, endpoint)
    assert [row["number"] for row in log] == list(range(1, TRIES + 1))
    assert {(row["status"], row["error"], row["answer"]) for row in log} == {(500, "answered 500", "no")}
    assert {row["outcome"] for row in log} == {"failed"}
    assert {one.headers["webhook-id"] for one in shop.got} == {shop.got[0].headers["webhook-id"]}


async def test_what_was_given_up_lets_the_next_version_go(ctx: Context, shop: Receiver):
    shop.queue = [FAILS] * TRIES
    await an_endpoint(ctx, shop.url, "payment.*")
    await happened(ctx, "pmt_1", 1)
    await happened(ctx, "pmt_1", 2)
    for _ in range(TRIES):
        await all_sent(ctx)
        advance(ctx, timedelta(hours=13))
    assert shop.of("pmt_1") == [1] * TRIES + [2]


async def test_both_secrets_sign_until_the_overlap_is_over(ctx: Context, shop: Receiver):
    endpoint, old = await an_endpoint(ctx, shop.url)
    _, new = await endpoints.rotate(ctx, owner(ctx), endpoint.id, timedelta(hours=1))
    await happened(ctx, "pmt_1", 1)
    await all_sent(ctx)
    assert len(shop.got[0].headers["webhook-signature"].split(" ")) == 2
    for secret in (old, new):
        Webhook(secret).verify(shop.got[0].body, shop.got[0].headers)
    advance(ctx, timedelta(hours=1))
    await happened(ctx, "pmt_1", 2)
    await all_sent(ctx)
    Webhook(new).verify(shop.got[1].body, shop.got[1].headers)
    assert len(shop.got[1].headers["webhook-signature"].split(" ")) == 1
    with pytest.raises(Exception, match="No matching signature"):
        Webhook(old).verify(shop.got[1].body, shop.got[1].headers)


async def test_an_endpoint_hears_only_of_what_it_asked_for(ctx: Context, shop: Receiver):
    await an_endpoint(ctx, shop.url, "payment.captured", "alert.*")
    for type_ in ("payment.updated", "payment.captured", "alert.opened"):
        await happened(ctx, type_, 1, type_)
    await all_sent(ctx)
    assert {one.json["type"] for one in shop.got} == {"payment.captured", "alert.opened"}


async def test_410_disables_at_once_and_a_person_is_told(ctx: Context, shop: Receiver):
    shop.say = answering(410)
    endpoint, _ = await an_endpoint(ctx, shop.url, "payment.*")
    await happened(ctx, "pmt_1", 1)
    await all_sent(ctx)
    await happened(ctx, "pmt_2", 1)
    await all_sent(ctx)
    assert len(shop.got) == 1
    assert "410" in ((await state(ctx, endpoint)).disabled_because or "")
    [told] = await builders.rows(ctx, "SELECT kind, subject, sentence FROM exceptions")
    assert told["kind"] == "endpoint_disabled"
    assert told["subject"].startswith(f"{endpoint.id}/")
    assert [one.type for one in await outgoing.numbered(ctx)].count("alert.opened") == 1


async def _fail(ctx: Context, n: int) -> None:
    await happened(ctx, f"pmt_{n}", 1)
    await delivering.number(ctx)
    await delivering.due(ctx)
    await ctx.hands.rest(5)


async def test_five_days_of_failures_disable_an_endpoint_but_never_without_notice(
    ctx: Context, shop: Receiver
):
    shop.say = FAILS
    endpoint, _ = await an_endpoint(ctx, shop.url, "payment.*")
    kinds = "SELECT kind FROM exceptions ORDER BY opened_at"
    await _fail(ctx, 1)
    assert await builders.rows(ctx, kinds) == []
    advance(ctx, timedelta(days=6))  # nothing was sent in between, so nobody was told
    await _fail(ctx, 2)
    assert (await state(ctx, endpoint)).disabled_at is None
    assert [row["kind"] for row in await builders.rows(ctx, kinds)] == ["endpoint_failing"]
    advance(ctx, NOTICE_BEFORE - timedelta(seconds=1))
    await _fail(ctx, 3)
    assert (await state(ctx, endpoint)).disabled_at is None
    advance(ctx, timedelta(seconds=1))
    await _fail(ctx, 4)
    assert (await state(ctx, endpoint)).disabled_because == "nothing could be delivered for 5 days"
    assert {row["kind"] for row in await builders.rows(ctx, kinds)} == {
        "endpoint_failing",
        "endpoint_disabled",
    }


async def test_one_success_ends_the_failing_and_its_notice(ctx: Context, shop: Receiver):
    shop.say = FAILS
    endpoint, _ = await an_endpoint(ctx, shop.url, "payment.*")
    await _fail(ctx, 1)
    advance(ctx, timedelta(days=2))
    await _fail(ctx, 2)
    assert (await state(ctx, endpoint)).noticed_at is not None
    shop.say = OK
    await _fail(ctx, 3)
    after = await state(ctx, endpoint)
    assert (after.failing_since, after.noticed_at) == (None, None)
    [told] = await builders.rows(ctx, "SELECT resolved_at FROM exceptions")
    assert told["resolved_at"] == ctx.now()


async def test_what_waited_goes_out_once_the_endpoint_is_enabled_again(ctx: Context, shop: Receiver):
    shop.queue = [answering(410)]
    endpoint, _ = await an_endpoint(ctx, shop.url, "payment.*")
    await happened(ctx, "pmt_1", 1)
    await all_sent(ctx)
    await happened(ctx, "pmt_2", 1)  # nobody is addressed meanwhile
    await all_sent(ctx)
    await endpoints.update(ctx, owner(ctx), endpoint.id, {"enabled": True})
    advance(ctx, timedelta(minutes=1))
    await all_sent(ctx)
    assert [one.json["data"]["id"] for one in shop.got] == ["pmt_1", "pmt_1"]
    assert await endpoints.replay_since(ctx, owner(ctx), endpoint.id, builders.NOW) == 1
    await all_sent(ctx)
    assert shop.got[-1].json["data"]["id"] == "pmt_2"
    assert await builders.one(ctx, "SELECT count(*) FROM exceptions WHERE resolved_at IS NULL") == 0


async def test_one_delivery_is_replayed_and_all_that_failed_since_a_time(ctx: Context, shop: Receiver):
    endpoint, _ = await an_endpoint(ctx, shop.url)
    await happened(ctx, "pmt_1", 1)
    await all_sent(ctx)
    [event] = await outgoing.numbered(ctx)
    assert (await endpoints.replay(ctx, owner(ctx), endpoint.id, event.id)).outcome is None
    await all_sent(ctx)
    assert [one.headers["webhook-id"] for one in shop.got] == [event.id, event.id]
    shop.say = FAILS
    since = ctx.now()
    await happened(ctx, "pmt_2", 1)
    for _ in range(TRIES):
        await all_sent(ctx)
        advance(ctx, timedelta(hours=13))
    shop.say = OK
    assert await endpoints.replay_since(ctx, owner(ctx), endpoint.id, since) == 1
    await all_sent(ctx)
    assert shop.of("pmt_2") == [1] * (TRIES + 1)
    assert await endpoints.replay_since(ctx, owner(ctx), endpoint.id, since) == 0


async def test_a_deleted_endpoint_hears_nothing_more(ctx: Context, shop: Receiver):
    shop.say = FAILS
    endpoint, _ = await an_endpoint(ctx, shop.url)
    await _fail(ctx, 1)
    await endpoints.delete(ctx, owner(ctx), endpoint.id)
    advance(ctx, timedelta(days=1))
    await _fail(ctx, 2)
    assert len(shop.got) == 1
    assert await builders.one(ctx, "SELECT count(*) FROM endpoint_secrets") == 0


async def test_a_slow_endpoint_keeps_its_own_hands_busy_and_no_others(ctx: Context, shop: Receiver):
    held = asyncio.Event()

    async def hang(_: asyncio.StreamWriter) -> None:
        await held.wait()

    async with receiving(hang) as slow:
        await an_endpoint(ctx, slow.url)
        await an_endpoint(ctx, shop.url)
        for n in range(3 * delivering.HANDS):
            await happened(ctx, f"pmt_{n}", 1)
            if n == 2:  # some hands are busy when the rest comes
                await delivering.number(ctx)
                await delivering.due(ctx)
        await delivering.number(ctx)
        while len(shop.got) < 3 * delivering.HANDS:
            await delivering.due(ctx)
            assert await ctx.hands.freed(5)
        assert slow.most == delivering.HANDS
        held.set()
        await ctx.hands.rest(5)


async def test_a_redirect_is_not_followed(ctx: Context, shop: Receiver):
    async with receiving() as elsewhere:
        shop.say = answering(302, location=elsewhere.url)
        endpoint, _ = await an_endpoint(ctx, shop.url)
        await _fail(ctx, 1)
        assert elsewhere.got == []
    [row] = await log_of(ctx, endpoint)
    assert (row["status"], row["error"]) == (302, "redirects are not followed")


async def test_an_answer_that_drips_is_given_up_in_time(
    ctx: Context, shop: Receiver, monkeypatch: pytest.MonkeyPatch
):
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(100):
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.1)

    monkeypatch.setattr(posting, "TOTAL_S", 1.0)
    shop.say = drip
    endpoint, _ = await an_endpoint(ctx, shop.url)
    began = monotonic()
    await _fail(ctx, 1)
    assert monotonic() - began < 5
    [row] = await log_of(ctx, endpoint)
    assert (row["status"], row["error"]) == (None, "no whole answer in time")


async def test_of_a_gigabyte_little_is_read_and_less_is_kept(ctx: Context, shop: Receiver):
    sent = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n")
        for _ in range(1024):
            writer.write(b"a\x00" * 2**19)
            await writer.drain()
            sent += 2**20

    shop.say = flood
    endpoint, _ = await an_endpoint(ctx, shop.url)
    await _fail(ctx, 1)
    [row] = await log_of(ctx, endpoint)
    assert (row["status"], row["outcome"]) == (200, "delivered")
    assert len(row["answer"]) == posting.KEPT_BYTES
    assert sent < 16 * 2**20  # what the sockets hold


async def test_a_delivery_whose_process_died_comes_again_after_its_lease(ctx: Context, shop: Receiver):
    await an_endpoint(ctx, shop.url)
    await happened(ctx, "pmt_1", 1)
    await delivering.number(ctx)
    await _taken(ctx)
    await delivering.due(ctx)
    await ctx.hands.rest(5)
    assert shop.got == []
    advance(ctx, delivering.LEASE)
    await all_sent(ctx)
    assert shop.of("pmt_1") == [1]


async def test_what_breaks_off_in_our_own_hands_comes_again_too(
    ctx: Context, shop: Receiver, monkeypatch: pytest.MonkeyPatch
):
    async def lost(*_: object, **__: object) -> None:
        raise DatabaseAwayError("The database cannot be reached.")

    await an_endpoint(ctx, shop.url)
    await happened(ctx, "pmt_1", 1)
    with monkeypatch.context() as away:
        away.setattr(delivering, "_settle", lost)
        await all_sent(ctx)
    assert shop.of("pmt_1") == [1]  # acknowledged, and we do not know it
    advance(ctx, delivering.LEASE)
    await all_sent(ctx)
    assert shop.of("pmt_1") == [1, 1]
    assert await builders.one(ctx, "SELECT outcome FROM deliveries") == "delivered"


async def _taken(ctx: Context) -> delivering.Taken:
    """The delivery as its sender has it when its process is held up."""
    async with ctx.db.transaction() as conn:
        [taken], _ = await delivering.deliveries.take_due(
            conn, now=ctx.now(), until=ctx.now() + delivering.LEASE, hands=1, busy={}
        )
    return taken


async def test_what_a_stale_sender_learns_does_not_count(ctx: Context, shop: Receiver):
    """Its lease ended, another sent it: the late word is logged and changes nothing."""
    endpoint, _ = await an_endpoint(ctx, shop.url)
    await happened(ctx, "pmt_1", 1)
    await delivering.number(ctx)
    stale = await _taken(ctx)
    advance(ctx, delivering.LEASE)
    shop.queue = [FAILS, OK, OK, FAILS]
    await all_sent(ctx)
    await delivering.deliver(ctx, stale, [])
    assert await builders.one(ctx, "SELECT outcome FROM deliveries") is None
    advance(ctx, DELAYS[1] * 2)
    await all_sent(ctx)
    assert await builders.one(ctx, "SELECT outcome FROM deliveries") == "delivered"
    await delivering.deliver(ctx, stale, [])
    assert await builders.one(ctx, "SELECT outcome FROM deliveries") == "delivered"
    assert len(await log_of(ctx, endpoint)) == 4


async def test_events_are_forgotten_after_a_month_with_their_deliveries(ctx: Context, shop: Receiver):
    await an_endpoint(ctx, shop.url)
    await happened(ctx, "pmt_1", 1)
    await all_sent(ctx)
    advance(ctx, timedelta(days=29))
    await happened(ctx, "pmt_2", 1)
    await all_sent(ctx)
    await delivering.prune(ctx)
    assert await builders.one(ctx, "SELECT count(*) FROM events") == 2
    advance(ctx, timedelta(days=2))
    await delivering.prune(ctx)
    for table in ("events", "deliveries", "delivery_log"):
        assert await builders.one(ctx, f"SELECT count(*) FROM {table}") == 1


async def _shown(ctx: Context) -> dict[str, float]:
    """What /metrics says of endpoints and deliveries, by name and labels."""
    await ctx.metrics.read(ctx.db, ctx.now())
    lines = ctx.metrics.page().decode().splitlines()
    ours = ("counterfoil_deliveries_total{", "counterfoil_endpoints{", "counterfoil_undelivered")
    return {name: float(value) for name, value in (ln.rsplit(" ", 1) for ln in lines if ln.startswith(ours))}


async def test_the_metrics_tell_of_deliveries_by_outcome_of_endpoints_and_of_what_waits(
    ctx: Context, shop: Receiver
):
    await an_endpoint(ctx, shop.url, "payment.*")
    await happened(ctx, "pmt_1", 1)
    await all_sent(ctx)
    shop.say = FAILS
    await happened(ctx, "pmt_2", 1)
    await all_sent(ctx)
    advance(ctx, timedelta(seconds=1))
    shown = await _shown(ctx)
    assert shown['counterfoil_deliveries_total{outcome="delivered"}'] == 1
    assert shown['counterfoil_deliveries_total{outcome="put_off"}'] == 1
    assert shown['counterfoil_endpoints{state="failing"}'] == 1
    assert (shown["counterfoil_undelivered"], shown["counterfoil_undelivered_oldest_seconds"]) == (1, 1)
    shop.say = answering(410)
    await happened(ctx, "pmt_3", 1)
    await all_sent(ctx)
    shown = await _shown(ctx)
    assert shown['counterfoil_endpoints{state="disabled"}'] == 1
    assert (shown["counterfoil_undelivered"], shown["counterfoil_undelivered_oldest_seconds"]) == (0, 0)
