import asyncio

import builders
from counterfoil.services.context import Context
from counterfoil.store import accounts


async def test_the_first_word_on_an_accounts_own_id_stands(ctx: Context):
    account_id = builders.account(ctx, "razorpay")

    async def learn(external_id: str) -> str:
        async with ctx.db.transaction() as conn:
            return await accounts.learn_external_id(conn, account_id, external_id)

    came = await asyncio.gather(*(learn(f"acc_{n}") for n in range(8)))
    assert len(set(came)) == 1
    assert await learn("acc_late") == came[0]
    assert (
        await builders.one(ctx, "SELECT external_id FROM gateway_accounts WHERE id = $1", account_id)
        == came[0]
    )


async def test_an_account_that_captures_by_itself_carries_a_flag(ctx: Context):
    account_id = builders.account(ctx, "razorpay")
    for does in (True, False):
        async with ctx.db.transaction() as conn:
            await accounts.set_captures_by_itself(conn, account_id, does=does)
        async with ctx.db.reading() as conn:
            found = {row.id: row.captures_by_itself for row in await accounts.all_accounts(conn)}
        assert found[account_id] is does


async def test_no_secret_is_shown_by_what_holds_it(ctx: Context):
    async with ctx.db.reading() as conn:
        rows = [*await accounts.all_accounts(conn), *await accounts.live_secrets(conn, ctx.now())]
    assert len(rows) == 4
    for row in rows:
        assert "secret_key=" not in repr(row)
        assert "secret=" not in repr(row)
