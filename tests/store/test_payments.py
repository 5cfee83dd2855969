import asyncio
from datetime import timedelta

import pytest

import builders
from counterfoil.services.context import Context
from counterfoil.store import payments

FIRST, LONGEST = timedelta(seconds=30), timedelta(hours=1)


async def due(ctx: Context, limit: int = 100) -> list[str]:
    async with ctx.db.transaction() as conn:
        return await payments.take_due(conn, now=ctx.now(), first=FIRST, longest=LONGEST, limit=limit)


async def test_what_is_due_is_asked_about_ever_more_seldom_up_to_an_hour(ctx: Context):
    family = await builders.owed(ctx)
    waits = []
    for _ in range(30):
        at = await builders.one(ctx, "SELECT next_check_at FROM payments")
        ctx.clock.advance(at - ctx.now())  # type: ignore[attr-defined]  the builders' clock can be moved
        assert await due(ctx) == [family.payment.id]
        assert await due(ctx) == []
        waits.append(await builders.one(ctx, "SELECT next_check_at FROM payments") - ctx.now())
    assert waits[:8] == [min(FIRST * 2**n, LONGEST) for n in range(8)]
    assert set(waits[8:]) == {LONGEST}


async def test_two_sweepers_never_take_the_same_payment(ctx: Context):
    families = [await builders.owed(ctx) for _ in range(40)]
    ctx.clock.advance(timedelta(days=2))  # type: ignore[attr-defined]  the builders' clock can be moved
    taken = await asyncio.gather(*(due(ctx, limit=10) for _ in range(4)))
    assert sorted(id_ for batch in taken for id_ in batch) == sorted(family.payment.id for family in families)


async def test_an_attempt_is_found_by_the_gateways_reference_by_ours_and_by_its_charge(ctx: Context):
    family = await builders.owed(ctx)
    attempt = family.attempts[0]
    captured = builders.event("charge.succeeded", builders.charge(attempt, "ch_1"))
    await builders.told(ctx, "stripe", captured)

    async def find(account: str, refs: list[str], ours: list[str]) -> str | None:
        async with ctx.db.reading() as conn:
            return await payments.find_attempt(conn, account, refs=refs, ours=ours)

    for refs, ours in (([attempt.ref], []), ([], [attempt.id]), (["ch_1"], []), (["x", "ch_1"], ["y"])):
        assert await find(attempt.account_id, refs, ours) == family.payment.id
        assert await find(builders.account(ctx, "razorpay"), refs, ours) is None
    assert await find(attempt.account_id, ["pi_of_nobody"], ["att_of_nobody"]) is None


async def test_a_payment_of_another_mode_or_merchant_is_not_there(ctx: Context):
    family = await builders.owed(ctx)
    async with ctx.db.reading() as conn:
        await payments.get(conn, family.payment.id, merchant_id=ctx.merchant_id, mode="sandbox")
        for merchant, mode in ((ctx.merchant_id, "live"), ("mer_another", "sandbox")):
            with pytest.raises(LookupError):
                await payments.get(conn, family.payment.id, merchant_id=merchant, mode=mode)
        with pytest.raises(LookupError):
            await payments.lock(conn, "pmt_of_nobody")


async def test_who_locks_a_family_reads_what_was_committed_before(ctx: Context):
    family = await builders.owed(ctx)
    locked = asyncio.Event()

    async def change() -> None:
        async with ctx.db.transaction() as conn:
            await payments.lock(conn, family.payment.id)
            locked.set()
            await asyncio.sleep(0.1)
            await payments.update_attempt(conn, family.attempts[0].id, fenced_at=ctx.now())

    changing = asyncio.create_task(change())
    await locked.wait()
    async with ctx.db.transaction() as conn:
        seen = await payments.lock(conn, family.payment.id)
    await changing
    assert seen.attempts[0].fenced_at == ctx.now()


async def test_many_families_come_in_the_order_asked_for(ctx: Context):
    made = [await builders.owed(ctx) for _ in range(3)]
    asked = [made[2].payment.id, made[0].payment.id]
    async with ctx.db.reading() as conn:
        found = await payments.families(conn, asked)
    assert [family.payment.id for family in found] == asked
    assert [family.attempts for family in found] == [made[2].attempts, made[0].attempts]
