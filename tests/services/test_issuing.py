"""What a receipt says of the gateway's own figures, by what the gateway has told."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

import builders
from counterfoil.services import receipts
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context


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
