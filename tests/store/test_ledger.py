import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

import builders
from counterfoil.domain import ledger as books
from counterfoil.domain.fact import Kind, Report
from counterfoil.services.context import Context
from counterfoil.store import database, facts, ledger
from counterfoil.store.database import Connection
from counterfoil.store.facts import Source
from counterfoil.store.payments import Family

AT_ONCE = 12
WAITING_S = 0.2  # long enough to see that one waits for the other


@pytest.fixture
async def other(ctx: Context, database_url: str) -> AsyncIterator[Context]:
    """A second process, as the database sees it: connections of its own."""
    opened = await database.connect(database_url)
    yield replace(ctx, db=opened)
    await opened.close()


def captured(family: Family, ref: str = "ch_1") -> Report:
    return Report(
        kind=Kind.CHARGE_CAPTURED, object_id=ref, amount=family.payment.money, at=builders.NOW, charge_ref=ref
    )


async def learn(ctx: Context, conn: Connection, family: Family, report: Report) -> None:
    source = Source(kind="webhook", id="whk_1")
    await facts.insert(conn, family.attempts[0], report, charge_ref="ch_1", source=source, now=ctx.now())


async def post(ctx: Context, conn: Connection, family: Family, report: Report, amount: int = 10_000) -> None:
    await ledger.post(
        conn,
        id_=ctx.new_id("journal"),
        payment=family.payment,
        attempt=family.attempts[0],
        fact=(report.object_id, report.kind.value, report.amount.minor),
        rule="capture",
        entries=books.capture(amount, surplus=False),
        at=report.at,
        now=ctx.now(),
    )


async def balances(ctx: Context) -> dict[str, int]:
    """Each ledger account's sum; of one currency."""
    async with ctx.db.reading() as conn:
        found = await ledger.balances(conn, ctx.merchant_id, ctx.mode)
    assert len({row["currency"] for row in found}) == 1
    return {row["name"]: row["balance"] for row in found}


async def test_ledger_accounts_are_made_once_however_many_make_them_at_once(ctx: Context):
    families = [await builders.owed(ctx) for _ in range(AT_ONCE)]

    async def book(n: int, family: Family) -> None:
        async with ctx.db.transaction() as conn:
            report = captured(family, f"ch_{n}")
            await learn(ctx, conn, family, report)
            await post(ctx, conn, family, report)

    await asyncio.gather(*(book(n, family) for n, family in enumerate(families)))
    accounts = await builders.rows(ctx, "SELECT name, currency FROM ledger_accounts ORDER BY name")
    assert accounts == [
        {"name": "gateway_balance", "currency": "USD"},
        {"name": "sales", "currency": "USD"},
    ]
    assert await balances(ctx) == {"gateway_balance": AT_ONCE * 10_000, "sales": -AT_ONCE * 10_000}


async def test_an_account_made_by_a_transaction_that_fails_is_made_by_the_one_that_waited(ctx: Context):
    first, second = await builders.owed(ctx), await builders.owed(ctx)
    made = asyncio.Event()

    async def fail() -> None:
        async with ctx.db.transaction() as conn:
            report = captured(first)
            await learn(ctx, conn, first, report)
            await post(ctx, conn, first, report)
            made.set()
            await asyncio.sleep(WAITING_S)  # the other has come to the same accounts, and waits
            raise KeyError

    async def book() -> None:
        await made.wait()
        async with ctx.db.transaction() as conn:
            report = captured(second, "ch_2")
            await learn(ctx, conn, second, report)
            await post(ctx, conn, second, report)

    failed, _ = await asyncio.gather(fail(), book(), return_exceptions=True)
    assert isinstance(failed, KeyError)
    assert await builders.one(ctx, "SELECT count(*) FROM ledger_accounts") == 2
    assert await builders.one(ctx, "SELECT count(*) FROM journals") == 1


async def test_two_processes_book_the_first_journals_of_a_currency_at_once(ctx: Context, other: Context):
    first, second = [await builders.owed(ctx, amount=500, currency="JPY") for _ in range(2)]
    posted = asyncio.Event()

    async def begin() -> None:
        async with ctx.db.transaction() as conn:
            await learn(ctx, conn, first, captured(first))
            await post(ctx, conn, first, captured(first), 500)
            posted.set()
            await asyncio.sleep(WAITING_S)
            assert not following.done()  # it waits for the accounts that are being made here

    async def follow() -> None:
        await posted.wait()
        async with other.db.transaction() as conn:
            await learn(other, conn, second, captured(second, "ch_2"))
            await post(other, conn, second, captured(second, "ch_2"), 500)

    following = asyncio.create_task(follow())
    await asyncio.gather(begin(), following)
    assert await balances(ctx) == {"gateway_balance": 1_000, "sales": -1_000}
    assert await builders.one(ctx, "SELECT count(*) FROM journals") == 2


@pytest.mark.parametrize("there", ["gateway_balance", "sales", "owed_to_customers"])
async def test_accounts_that_are_missing_are_made_beside_those_that_are_there(ctx: Context, there: str):
    family = await builders.owed(ctx)
    async with ctx.db.transaction() as conn:
        was = await conn.fetchval(
            "INSERT INTO ledger_accounts (merchant_id, mode, account_id, currency, name)"
            " VALUES ($1, $2, $3, 'USD', $4) RETURNING id",
            ctx.merchant_id,
            ctx.mode,
            family.attempts[0].account_id,
            there,
        )
        await learn(ctx, conn, family, captured(family))
        await post(ctx, conn, family, captured(family))
    found = await builders.rows(ctx, "SELECT name, id FROM ledger_accounts ORDER BY name")
    assert {row["name"] for row in found} == {"gateway_balance", "sales", there}
    assert {row["name"]: row["id"] for row in found}[there] == was
    booked = {name: balance for name, balance in (await balances(ctx)).items() if balance}
    assert booked == {"gateway_balance": 10_000, "sales": -10_000}


@pytest.mark.parametrize("fails", [False, True])
async def test_a_fact_that_two_processes_book_at_once_is_booked_once(
    ctx: Context, other: Context, fails: bool
):
    family = await builders.owed(ctx)
    async with ctx.db.transaction() as conn:
        await learn(ctx, conn, family, captured(family))
    posted = asyncio.Event()

    async def begin() -> None:
        async with ctx.db.transaction() as conn:
            await post(ctx, conn, family, captured(family))
            posted.set()
            await asyncio.sleep(WAITING_S)
            if fails:
                raise KeyError

    async def follow() -> None:
        await posted.wait()
        async with other.db.transaction() as conn:
            await post(other, conn, family, captured(family))

    came = await asyncio.gather(begin(), follow(), return_exceptions=True)
    assert [type(one) for one in came] == [KeyError if fails else type(None), type(None)]
    assert await builders.one(ctx, "SELECT count(*) FROM journals") == 1
    assert await builders.one(ctx, "SELECT count(*) FROM entries") == 2


async def test_a_fact_is_booked_once_by_each_rule(ctx: Context):
    family = await builders.owed(ctx)
    report = captured(family)
    async with ctx.db.transaction() as conn:
        await learn(ctx, conn, family, report)
        for _ in range(3):
            await post(ctx, conn, family, report)
    assert await builders.one(ctx, "SELECT count(*) FROM journals") == 1
    assert await builders.one(ctx, "SELECT count(*) FROM entries") == 2


async def test_what_no_fact_says_is_not_booked(ctx: Context):
    family = await builders.owed(ctx)
    async with ctx.db.transaction() as conn:
        await post(ctx, conn, family, captured(family, "ch_of_nobody"))
    assert await builders.one(ctx, "SELECT count(*) FROM journals") == 0


async def test_currencies_have_accounts_of_their_own(ctx: Context):
    codes = ("USD", "JPY", "KWD")
    for code in codes:
        family = await builders.owed(ctx, currency=code)
        report = captured(family)
        async with ctx.db.transaction() as conn:
            await learn(ctx, conn, family, report)
            await post(ctx, conn, family, report)
    async with ctx.db.reading() as conn:
        found = await ledger.balances(conn, ctx.merchant_id, ctx.mode)
    assert {(row["name"], row["currency"]): row["balance"] for row in found} == {
        (name, code): amount
        for code in codes
        for name, amount in (("gateway_balance", 10_000), ("sales", -10_000))
    }
