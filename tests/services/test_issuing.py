"""When a receipt is issued, by what number, and what it says of the gateway's own figures."""

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

import builders
from counterfoil.domain.delivery import Policy, Security, Smtp
from counterfoil.domain.payment import Status
from counterfoil.services import issuing, receipts
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.store.payments import Family


@pytest.fixture
async def ctx(database_url: str) -> AsyncIterator[Context]:
    async with builders.open_house(database_url) as house:
        house.context.directory.document["receiptGeneration"]["showFees"] = True
        yield house.context


async def fees(ctx: Context, gateway: str, event: Any, currency: str) -> int | None:
    """The fees on the receipt of a payment of which the gateway has told this."""
    family = await builders.owed(ctx, gateway, amount=10_000, currency=currency)
    await builders.told(ctx, gateway, event(family.attempts[0]))
    caller = Caller("tests", ctx.merchant_id, ctx.mode)
    return (await receipts.of_payment(ctx, caller, family.payment.id)).fees


@pytest.mark.parametrize(("settled", "shown"), [("usd", 320), ("eur", None)])
async def test_fees_are_shown_where_they_are_in_the_receipts_currency(
    ctx: Context, settled: str, shown: int | None
):
    row = {"object": "balance_transaction", "id": "txn_1", "amount": 9_000, "currency": settled, "fee": 320}

    def captured(attempt: Any) -> Any:
        charge = builders.charge(attempt, f"ch_{builders.unique()}", balance_transaction=row)
        return builders.event("charge.captured", charge)

    assert await fees(ctx, "stripe", captured, "USD") == shown


async def test_a_gateway_that_names_no_currency_keeps_its_fees_in_the_payments(ctx: Context):
    def captured(attempt: Any) -> Any:
        ref = f"pay_{builders.unique()}"
        told = builders.razorpay_payment(attempt, ref, "captured", fee=236, tax=36)
        return builders.razorpay_event("payment.captured", payment=told)

    assert await fees(ctx, "razorpay", captured, "INR") == 236


async def captured(ctx: Context) -> Family:
    """A payment whose money was taken, as it then stands."""
    family = await builders.owed(ctx, "stripe", amount=10_000, currency="USD")
    charge = builders.charge(family.attempts[0], f"ch_{builders.unique()}")
    await builders.told(ctx, "stripe", builders.event("charge.captured", charge))
    return await builders.family_of(ctx, family.payment.id)


async def rows(ctx: Context, sql: str, *values: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in await builders.rows(ctx, sql, *values)]


async def count_up_to(ctx: Context, prefix: str, last: int) -> None:
    """The series of this year has given so many numbers."""
    async with ctx.db.transaction() as conn:
        await conn.execute(
            "INSERT INTO receipt_series (merchant_id, mode, prefix, year, last) VALUES ($1, $2, $3, $4, $5)",
            ctx.merchant_id,
            ctx.mode,
            prefix,
            ctx.now().year,
            last,
        )


async def test_what_was_issued_is_one_number_in_the_receipt_its_event_and_the_audit(ctx: Context):
    family = await captured(ctx)
    year, id_ = ctx.now().year, family.payment.id
    [(receipt, number, sequence, said)] = await rows(
        ctx,
        "SELECT id, number, sequence, document ->> 'number' FROM receipts WHERE payment_id = $1",
        id_,
    )
    assert (number, sequence, said) == (f"R-{year}-000001", 1, number)
    assert await rows(
        ctx, "SELECT object ->> 'number', version FROM events WHERE object_id = $1", receipt
    ) == [(number, 1)]
    assert await rows(
        ctx, "SELECT actor, detail FROM audit WHERE object_id = $1 AND action = 'receipt.issue'", id_
    ) == [("service", {"receipt": receipt, "number": number})]


async def test_a_captured_payment_that_has_its_receipt_takes_no_further_number_and_is_sent_nothing(
    ctx: Context,
):
    family = await captured(ctx)
    written_to = replace(family.payment, customer={"email": "jenny@example.com"})
    ctx.directory.delivery = Policy(
        smtp=Smtp(host="127.0.0.1", port=25, security=Security.NONE, sender="shop@example.com"),
        receipts_by_email=True,
    )
    async with ctx.db.transaction() as conn:
        await issuing.on_capture(ctx, conn, replace(family, payment=written_to))
    assert await rows(ctx, "SELECT last FROM receipt_series") == [(1,)]
    assert await rows(ctx, "SELECT count(*) FROM mails") == [(0,)]
    assert await rows(ctx, "SELECT count(*) FROM exceptions") == [(0,)]


async def test_the_millionth_receipt_of_a_year_has_a_digit_more(ctx: Context):
    await count_up_to(ctx, "R", 999_999)
    family = await captured(ctx)
    caller = Caller("tests", ctx.merchant_id, ctx.mode)
    receipt = await receipts.of_payment(ctx, caller, family.payment.id)
    assert receipt.number == f"R-{ctx.now().year}-1000000"


async def test_a_number_of_seventeen_characters_is_not_given_and_the_money_is_counted(ctx: Context):
    ctx.directory.document["receiptGeneration"]["series"] = {"payment": "ABCD"}
    await count_up_to(ctx, "ABCD", 999_999)
    family = await captured(ctx)
    assert family.payment.status is Status.CAPTURED
    assert await rows(ctx, "SELECT last FROM receipt_series") == [(999_999,)]
    [(sentence,)] = await rows(ctx, "SELECT sentence FROM exceptions WHERE kind = 'receipt_failed'")
    assert sentence == (
        f"No receipt could be issued for {family.payment.id}: The next receipt number of ABCD is longer than 16"
        " characters: choose a shorter prefix."
    )
