"""Disputes in the database: what binds our answer, and who takes what is due."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import asyncpg
import pytest

import builders
from counterfoil.services.context import Context
from counterfoil.store import disputes
from counterfoil.store.disputes import Filter

HOUR = timedelta(hours=1)


@pytest.fixture
async def ctx(database_url: str) -> AsyncIterator[Context]:
    async with builders.open_house(database_url) as house:
        yield house.context


async def disputed(ctx: Context, ref: str) -> str:
    """The id of a dispute of a charge that was captured."""
    family = await builders.owed(ctx)
    of = family.attempts[0]
    charge = builders.event("charge.succeeded", builders.charge(of, f"ch_{ref}"))
    told = builders.dispute(of, f"dp_{ref}", f"ch_{ref}", "needs_response", 3_000)
    await builders.told(ctx, "stripe", charge, builders.event("charge.dispute.created", told))
    return (await builders.family_of(ctx, family.payment.id)).disputes[0].id


async def change(ctx: Context, sql: str, *values: Any) -> None:
    async with ctx.db.transaction() as conn:
        await conn.execute(f"UPDATE disputes SET {sql}", *values)


@pytest.mark.parametrize(
    "sql",
    [
        "answer = 'submitting'",
        "answer = 'submitting', submitted_by = 'key_1'",
        "answer = 'submitting', sent = '{}'",
        "answer = 'submitted', submitted_by = 'key_1', sent = '{}'",
        "answer = 'accepting'",
        "answer = 'accepted', accepted_by = 'key_1'",
        "answer = 'refunded'",
        "state = 'open'",
    ],
)
async def test_nothing_leaves_that_nobody_stands_for(ctx: Context, sql: str):
    await disputed(ctx, "1")
    with pytest.raises(asyncpg.CheckViolationError):
        await change(ctx, sql)


async def test_what_was_accepted_stays_accepted(ctx: Context):
    await disputed(ctx, "1")
    await change(ctx, "answer = 'accepted', accepted_by = 'key_1', accepted_at = opened_at")
    with pytest.raises(asyncpg.CheckViolationError, match="stays accepted"):
        await change(ctx, "answer = 'none'")


async def test_a_dispute_is_kept_once_for_its_account(ctx: Context):
    id_ = await disputed(ctx, "1")
    async with ctx.db.reading() as conn:
        dispute = await disputes.get(conn, id_)
    with pytest.raises(asyncpg.UniqueViolationError):
        async with ctx.db.transaction() as conn:
            await disputes.insert(conn, dispute)


async def test_what_is_due_is_taken_by_one_and_pushed_on_ever_further(ctx: Context):
    id_ = await disputed(ctx, "1")
    now = ctx.now()
    async with ctx.db.transaction() as conn, ctx.db.transaction() as other:
        asked = {"now": now, "first": HOUR, "longest": 24 * HOUR, "limit": 10}
        assert [one for one, _ in await disputes.take_due(conn, **asked)] == [id_]
        assert await disputes.take_due(other, **asked) == []
    for wait in (1, 2, 4, 8, 16, 24, 24):
        async with ctx.db.transaction() as conn:
            dispute = await disputes.get(conn, id_)
            assert dispute.next_check_at == now + wait * HOUR
            now = dispute.next_check_at
            assert await disputes.any_due(conn, now)
            assert not await disputes.any_due(conn, now - timedelta(seconds=1))
            asked = {"now": now, "first": HOUR, "longest": 24 * HOUR, "limit": 10}
            assert len(await disputes.take_due(conn, **asked)) == 1


async def test_evidence_stands_beside_the_dispute_and_outlives_its_changes(ctx: Context):
    id_ = await disputed(ctx, "1")
    async with ctx.db.transaction() as conn:
        assert await disputes.draft(conn, id_) == {}
        assert await disputes.sent(conn, id_) is None
        await disputes.keep_draft(conn, id_, {"summary": "ours"})
        await disputes.keep_sent(conn, id_, {"summary": "sent"})
        await disputes.update(conn, await disputes.get(conn, id_))
        assert await disputes.draft(conn, id_) == {"summary": "ours"}
        assert await disputes.sent(conn, id_) == {"summary": "sent"}


async def test_a_page_begins_where_the_last_one_ended(ctx: Context):
    made = [await disputed(ctx, str(n)) for n in range(3)]
    narrow = Filter(merchant_id=ctx.merchant_id, mode=ctx.mode)
    async with ctx.db.reading() as conn:
        first = await disputes.page(conn, narrow, limit=2, before=None)
        rest = await disputes.page(conn, narrow, limit=2, before=first[-1].id)
        of_another = Filter(merchant_id="mer_other", mode=ctx.mode)
        assert await disputes.page(conn, of_another, limit=2, before=None) == ()
    assert sorted([one.id for one in (*first, *rest)]) == sorted(made)


async def test_a_dispute_of_another_mode_is_not_there(ctx: Context):
    id_ = await disputed(ctx, "1")
    async with ctx.db.reading() as conn:
        with pytest.raises(LookupError):
            await disputes.get(conn, id_, merchant_id=ctx.merchant_id, mode="live")
        with pytest.raises(LookupError):
            await disputes.get(conn, "dsp_none")
