"""What our own records say for a disputed charge."""

from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

import builders
from counterfoil.domain.dispute import SUMMARY_CHARS, TEXT_CHARS
from counterfoil.services import evidence
from counterfoil.services.context import Context
from counterfoil.store import mails, payments
from counterfoil.store.mails import Mail
from counterfoil.store.payments import Family

EMAIL = "asha@example.com"


@pytest.fixture
async def ctx(database_url: str) -> AsyncIterator[Context]:
    async with builders.open_house(database_url) as house:
        yield house.context


async def disputed(ctx: Context, **changes: Any) -> Family:
    """A payment that was captured and disputed; `changes` are the payment's."""
    due = builders.payment(ctx, customer={"name": "Asha Rao", "email": EMAIL}, **changes)
    of = builders.attempt(ctx, due)
    async with ctx.db.transaction() as conn:
        await payments.insert(conn, due)
        await payments.insert_attempt(conn, of)
    card = {"type": "card", "card": {"brand": "visa", "last4": "4242"}}
    charge = builders.charge(of, f"ch_{of.ref}", payment_method_details=card)
    told = builders.dispute(of, f"dp_{of.ref}", f"ch_{of.ref}", "needs_response", 3_000)
    await builders.told(
        ctx,
        "stripe",
        builders.event("payment_intent.requires_action", builders.intent(of, "requires_action")),
        builders.event("charge.succeeded", charge),
        builders.event("charge.dispute.created", told),
    )
    return await builders.family_of(ctx, due.id)


async def collected(ctx: Context, family: Family) -> Any:
    async with ctx.db.reading() as conn:
        return await evidence.collect(ctx, conn, family, family.disputes[0])


async def written(ctx: Context, family: Family, recipient: str, number: int = 1) -> None:
    """A mail about the payment that was sent."""
    mail = Mail(
        id=ctx.new_id("mail"),
        merchant_id=ctx.merchant_id,
        mode=ctx.mode,
        kind="payment_failed",
        occasion=f"test/{number}",
        about=family.payment.id,
        recipient=recipient,
        tries=1,
        next_check_at=None,
        outcome="sent",
        error=None,
        created_at=ctx.now(),
        ended_at=ctx.now() + timedelta(minutes=1),
    )
    async with ctx.db.transaction() as conn:
        await mails.insert(conn, mail)


async def test_the_receipt_names_who_paid_what_with_which_card(ctx: Context):
    items = [{"name": "Blue kettle", "quantity": 2, "amount": 2_500}, {"name": "Gift", "amount": 5_000}]
    family = await disputed(ctx, description="Kettles", reference="order-7", line_items=items)
    texts = (await collected(ctx, family))["texts"]
    lines = texts["receipt"].splitlines()
    for line in (
        f"Payment: {family.payment.id}",
        "Reference: order-7",
        "Amount: 100.00 USD",
        "Paid with: visa card, ending in 4242",
        "Customer: Asha Rao",
        f"Customer e-mail: {EMAIL}",
        "Item: Blue kettle, 2 at 25.00 USD",
        "Item: Gift, 1 at 50.00 USD",
    ):
        assert line in lines
    assert texts["product_description"].splitlines()[0] == "Kettles"


async def test_the_summary_says_what_is_disputed_and_fits(ctx: Context):
    family = await disputed(ctx, description="x" * 2_000)
    summary = (await collected(ctx, family))["summary"]
    assert len(summary) == SUMMARY_CHARS
    short = await disputed(ctx, description="Kettles")
    summary = (await collected(ctx, short))["summary"]
    assert "It was paid for: Kettles." in summary
    assert "is about 30.00 USD; its reason: fraudulent." in summary
    assert "Nothing of it was given back." in summary


async def test_what_was_given_back_is_told_with_what_became_of_it(ctx: Context):
    family = await disputed(ctx)
    of = family.attempts[0]
    given = builders.refund(of, "re_1", f"ch_{of.ref}", 2_500)
    await builders.told(ctx, "stripe", builders.event("refund.created", given))
    found = await collected(ctx, await builders.family_of(ctx, family.payment.id))
    assert "25.00 USD, other, succeeded" in found["texts"]["refund_history"]
    assert "25.00 USD of it has been given back." in found["summary"]


async def test_only_what_the_customer_was_written_is_delivery_and_addresses_are_masked(ctx: Context):
    family = await disputed(ctx)
    assert "delivery_log" not in (await collected(ctx, family))["texts"]
    await written(ctx, family, EMAIL)
    await written(ctx, family, "ops@example.com", 2)
    texts = (await collected(ctx, family))["texts"]
    assert texts["delivery_log"] == "2026-11-22 12:01 UTC: payment failed to as***@example.com: sent"
    assert EMAIL not in texts["timeline"] + texts["access_log"]
    assert "ops@" not in str(texts)


async def test_how_the_checkout_went_is_told(ctx: Context):
    texts = (await collected(ctx, await disputed(ctx)))["texts"]
    assert "the checkout was opened for the customer" in texts["access_log"]
    assert "the customer was asked by their bank to confirm the payment" in texts["access_log"]
    assert "the payment processor: charge.captured" in texts["timeline"]
    assert "webhook" not in texts["timeline"]


async def test_of_a_text_that_is_too_long_the_newest_lines_stay(ctx: Context):
    items = [{"name": f"Item number {n} {'x' * 100}", "amount": 1} for n in range(200)]
    receipt = (await collected(ctx, await disputed(ctx, line_items=items)))["texts"]["receipt"]
    assert len(receipt) <= TEXT_CHARS
    assert receipt.startswith("Item: Item number ")
    assert "Item number 199" in receipt


async def test_what_is_not_known_is_left_out(ctx: Context):
    family = await disputed(ctx)
    texts = (await collected(ctx, family))["texts"]
    assert "product_description" not in texts
    assert "Reference" not in texts["receipt"]


@pytest.mark.parametrize(
    ("address", "shown"),
    [("asha@example.com", "as***@example.com"), ("a@b.example", "a***@b.example"), ("nobody", "no***")],
)
def test_an_address_is_known_again_only_by_who_knows_it(address: str, shown: str):
    assert evidence.masked(address) == shown
