"""What the gateways of a test know, all that they send of it, and whether the service says the same in the end."""

import random
from dataclasses import dataclass, field
from typing import Any

import builders
from counterfoil.domain.attempt import Attempt
from counterfoil.services.context import Context
from counterfoil.store import payments
from fleet import until


@dataclass
class Truth:
    """For each payment what was captured and given back; and four webhooks of each, in no order."""

    paid: dict[str, tuple[int, int]] = field(default_factory=dict)
    letters: list[tuple[str, bytes]] = field(default_factory=list)


async def live(ctx: Context, count: int) -> Truth:
    """So many payments that are owed, half of them at each gateway, and the lives that the gateways will tell."""
    truth = Truth()
    async with ctx.db.transaction() as conn:
        for n in range(count):
            gateway, currency, tell = (("stripe", "USD", _by_stripe), ("razorpay", "INR", _by_razorpay))[
                n % 2
            ]
            due = builders.payment(ctx, amount=10_000 + n, currency=currency)
            attempt = builders.attempt(ctx, due, gateway)
            await payments.insert(conn, due)
            await payments.insert_attempt(conn, attempt)
            back = 100 + n
            truth.paid[due.id] = (due.amount, back)
            truth.letters += [(gateway, builders.as_sent(event)) for event in tell(attempt, f"{n:04d}", back)]
    random.Random(20).shuffle(truth.letters)
    return truth


def _by_stripe(attempt: Attempt, n: str, back: int) -> list[dict[str, Any]]:
    charge, refund = f"ch_{n}", builders.refund(attempt, f"re_{n}", f"ch_{n}", back)
    return [
        builders.event("charge.succeeded", builders.charge(attempt, charge)),
        builders.event(
            "payment_intent.succeeded", builders.intent(attempt, "succeeded", latest_charge=charge)
        ),
        builders.event("refund.created", refund | {"status": "pending"}),
        builders.event("refund.updated", refund),
    ]


def _by_razorpay(attempt: Attempt, n: str, back: int) -> list[dict[str, Any]]:
    paid = builders.razorpay_payment(attempt, f"pay_{n}", "captured")
    failed = builders.razorpay_payment(attempt, f"pay_{n}", "failed")
    pending, processed = (
        builders.razorpay_refund(f"rfnd_{n}", f"pay_{n}", back, status=status)
        for status in ("pending", "processed")
    )
    return [
        builders.razorpay_event("payment.failed", payment=failed),
        builders.razorpay_event("payment.captured", payment=paid),
        builders.razorpay_event("refund.created", payment=paid, refund=pending),
        builders.razorpay_event("refund.processed", payment=paid, refund=processed),
    ]


async def all_understood(ctx: Context, *, seconds: float) -> None:
    """Wait until no letter is left; fails with what is."""

    async def none_left() -> bool:
        left = await builders.one(ctx, "SELECT count(*) FROM inbox WHERE status <> 'processed'")
        return left == 0

    try:
        await until(none_left, seconds=seconds)
    except AssertionError:
        left = await builders.rows(ctx, "SELECT status, reason, count(*) FROM inbox GROUP BY status, reason")
        jobs = await builders.rows(ctx, "SELECT status, count(*) FROM pgqueuer GROUP BY status")
        raise AssertionError(f"letters: {left}; jobs: {jobs}") from None


async def agreed(ctx: Context, truth: Truth, *, sendings: int) -> None:
    """Nothing is lost and nothing counts twice; `sendings` is how often anything was sent at most."""
    kept = await builders.rows(ctx, "SELECT body, deliveries, status, reason FROM inbox")
    assert sorted(bytes(row["body"]) for row in kept) == sorted(body for _, body in truth.letters)
    assert {(row["status"], row["reason"]) for row in kept} == {("processed", None)}
    assert len(truth.letters) <= sum(row["deliveries"] for row in kept) <= sendings

    paid = await builders.rows(ctx, "SELECT id, status, amount_captured, amount_refunded FROM payments")
    assert {row["id"]: (row["amount_captured"], row["amount_refunded"]) for row in paid} == truth.paid
    assert {row["status"] for row in paid} == {"captured"}
    await _each_once(ctx, len(truth.paid))
    await _books_agree(ctx, truth)


async def _each_once(ctx: Context, count: int) -> None:
    """Of each payment one charge, its capture, and its refund pending and succeeded; Razorpay's failure besides, which
    is one of the charge and one of the attempt. Nobody here asked for the refunds, so a person is called to each, once.
    """
    expected = {
        "charges": count,
        "facts": 3 * count + 2 * (count // 2),
        "journals": 2 * count,
        "entries": 4 * count,
        "refunds": count,
        "exceptions": count,
    }
    found = {table: await builders.one(ctx, f"SELECT count(*) FROM {table}") for table in expected}
    assert found == expected, found
    assert {row["kind"] for row in await builders.rows(ctx, "SELECT kind FROM exceptions")} == {
        "refund_outside"
    }


async def _books_agree(ctx: Context, truth: Truth) -> None:
    held = await builders.rows(
        ctx,
        """
        SELECT j.payment_id, sum(e.amount)::bigint AS held
        FROM entries e JOIN journals j ON j.id = e.journal_id JOIN ledger_accounts a ON a.id = e.ledger_account_id
        WHERE a.name = 'gateway_balance' GROUP BY j.payment_id
        """,
    )
    assert {row["payment_id"]: row["held"] for row in held} == {
        id_: captured - back for id_, (captured, back) in truth.paid.items()
    }
