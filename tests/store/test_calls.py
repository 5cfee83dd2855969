import asyncio
from datetime import timedelta

import pytest

import builders
from counterfoil.domain.call import Call, Settled, Verb
from counterfoil.services import calling
from counterfoil.services.context import Context
from counterfoil.store import calls, payments
from counterfoil.store.calls import CallInFlightError
from counterfoil.store.payments import Family


async def begun(ctx: Context, family: Family, verb: Verb = Verb.CONFIRM) -> Call:
    async with ctx.db.transaction() as conn:
        return await calling.begin(ctx, conn, family.attempts[0], verb)


async def settle(ctx: Context, call: Call, settled: Settled) -> bool:
    async with ctx.db.transaction() as conn:
        return await calls.settle(conn, call.id, settled, message="so", answer=b"{}", now=ctx.now())


async def test_an_attempt_has_one_call_under_way(ctx: Context):
    family = await builders.owed(ctx)

    async def begin() -> str:
        try:
            return (await begun(ctx, family)).id
        except CallInFlightError:
            return ""

    came = await asyncio.gather(*(begin() for _ in range(10)))
    assert len([call for call in came if call]) == 1
    family = await builders.family_of(ctx, family.payment.id)
    assert [call.id for call in family.unsettled] == [max(came)]


@pytest.mark.parametrize("settled", [Settled.ACCEPTED, Settled.DECLINED, Settled.REFUSED, Settled.ABANDONED])
async def test_a_settled_call_makes_room_for_the_next(ctx: Context, settled: Settled):
    family = await builders.owed(ctx)
    assert await settle(ctx, await begun(ctx, family), settled)
    assert (await begun(ctx, family, Verb.CANCEL)).verb is Verb.CANCEL


async def test_an_unknown_outcome_lets_nothing_else_begin_until_it_is_settled(ctx: Context):
    family = await builders.owed(ctx)
    call = await begun(ctx, family)
    assert await settle(ctx, call, Settled.UNKNOWN)
    [left] = (await builders.family_of(ctx, family.payment.id)).unsettled
    assert (left.id, left.settled) == (call.id, Settled.UNKNOWN)
    with pytest.raises(CallInFlightError):
        await begun(ctx, family)
    assert await settle(ctx, call, Settled.DECLINED)
    await begun(ctx, family)


async def test_the_first_word_on_a_call_stands(ctx: Context):
    family = await builders.owed(ctx)
    call = await begun(ctx, family)
    assert await settle(ctx, call, Settled.ACCEPTED)
    assert not await settle(ctx, call, Settled.UNKNOWN)
    [kept] = (await builders.family_of(ctx, family.payment.id)).calls
    assert (kept.settled, kept.key) == (Settled.ACCEPTED, call.key)


async def test_a_refused_begin_leaves_its_transaction_usable(ctx: Context):
    family, other = await builders.owed(ctx), await builders.owed(ctx)
    await begun(ctx, family)
    async with ctx.db.transaction() as conn:
        with pytest.raises(CallInFlightError):
            await calling.begin(ctx, conn, family.attempts[0], Verb.CAPTURE)
        await calling.begin(ctx, conn, other.attempts[0], Verb.CAPTURE)
    assert len((await builders.family_of(ctx, other.payment.id)).calls) == 1


async def test_reads_in_vain_are_counted(ctx: Context):
    family = await builders.owed(ctx)
    call = await begun(ctx, family)
    async with ctx.db.transaction() as conn:
        assert [await calls.count_read(conn, call.id) for _ in range(3)] == [1, 2, 3]


async def next_check(ctx: Context, family: Family) -> tuple[timedelta | None, int]:
    payment = (await builders.family_of(ctx, family.payment.id)).payment
    return payment.next_check_at and payment.next_check_at - ctx.now(), payment.checks


@pytest.mark.parametrize("waits", [None, timedelta(hours=1), timedelta(seconds=31)])
async def test_a_payment_with_a_call_on_its_way_is_asked_about_within_the_minute(
    ctx: Context, waits: timedelta | None
):
    family = await builders.owed(ctx)
    async with ctx.db.transaction() as conn:
        at = ctx.now() + waits if waits else None
        await payments.update(conn, family.payment.id, next_check_at=at, checks=7)
    await begun(ctx, family, Verb.CAPTURE)
    assert await next_check(ctx, family) == (timedelta(seconds=30), 0)


async def test_a_payment_that_is_asked_about_sooner_stays_so(ctx: Context):
    family = await builders.owed(ctx)
    async with ctx.db.transaction() as conn:
        at = ctx.now() + timedelta(seconds=5)
        await payments.update(conn, family.payment.id, next_check_at=at, checks=2)
    await begun(ctx, family, Verb.CAPTURE)
    assert await next_check(ctx, family) == (timedelta(seconds=5), 2)
