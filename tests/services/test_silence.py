"""A gateway that does things of which it does not tell calls a person, until it speaks again."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

import builders
from counterfoil.domain.fact import Kind, Report
from counterfoil.services import facts, inbox, silence
from counterfoil.services.accounts import Verifier
from counterfoil.services.context import Context
from counterfoil.services.silence import KIND, PATIENCE
from counterfoil.store import inbox as stored_inbox
from counterfoil.store import payments
from counterfoil.store.facts import Source
from counterfoil.store.inbox import RECOVERED
from counterfoil.store.payments import Family
from counterfoil.store.silence import SLACK

MOMENT = timedelta(seconds=1)


@pytest.fixture
async def ctx(database_url: str) -> AsyncIterator[Context]:
    async with builders.open_house(database_url) as house:
        yield house.context


def pass_by(ctx: Context, time: timedelta) -> None:
    ctx.clock.advance(time)  # type: ignore[attr-defined]  the builders' clock can be moved


async def asked(ctx: Context, gateway: str = "stripe", kind: Kind = Kind.CHARGE_CAPTURED) -> Family:
    """A charge that we know of by asking."""
    family = await builders.owed(ctx, gateway)
    attempt = family.attempts[0]
    report = Report(
        kind=kind,
        object_id=f"ch_{builders.unique()}",
        amount=attempt.money,
        at=ctx.now(),
        attempt_ref=attempt.ref,
    )
    async with ctx.db.transaction() as conn:
        locked = await payments.lock(conn, family.payment.id)
        return await facts.apply(ctx, conn, locked, [report], Source(kind="sweep", id=family.payment.id))


async def listed(ctx: Context) -> dict[str, Any]:
    """An event that was found on the gateway's list."""
    event = builders.event("payout.paid", {"id": "po_1", "object": "payout"})
    account = ctx.directory.account(builders.account(ctx, "stripe"))
    found = inbox.delivery(
        ctx, Verifier(account=account, secret_id=RECOVERED, secret=b""), [], builders.as_sent(event)
    )
    async with ctx.db.transaction() as conn:
        assert await stored_inbox.store_missing(conn, [found]) == 1
    return event


async def alarms(ctx: Context) -> list[tuple[str, bool]]:
    """The account and whether it is over, of every alarm."""
    await silence.watch(ctx)
    rows = await builders.rows(ctx, "SELECT * FROM exceptions WHERE kind = $1 ORDER BY opened_at", KIND)
    return [(row["subject"].partition("/")[0], row["resolved_at"] is not None) for row in rows]


async def heard(ctx: Context, gateway: str = "stripe") -> None:
    event = builders.event if gateway == "stripe" else lambda kind, _: builders.razorpay_event(kind)
    await builders.stored(ctx, gateway, event("payout.paid", {"id": builders.unique(), "object": "payout"}))


async def test_a_shop_without_customers_hears_nothing_and_that_is_well(ctx: Context):
    pass_by(ctx, timedelta(days=3))
    assert await alarms(ctx) == []


@pytest.mark.parametrize("learn", [asked, listed])
async def test_what_was_done_and_not_told_calls_a_person_after_a_while_once(ctx: Context, learn: Any):
    await learn(ctx)
    pass_by(ctx, PATIENCE - MOMENT)
    assert await alarms(ctx) == []
    pass_by(ctx, MOMENT)
    account = builders.account(ctx, "stripe")
    assert await alarms(ctx) == [(account, False)]
    if learn is asked:
        await asked(ctx)
    pass_by(ctx, timedelta(hours=1))
    assert await alarms(ctx) == [(account, False)]
    [row] = await builders.rows(ctx, "SELECT * FROM exceptions WHERE kind = $1", KIND)
    assert (row["merchant_id"], row["mode"], row["payment_id"]) == (ctx.merchant_id, ctx.mode, None)
    assert row["sentence"].startswith(
        "Since 2026-11-22 12:00 UTC stripe does things of which it sends no webhook. None "
    )


async def test_the_alarm_ends_by_itself_when_the_gateway_speaks_and_comes_again_when_it_falls_silent(
    ctx: Context,
):
    await asked(ctx)
    pass_by(ctx, PATIENCE)
    account = builders.account(ctx, "stripe")
    assert await alarms(ctx) == [(account, False)]
    await heard(ctx)
    assert await alarms(ctx) == [(account, True)]
    pass_by(ctx, timedelta(hours=1))
    await asked(ctx)
    pass_by(ctx, PATIENCE)
    assert await alarms(ctx) == [(account, True), (account, False)]


async def test_one_gateway_speaks_not_for_the_other(ctx: Context):
    await asked(ctx, "razorpay")
    pass_by(ctx, PATIENCE)
    await heard(ctx, "stripe")
    assert await alarms(ctx) == [(builders.account(ctx, "razorpay"), False)]


async def test_a_webhook_that_is_quicker_than_the_answer_it_tells_of_counts(ctx: Context):
    await heard(ctx)
    pass_by(ctx, SLACK)
    await asked(ctx)
    pass_by(ctx, timedelta(days=1))
    assert await alarms(ctx) == []
    await asked(ctx)
    pass_by(ctx, PATIENCE)
    assert len(await alarms(ctx)) == 1


async def test_a_recovered_event_is_no_webhook_until_its_webhook_comes(ctx: Context):
    event = await listed(ctx)
    pass_by(ctx, PATIENCE)
    account = builders.account(ctx, "stripe")
    assert await alarms(ctx) == [(account, False)]
    await builders.stored(ctx, "stripe", event)
    assert await alarms(ctx) == [(account, True)]


@pytest.mark.parametrize("kind", [Kind.ATTEMPT_OPENED, Kind.CHARGE_CREATED])
async def test_what_gateways_do_not_tell_of_is_not_waited_for(ctx: Context, kind: Kind):
    await asked(ctx, "razorpay", kind)
    pass_by(ctx, PATIENCE)
    assert await alarms(ctx) == []


async def test_what_a_webhook_told_needs_no_other(ctx: Context):
    story = builders.life("stripe")
    await builders.owed_by(ctx, story)
    await builders.told(ctx, "stripe", story.events["03_charge.succeeded"])
    pass_by(ctx, timedelta(days=1))
    assert await alarms(ctx) == []
