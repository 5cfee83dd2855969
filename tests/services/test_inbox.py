"""The inbox's service over a real database; what it does behind HTTP stands in tests/web/test_hooks.py."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

import builders
from counterfoil.domain.errors import DatabaseAwayError, NotFoundError, SignatureRefusedError, WrongStateError
from counterfoil.gateways.stripe import speak as stripe
from counterfoil.services import inbox
from counterfoil.services.context import Context
from counterfoil.services.inbox import DELAYS, TRIES, Writer
from counterfoil.store import inbox as stored_inbox
from counterfoil.store.inbox import Filter
from outage import line_to


class Commits:
    """Counts commits, and can hold one up."""

    def __init__(self) -> None:
        self.count = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self, moment: str) -> None:
        if moment == "before commit":
            await self.gate.wait()
        else:
            self.count += 1


@pytest.fixture
def commits() -> Commits:
    return Commits()


@pytest.fixture
async def ctx(database_url: str, commits: Commits) -> AsyncIterator[Context]:
    async with builders.open_house(database_url, on_commit=commits) as house:
        yield house.context


@pytest.fixture
async def writer(ctx: Context) -> AsyncIterator[Writer]:
    made = Writer(ctx)
    made.start()
    yield made
    await made.stop()


def told(n: int = 0, **more: Any) -> dict[str, Any]:
    """A Stripe event that is about nothing of ours."""
    return builders.event("payout.paid", {"id": f"po_{n}", "object": "payout"}, **more)


async def letters(ctx: Context) -> list[dict[str, Any]]:
    return await builders.rows(ctx, "SELECT * FROM inbox ORDER BY received_at, id")


async def letter(ctx: Context) -> dict[str, Any]:
    [only] = await letters(ctx)
    return only


# Storing.


async def test_what_queues_during_a_commit_shares_the_next_one(
    ctx: Context, writer: Writer, commits: Commits
):
    before = commits.count
    items = [builders.delivery(ctx, "stripe", told(n)) for n in range(500)]
    await asyncio.gather(*(writer.store(item) for item in items))
    assert commits.count - before == 3  # of 200, 200 and 100
    assert await builders.one(ctx, "SELECT count(*) FROM inbox WHERE status = 'received'") == 500
    assert await builders.one(ctx, "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'understand'") == 500


async def test_a_row_that_cannot_be_stored_fails_alone(ctx: Context, writer: Writer):
    good = [builders.delivery(ctx, "stripe", told(n)) for n in range(20)]
    bad = replace(builders.delivery(ctx, "stripe", told()), account_id="gwa_of_nobody")
    came = await asyncio.gather(
        *(writer.store(item) for item in (*good[:10], bad, *good[10:])), return_exceptions=True
    )
    assert [type(result) for result in came if result] == [asyncpg.ForeignKeyViolationError]
    assert came[10] is not None
    assert {row["id"] for row in await letters(ctx)} == {item.id for item in good}


async def test_nothing_is_answered_before_the_commit(ctx: Context, writer: Writer, commits: Commits):
    commits.gate.clear()
    storing = asyncio.create_task(writer.store(builders.delivery(ctx, "stripe", told())))
    await asyncio.sleep(0.3)
    assert not storing.done()
    assert await letters(ctx) == []
    commits.gate.set()
    await storing
    assert (await letter(ctx))["status"] == "received"


async def test_who_is_told_to_come_back_may_find_the_letter_there(
    ctx: Context, writer: Writer, commits: Commits, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(inbox, "ANSWER_S", 0.1)
    commits.gate.clear()
    body = told()
    with pytest.raises(DatabaseAwayError):
        await writer.store(builders.delivery(ctx, "stripe", body))
    commits.gate.set()
    await writer.store(builders.delivery(ctx, "stripe", body))
    assert (await letter(ctx))["deliveries"] == 2


async def test_a_full_queue_tells_new_deliveries_to_come_back_at_once(
    ctx: Context, commits: Commits, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(inbox, "WAITING", 3)
    idle = Writer(ctx)  # not started: nothing is taken from its queue
    waiting = [asyncio.create_task(idle.store(builders.delivery(ctx, "stripe", told()))) for _ in range(3)]
    await asyncio.sleep(0)
    started = asyncio.get_running_loop().time()
    with pytest.raises(DatabaseAwayError):
        await idle.store(builders.delivery(ctx, "stripe", told()))
    assert asyncio.get_running_loop().time() - started < 0.5
    for task in waiting:
        task.cancel()


async def test_a_stopping_writer_stores_what_has_queued(ctx: Context):
    writer = Writer(ctx)
    storing = [
        asyncio.create_task(writer.store(builders.delivery(ctx, "stripe", told(n)))) for n in range(10)
    ]
    await asyncio.sleep(0)
    writer.start()
    await writer.stop()
    await asyncio.gather(*storing)
    assert len(await letters(ctx)) == 10


async def test_a_database_that_is_away_is_told_within_two_seconds_and_found_again(database_url: str):
    with line_to(database_url) as (line, url):
        async with builders.open_house(url) as house:
            ctx, clock = house.context, asyncio.get_running_loop().time
            writer = Writer(ctx)
            writer.start()
            for outage in (line.cut, line.hold):
                outage()
                items = [builders.delivery(ctx, "stripe", told(n)) for n in range(5)]
                started = clock()
                came = await asyncio.gather(*(writer.store(item) for item in items), return_exceptions=True)
                assert [type(result) for result in came] == [DatabaseAwayError] * 5
                assert clock() - started < inbox.ANSWER_S + 0.3
                line.mend()
                await asyncio.gather(*(_until_stored(writer, item) for item in items))
            await writer.stop()
            assert await builders.one(ctx, "SELECT count(*) FROM inbox") == 10


async def _until_stored(writer: Writer, item: stored_inbox.Delivery) -> None:
    """As a gateway does: again, until it is told that the letter was taken."""
    while True:
        try:
            return await writer.store(item)
        except DatabaseAwayError:
            await asyncio.sleep(0.05)


# Duplicates.


async def test_a_stripe_event_is_one_letter_however_often_it_comes(ctx: Context, writer: Writer):
    body = told()
    item = builders.delivery(ctx, "stripe", body)
    # In one batch, and in a later one; told again with other spaces, as another of Stripe's servers might.
    again = builders.delivery(ctx, "stripe", json.dumps(body, indent=1).encode())
    await asyncio.gather(writer.store(item), writer.store(again), writer.store(item))
    await writer.store(item)
    row = await letter(ctx)
    assert (row["deliveries"], row["status"]) == (4, "received")


async def test_two_stripe_events_in_one_batch_are_two_letters(ctx: Context, writer: Writer):
    items = [builders.delivery(ctx, "stripe", told(n)) for n in range(2)]
    await asyncio.gather(*map(writer.store, items))
    assert [row["deliveries"] for row in await letters(ctx)] == [1, 1]


async def test_a_razorpay_event_is_known_by_its_body_and_not_by_the_header_anyone_may_write(ctx: Context):
    body = builders.as_sent(builders.razorpay_event("settlement.processed"))
    [verifier] = ctx.directory.verifiers("razorpay")
    same = [
        inbox.delivery(ctx, verifier, [(b"x-razorpay-event-id", name)], body)
        for name in (b"evt_1", b"evt_2", b"evt_1")
    ]
    other = inbox.delivery(ctx, verifier, [(b"x-razorpay-event-id", b"evt_1")], body + b" ")
    async with ctx.db.transaction() as conn:
        await stored_inbox.store(conn, [*same, other])
    assert sorted(row["deliveries"] for row in await letters(ctx)) == [1, 3]


@pytest.mark.parametrize("asleep", ["parked", "dead"])
async def test_a_duplicate_wakes_what_was_parked_or_dead(ctx: Context, asleep: str):
    body = told()
    [letter_id] = await builders.stored(ctx, "stripe", body)
    await _set(ctx, letter_id, status=asleep, tries=7, next_check_at=None)
    await builders.stored(ctx, "stripe", body)
    row = await letter(ctx)
    assert (row["status"], row["tries"], row["deliveries"]) == ("received", 0, 2)
    assert row["next_check_at"] == ctx.now() + timedelta(seconds=30)
    assert await _jobs(ctx) == [letter_id, letter_id]


@pytest.mark.parametrize("settled", ["processed", "ignored"])
async def test_a_duplicate_of_what_is_settled_only_counts(ctx: Context, settled: str):
    body = told()
    [letter_id] = await builders.stored(ctx, "stripe", body)
    await _set(ctx, letter_id, status=settled, tries=1, next_check_at=None)
    await builders.stored(ctx, "stripe", body)
    row = await letter(ctx)
    assert (row["status"], row["tries"], row["deliveries"]) == (settled, 1, 2)
    assert row["next_check_at"] is None
    assert await _jobs(ctx) == [letter_id]


async def _set(ctx: Context, letter_id: str, **columns: Any) -> None:
    settings = ", ".join(f"{name} = ${n}" for n, name in enumerate(columns, start=2))
    async with ctx.db.transaction() as conn:
        await conn.execute(f"UPDATE inbox SET {settings} WHERE id = $1", letter_id, *columns.values())


async def _jobs(ctx: Context) -> list[str]:
    """The letters that the queue is to look at."""
    found = await builders.rows(
        ctx, "SELECT payload FROM pgqueuer WHERE entrypoint = 'understand' ORDER BY id"
    )
    return [row["payload"].decode() for row in found]


# Verifying.


def test_a_gateway_that_is_not_configured_vouches_for_nothing(ctx: Context):
    with pytest.raises(SignatureRefusedError, match="not configured"):
        inbox.verify(ctx, "paypal", [], b"{}")


def test_of_two_secrets_either_vouches_and_the_one_that_did_is_told(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
):
    [current] = ctx.directory.verifiers("stripe")
    replaced = replace(current, secret_id="key_old", secret=b"whsec_counterfoil_old")
    monkeypatch.setattr(ctx.directory, "verifiers", lambda _gateway: [current, replaced])
    body = b"{}"
    for verifier in (current, replaced):
        marks = builders.signed("stripe", body, at=ctx.now(), secret=verifier.secret.decode())
        headers = [(name.encode(), value.encode()) for name, value in marks.items()]
        assert inbox.verify(ctx, "stripe", headers, body) is verifier


def test_only_headers_worth_keeping_are_kept_and_all_of_them_can_be_stored():
    kept = inbox.kept_headers(
        [
            (b"User-Agent", b"Stripe/1.0 \xff\x00" + b"x" * 2000),
            (b"authorization", b"Bearer secret"),
            (b"stripe-signature", b"t=1"),
        ]
    )
    assert set(kept) == {"user-agent", "stripe-signature"}
    assert len(kept["user-agent"]) == 1000
    assert "\x00" not in kept["user-agent"]


# Understanding.


async def test_what_cannot_be_read_is_dead_with_its_reason(ctx: Context):
    [letter_id] = await builders.stored(ctx, "stripe", b'{"id": "evt_torn", "type": ')
    assert await builders.understood(ctx, letter_id) == "dead"
    row = await letter(ctx)
    assert row["reason"].startswith("unreadable: ")
    assert (row["status"], row["next_check_at"], row["processed_at"]) == ("dead", None, None)
    assert bytes(row["body"]) == b'{"id": "evt_torn", "type": '


async def test_what_is_not_for_us_is_ignored_with_the_reason_why(ctx: Context):
    assert await builders.told(ctx, "stripe", told()) == ["ignored"]
    row = await letter(ctx)
    assert row["reason"] == stripe.read([], builders.as_sent(told())).ignored_because
    assert (row["type"], row["processed_at"]) == ("payout.paid", ctx.now())


async def test_a_letter_is_understood_once(ctx: Context):
    [letter_id] = await builders.stored(ctx, "stripe", told())
    assert await builders.understood(ctx, letter_id) == "ignored"
    assert await builders.understood(ctx, letter_id) is None
    assert (await letter(ctx))["tries"] == 1


async def test_a_letter_in_another_workers_hands_is_left_alone(ctx: Context):
    [letter_id] = await builders.stored(ctx, "stripe", told())
    async with ctx.db.transaction() as conn:
        await stored_inbox.lock(conn, letter_id)
        assert await builders.understood(ctx, letter_id) is None
    assert (await letter(ctx))["status"] == "received"


async def test_a_letter_that_is_gone_is_nothing_to_do(ctx: Context):
    assert await builders.understood(ctx, ctx.new_id("webhook")) is None


async def test_the_facts_and_the_mark_commit_together_or_not_at_all(
    ctx: Context, monkeypatch: pytest.MonkeyPatch
):
    family = await builders.owed(ctx)
    charge = builders.charge(family.attempts[0], "ch_1")
    [letter_id] = await builders.stored(ctx, "stripe", builders.event("charge.succeeded", charge))

    async def torn(*_args: Any, **_named: Any) -> None:
        raise ConnectionResetError("the process died before it could mark the letter")

    with monkeypatch.context() as broken:
        broken.setattr(stored_inbox, "mark", torn)
        with pytest.raises(DatabaseAwayError):
            await inbox.understand(ctx, letter_id)
    assert await builders.one(ctx, "SELECT count(*) FROM facts") == 0
    assert (await letter(ctx))["status"] == "received"
    assert await builders.understood(ctx, letter_id) == "processed"
    assert await builders.one(ctx, "SELECT count(*) FROM facts") == 1


async def test_parked_letters_are_tried_ever_more_seldom_for_about_a_day_and_then_are_dead(ctx: Context):
    ours = {"metadata": {"counterfoil_attempt": "att_that_a_backup_has_lost"}}
    unknown = builders.event("charge.succeeded", _charge_of_nobody() | ours)
    [letter_id] = await builders.stored(ctx, "stripe", unknown)
    waits = []
    for _ in range(TRIES - 1):
        assert await builders.understood(ctx, letter_id) == "parked"
        row = await letter(ctx)
        waits.append(row["next_check_at"] - ctx.now())
        ctx.clock.advance(waits[-1])  # type: ignore[attr-defined]  the builders' clock can be moved
    assert waits == list(DELAYS) == sorted(waits)
    assert timedelta(hours=24) < sum(waits, timedelta()) < timedelta(hours=30)
    assert await builders.understood(ctx, letter_id) == "dead"
    row = await letter(ctx)
    assert row["reason"].startswith("unknown_object: ")
    assert (row["tries"], row["next_check_at"]) == (TRIES, None)


async def test_what_stays_unknown_is_dead_even_where_it_does_not_name_us(ctx: Context):
    [letter_id] = await builders.stored(
        ctx, "stripe", builders.event("charge.succeeded", _charge_of_nobody())
    )
    await _set(ctx, letter_id, tries=TRIES - 1)
    assert await builders.understood(ctx, letter_id) == "dead"
    assert (await letter(ctx))["reason"].startswith("unknown_object: ")


def _charge_of_nobody() -> dict[str, Any]:
    return {
        "object": "charge",
        "id": "ch_of_nobody",
        "payment_intent": "pi_of_nobody",
        "amount": 1,
        "currency": "usd",
        "status": "succeeded",
        "created": 1_793_000_000,
    }


async def test_an_error_while_understanding_parks_the_letter_with_it_and_in_the_end_kills_it(ctx: Context):
    [letter_id] = await builders.stored(ctx, "stripe", told())
    for tried in range(1, TRIES + 1):
        await inbox.failed(ctx, letter_id, KeyError("surprise"))
        row = await letter(ctx)
        assert row["reason"] == "error: KeyError: 'surprise'"
        assert (row["status"], row["tries"]) == ("dead" if tried == TRIES else "parked", tried)
    await inbox.failed(ctx, letter_id, KeyError("too late"))
    assert (await letter(ctx))["tries"] == TRIES


async def test_an_error_whose_text_no_database_holds_is_kept_all_the_same(ctx: Context):
    [letter_id] = await builders.stored(ctx, "stripe", told())
    await inbox.failed(ctx, letter_id, ValueError("torn \x00 and \ud800 in half"))
    row = await letter(ctx)
    assert (row["status"], row["tries"]) == ("parked", 1)
    assert row["reason"] == "error: ValueError: torn   and   in half"


async def test_understanding_one_letter_of_an_account_does_not_wait_for_another(
    ctx: Context, commits: Commits
):
    """The account's row, which the first event of an account teaches its id, must not be a lock for all that follow."""
    bodies = []
    for n in range(3):  # not captured: the numbers of receipts are taken one after the other, on purpose
        family = await builders.owed(ctx, "razorpay")
        held = builders.razorpay_payment(family.attempts[0], f"pay_{n}", "authorized")
        bodies.append(builders.razorpay_event("payment.authorized", payment=held))
    # The very first makes what all share: the account's id and the ledger accounts.
    assert await builders.told(ctx, "razorpay", bodies[0]) == ["processed"]
    first, second = await builders.stored(ctx, "razorpay", *bodies[1:])
    commits.gate.clear()
    slow = asyncio.create_task(builders.understood(ctx, first))
    await asyncio.sleep(0.2)  # it has done everything but commit
    quick = asyncio.create_task(builders.understood(ctx, second))
    await asyncio.sleep(0.2)
    waiting = await builders.one(
        ctx,
        "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'",
    )
    commits.gate.set()
    assert await asyncio.gather(slow, quick) == ["processed", "processed"]
    assert waiting == 0


# What a person does.


async def _page(ctx: Context, act: Any, letter_id: str) -> Any:
    return await act(ctx, "cli:tests", ctx.merchant_id, ctx.mode, letter_id)


async def test_a_dead_letter_replayed_is_understood_anew(ctx: Context):
    story = builders.life("stripe")
    [letter_id] = await builders.stored(ctx, "stripe", story.events["03_charge.succeeded"])
    await _set(ctx, letter_id, status="dead", tries=TRIES, next_check_at=None, reason="unknown_object: …")
    family = await builders.owed_by(ctx, story)
    replayed = await _page(ctx, inbox.replay, letter_id)
    assert (replayed.status, replayed.tries) == ("received", 0)
    assert await _jobs(ctx) == [letter_id, letter_id]
    assert await builders.understood(ctx, letter_id) == "processed"
    assert (await builders.family_of(ctx, family.payment.id)).payment.status == "captured"
    assert (await letter(ctx))["reason"] is None
    [act] = await builders.rows(ctx, "SELECT actor, action, object_id FROM audit WHERE actor <> 'service'")
    assert act == {"actor": "cli:tests", "action": "webhook.replay", "object_id": letter_id}


async def test_a_processed_letter_replayed_changes_nothing(ctx: Context):
    story = builders.life("stripe")
    family = await builders.owed_by(ctx, story)
    [letter_id] = await builders.stored(ctx, "stripe", story.events["03_charge.succeeded"])
    await builders.understood(ctx, letter_id)
    before = await builders.family_of(ctx, family.payment.id)
    journals = await builders.one(ctx, "SELECT count(*) FROM journals")
    await _page(ctx, inbox.replay, letter_id)
    assert await builders.understood(ctx, letter_id) == "processed"
    assert await builders.family_of(ctx, family.payment.id) == before
    assert await builders.one(ctx, "SELECT count(*) FROM journals") == journals


async def test_a_letter_put_aside_is_not_tried_again(ctx: Context):
    [letter_id] = await builders.stored(ctx, "stripe", b"torn")
    await builders.understood(ctx, letter_id)
    ignored = await _page(ctx, inbox.ignore, letter_id)
    assert (ignored.status, ignored.reason, ignored.next_check_at) == (
        "ignored",
        "ignored by cli:tests",
        None,
    )
    assert await builders.understood(ctx, letter_id) is None


async def test_a_letter_whose_facts_were_taken_cannot_be_put_aside(ctx: Context):
    story = builders.life("stripe")
    await builders.owed_by(ctx, story)
    [letter_id] = await builders.stored(ctx, "stripe", story.events["03_charge.succeeded"])
    await builders.understood(ctx, letter_id)
    with pytest.raises(WrongStateError):
        await _page(ctx, inbox.ignore, letter_id)
    assert (await letter(ctx))["status"] == "processed"


async def test_putting_aside_waits_for_the_worker_that_has_the_letter(ctx: Context, commits: Commits):
    story = builders.life("stripe")
    await builders.owed_by(ctx, story)
    [letter_id] = await builders.stored(ctx, "stripe", story.events["03_charge.succeeded"])
    commits.gate.clear()
    working = asyncio.create_task(builders.understood(ctx, letter_id))
    await asyncio.sleep(0.2)  # its facts are written, and not committed
    asking = asyncio.create_task(_page(ctx, inbox.ignore, letter_id))
    await asyncio.sleep(0.2)
    commits.gate.set()
    assert await working == "processed"
    with pytest.raises(WrongStateError):
        await asking
    assert (await letter(ctx))["status"] == "processed"


@pytest.mark.parametrize("act", [inbox.replay, inbox.ignore])
async def test_a_letter_of_the_other_mode_or_merchant_is_not_found(ctx: Context, act: Any):
    [letter_id] = await builders.stored(ctx, "stripe", told())
    for merchant, mode in ((ctx.merchant_id, "live"), ("mer_another", ctx.mode)):
        with pytest.raises(NotFoundError):
            await act(ctx, "cli:tests", merchant, mode, letter_id)
    assert (await letter(ctx))["status"] == "received"


async def _dead(ctx: Context, *bodies: dict[str, Any], gateway: str = "stripe") -> list[str]:
    ids = await builders.stored(ctx, gateway, *bodies)
    for id_ in ids:
        await _set(ctx, id_, status="dead", tries=TRIES, next_check_at=None)
    return ids


def _filter(ctx: Context, **narrow: Any) -> Filter:
    return Filter(merchant_id=ctx.merchant_id, mode=ctx.mode, **narrow)


async def _statuses(ctx: Context) -> dict[str, str]:
    return {row["id"]: row["status"] for row in await letters(ctx)}


async def test_the_dead_letters_of_a_gateway_are_replayed_together_each_audited(ctx: Context):
    mine = await _dead(ctx, told(1), told(2))
    other = await _dead(ctx, builders.razorpay_event("settlement.processed"), gateway="razorpay")
    [waiting] = await builders.stored(ctx, "stripe", told(3))
    narrow = _filter(ctx, status="dead", gateway="stripe")
    assert await inbox.replay_many(ctx, "cli:tests", narrow, limit=10) == sorted(mine)
    states = await _statuses(ctx)
    assert {states[id_] for id_ in mine} == {"received"}
    assert (states[other[0]], states[waiting]) == ("dead", "received")
    assert {row["tries"] for row in await letters(ctx) if row["id"] in mine} == {0}
    acts = await builders.rows(ctx, "SELECT actor, action, object_id FROM audit ORDER BY object_id")
    assert [(act["actor"], act["action"], act["object_id"]) for act in acts] == [
        ("cli:tests", "webhook.replay", id_) for id_ in sorted(mine)
    ]
    for id_ in mine:
        assert await builders.understood(ctx, id_) == "ignored"


async def test_no_more_are_replayed_than_asked_and_the_oldest_first(ctx: Context):
    first, *_ = sorted(await _dead(ctx, told(1), told(2), told(3)))
    assert await inbox.replay_many(ctx, "cli:tests", _filter(ctx, status="dead"), limit=1) == [first]


@pytest.mark.parametrize("narrow", [{"type": "charge.failed"}, {"payment_id": "pmt_1"}, {"status": "parked"}])
async def test_what_does_not_match_is_not_replayed(ctx: Context, narrow: dict[str, str]):
    await _dead(ctx, told(1))
    assert await inbox.replay_many(ctx, "cli:tests", _filter(ctx, **narrow), limit=10) == []


async def test_a_letter_of_the_other_mode_is_not_replayed_with_the_rest(ctx: Context):
    await _dead(ctx, told(1))
    live = Filter(merchant_id=ctx.merchant_id, mode="live", status="dead")
    assert await inbox.replay_many(ctx, "cli:tests", live, limit=10) == []


async def test_letters_in_a_workers_hands_are_not_replayed_with_the_rest(ctx: Context):
    held, free = await _dead(ctx, told(1), told(2))
    async with ctx.db.transaction() as conn:
        await stored_inbox.lock(conn, held)
        assert await inbox.replay_many(ctx, "cli:tests", _filter(ctx, status="dead"), limit=10) == [free]


async def test_what_is_missing_is_stored_and_what_is_there_left_alone(ctx: Context):
    there = told(1)
    [known] = await builders.stored(ctx, "stripe", there)
    await _set(ctx, known, status="dead", tries=TRIES, next_check_at=None)
    items = [builders.delivery(ctx, "stripe", body) for body in (there, told(2), told(2))]
    async with ctx.db.transaction() as conn:
        missing = await stored_inbox.missing(conn, items)
        assert [item.id for item in missing] == [item.id for item in items[1:]]
        assert await stored_inbox.store_missing(conn, [*missing, items[0]]) == 2
        assert await stored_inbox.missing(conn, items) == []
        assert await stored_inbox.missing(conn, []) == []
    [row] = [row for row in await letters(ctx) if row["id"] == known]
    assert (row["status"], row["deliveries"]) == ("dead", 1)
    assert sorted(await _jobs(ctx)) == sorted([known, *(item.id for item in items[1:])])
