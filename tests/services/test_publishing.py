"""Every change of a payment is an event, in its own transaction, and costs it one statement."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

import builders
from counterfoil.services import exceptions, publishing, standing
from counterfoil.services.context import Context
from counterfoil.store import payments
from outgoing import happened, numbered, sending_house


@pytest.fixture
async def ctx(database_url: str, tmp_path: Path) -> AsyncIterator[Context]:
    async with sending_house(database_url, tmp_path / "key") as house:
        yield house


async def test_each_version_of_a_payment_is_an_event_with_the_payment_as_it_then_was(ctx: Context):
    story = builders.life("stripe")
    family = await builders.owed_by(ctx, story)
    for name in sorted(story.events):
        await builders.told(ctx, "stripe", story.events[name])
    now = (await builders.family_of(ctx, family.payment.id)).payment
    told = [one for one in await numbered(ctx) if one.object_id == now.id]
    assert [one.version for one in told] == list(range(2, now.version + 1))
    assert [one.object["version"] for one in told] == [one.version for one in told]
    assert "payment.captured" in [one.type for one in told]
    captured = next(one for one in told if one.type == "payment.captured")
    assert (captured.object["status"], captured.object["amount_captured"]) == ("captured", 10_000)
    assert captured.object["attempts"][0]["charges"][0]["status"] == "captured"
    assert told[-1].object["amount_refunded"] == now.amount_refunded > 0
    assert told[-1].type == "payment.updated"


async def test_an_event_holds_no_link_and_no_secret(ctx: Context):
    family = await builders.owed(ctx)
    async with ctx.db.transaction() as conn:
        await publishing.payment(ctx, conn, family, before=None)
    [event] = await numbered(ctx)
    assert event.type == "payment.created"
    assert "checkout" not in event.object
    assert "token=" not in str(event.object)


async def test_what_is_rolled_back_was_never_told(ctx: Context):
    family = await builders.owed(ctx)

    async def fail() -> None:
        async with ctx.db.transaction() as conn:
            await standing.confirming(ctx, conn, family)
            raise KeyError

    with pytest.raises(KeyError):
        await fail()
    assert await numbered(ctx) == []


async def test_a_confirmation_that_is_about_to_leave_is_told(ctx: Context):
    family = await builders.owed(ctx)
    async with ctx.db.transaction() as conn:
        await standing.confirming(ctx, conn, family)
    [event] = await numbered(ctx)
    assert (event.type, event.version, event.object["status"]) == ("payment.pending", 2, "pending")


async def test_a_recomputing_that_changes_nothing_tells_nothing(ctx: Context):
    family = await builders.owed(ctx)
    async with ctx.db.transaction() as conn:
        await standing.recompute(ctx, conn, await payments.lock(conn, family.payment.id))
    assert await numbered(ctx) == []


async def test_an_exception_is_told_once(ctx: Context):
    family = await builders.owed(ctx)
    for _ in range(2):
        async with ctx.db.transaction() as conn:
            await exceptions.call_a_person(
                ctx, conn, family.payment, kind="over_refunded", subject="chg_1", sentence="More went back."
            )
    [event] = await numbered(ctx)
    assert event.type == "alert.opened"
    assert event.object | {"id": "", "opened_at": ""} == {
        "id": "",
        "object": "alert",
        "mode": "sandbox",
        "kind": "over_refunded",
        "subject": "chg_1",
        "payment": family.payment.id,
        "sentence": "More went back.",
        "opened_at": "",
        "version": 1,
    }


async def test_telling_costs_one_statement(ctx: Context):
    family = await builders.owed(ctx)
    async with ctx.db.transaction() as conn:
        counted: list[Any] = []
        inner: Any = conn._con
        inner.add_query_logger(counted.append)
        await publishing.payment(ctx, conn, family, before=None)
        inner.remove_query_logger(counted.append)
    assert len(counted) == 1


async def test_only_types_of_the_list_are_published(ctx: Context):
    with pytest.raises(ValueError, match=r"payment\.vanished"):
        await happened(ctx, "pmt_1", 1, "payment.vanished")
