"""What gateways say of disputes: rows, held money and books, in whatever order it is told."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from itertools import permutations
from typing import Any

import pytest

import builders
from counterfoil.domain.attempt import Attempt
from counterfoil.domain.dispute import Dispute
from counterfoil.services import checking
from counterfoil.services.context import Context
from counterfoil.store.payments import Family
from database import Postgres


@pytest.fixture
async def ctx(database_url: str) -> AsyncIterator[Context]:
    async with builders.open_house(database_url) as house:
        yield house.context


def captured(of: Attempt) -> dict[str, Any]:
    ref = f"ch_{of.ref}" if of.gateway == "stripe" else f"pay_{of.ref}"
    if of.gateway == "stripe":
        return builders.event("charge.succeeded", builders.charge(of, ref))
    return builders.razorpay_event("payment.captured", payment=builders.razorpay_payment(of, ref, "captured"))


def stripe(of: Attempt, name: str, status: str, **more: Any) -> dict[str, Any]:
    told = builders.dispute(of, f"dp_{of.ref}", f"ch_{of.ref}", status, 3_000, **more)
    return builders.event(f"charge.dispute.{name}", told, created=1_793_000_300)


def razorpay(of: Attempt, name: str, status: str, **more: Any) -> dict[str, Any]:
    return builders.razorpay_event(
        f"payment.dispute.{name}",
        created=1_793_000_300,
        payment=builders.razorpay_payment(of, f"pay_{of.ref}", "captured"),
        dispute=builders.razorpay_dispute(f"disp_{of.ref}", f"pay_{of.ref}", status, 3_000, **more),
    )


TAKEN, BACK = builders.withdrawal(3_000), builders.withdrawal(-3_000)
LATE = int(builders.NOW.timestamp()) + 40 * 86_400
Story = Callable[[Attempt], list[dict[str, Any]]]

# Every stage of both gateways, to each end: the events, where it stands then, what is held, and what is in the books.
STORIES: dict[str, tuple[str, Story, str, int, dict[str, int]]] = {
    "stripe, lost": (
        "stripe",
        lambda of: [
            captured(of),
            stripe(of, "created", "needs_response"),
            stripe(of, "funds_withdrawn", "needs_response", balance_transactions=[TAKEN]),
            stripe(of, "updated", "under_review", balance_transactions=[TAKEN]),
            stripe(of, "closed", "lost", balance_transactions=[TAKEN]),
        ],
        "lost",
        3_000,
        {"gateway_balance": 7_000, "sales": -10_000, "dispute_losses": 3_000},
    ),
    "stripe, won": (
        "stripe",
        lambda of: [
            captured(of),
            stripe(of, "created", "needs_response", balance_transactions=[TAKEN]),
            stripe(of, "updated", "under_review", balance_transactions=[TAKEN]),
            stripe(of, "closed", "won", balance_transactions=[TAKEN]),
            stripe(of, "funds_reinstated", "won", balance_transactions=[TAKEN, BACK]),
        ],
        "won",
        0,
        {"gateway_balance": 10_000, "sales": -10_000},
    ),
    "stripe, an inquiry that becomes a dispute": (
        "stripe",
        lambda of: [
            captured(of),
            stripe(of, "created", "warning_needs_response"),
            stripe(of, "updated", "warning_under_review"),
            stripe(of, "updated", "needs_response"),
            stripe(of, "funds_withdrawn", "needs_response", balance_transactions=[TAKEN]),
        ],
        "needs_response",
        3_000,
        {"gateway_balance": 7_000, "sales": -10_000, "disputes_held": 3_000},
    ),
    "stripe, an inquiry that comes to nothing": (
        "stripe",
        lambda of: [
            captured(of),
            stripe(of, "created", "warning_needs_response"),
            stripe(of, "closed", "warning_closed"),
        ],
        "closed",
        0,
        {"gateway_balance": 10_000, "sales": -10_000},
    ),
    "stripe, won, and taken again": (
        "stripe",
        lambda of: [
            captured(of),
            stripe(of, "created", "under_review", balance_transactions=[TAKEN]),
            stripe(of, "closed", "won", balance_transactions=[TAKEN]),
            stripe(of, "funds_reinstated", "won", balance_transactions=[TAKEN, BACK]),
            stripe(of, "funds_withdrawn", "under_review", balance_transactions=[TAKEN, BACK]),
        ],
        "under_review",
        3_000,
        {"gateway_balance": 7_000, "sales": -10_000, "disputes_held": 3_000},
    ),
    "stripe, won twice": (
        "stripe",
        lambda of: [
            captured(of),
            stripe(of, "funds_reinstated", "won", balance_transactions=[TAKEN, BACK]),
            stripe(of, "funds_withdrawn", "under_review", balance_transactions=[TAKEN, BACK, TAKEN]),
            stripe(of, "closed", "won", balance_transactions=[TAKEN, BACK, TAKEN]),
            stripe(of, "funds_reinstated", "won", balance_transactions=[TAKEN, BACK, TAKEN]),
        ],
        "won",
        0,
        {"gateway_balance": 10_000, "sales": -10_000},
    ),
    "razorpay, won, and then lost in arbitration": (
        "razorpay",
        lambda of: [
            captured(of),
            razorpay(of, "under_review", "under_review", phase="chargeback"),
            razorpay(of, "action_required", "open", phase="pre_arbitration", respond_by=LATE),
            razorpay(of, "won", "won", phase="pre_arbitration"),
            razorpay(of, "action_required", "open", phase="arbitration", respond_by=LATE + 86_400),
        ],
        "needs_response",
        3_000,
        {"gateway_balance": 10_000, "sales": -10_000},
    ),
    "razorpay, lost": (
        "razorpay",
        lambda of: [
            captured(of),
            razorpay(of, "created", "open"),
            razorpay(of, "under_review", "under_review"),
            razorpay(of, "lost", "lost"),
        ],
        "lost",
        3_000,
        {"gateway_balance": 7_000, "sales": -10_000, "dispute_losses": 3_000},
    ),
    "razorpay, asked again": (
        "razorpay",
        lambda of: [
            captured(of),
            razorpay(of, "created", "open"),
            razorpay(of, "under_review", "under_review"),
            razorpay(of, "action_required", "open", respond_by=LATE),
        ],
        "needs_response",
        3_000,
        {"gateway_balance": 10_000, "sales": -10_000},
    ),
    "razorpay, won": (
        "razorpay",
        lambda of: [
            captured(of),
            razorpay(of, "created", "open"),
            razorpay(of, "under_review", "under_review"),
            razorpay(of, "won", "won"),
        ],
        "won",
        0,
        {"gateway_balance": 10_000, "sales": -10_000},
    ),
    "razorpay, a retrieval that is closed": (
        "razorpay",
        lambda of: [
            captured(of),
            razorpay(of, "created", "open", phase="retrieval"),
            razorpay(of, "closed", "closed", phase="retrieval"),
        ],
        "closed",
        0,
        {"gateway_balance": 10_000, "sales": -10_000},
    ),
}
CURRENCY = {"stripe": "USD", "razorpay": "INR"}


async def owed(ctx: Context, gateway: str) -> Family:
    return await builders.owed(ctx, gateway, currency=CURRENCY[gateway])


async def books(ctx: Context, payment_id: str) -> dict[str, int]:
    async with ctx.db.reading() as conn:
        return {name: sum_ for (name, _), sum_ in (await builders.books(conn, payment_id)).items()}


async def the_dispute(ctx: Context, payment_id: str) -> Dispute:
    family = await builders.family_of(ctx, payment_id)
    (dispute,) = family.disputes
    return dispute


async def end_of(ctx: Context, name: str, order: Sequence[int]) -> tuple[Any, ...]:
    """What stands when the story's events were told in this order."""
    gateway, story, *_ = STORIES[name]
    family = await owed(ctx, gateway)
    told = story(family.attempts[0])
    # Told again, it comes as another event that says the same.
    bodies = [
        {**told[n], **({"id": f"evt_{builders.unique()}"} if "id" in told[n] else {"n": i})}
        for i, n in enumerate(order)
    ]
    assert set(await builders.told(ctx, gateway, *bodies)) == {"processed"}
    now = await builders.family_of(ctx, family.payment.id)
    dispute = now.disputes[0]
    opened = await builders.rows(
        ctx, "SELECT kind FROM exceptions WHERE payment_id = $1 AND resolved_at IS NULL", now.payment.id
    )
    return (
        (dispute.state, dispute.amount, dispute.held, dispute.withdrawn, dispute.reinstated, dispute.lost),
        (dispute.reason, dispute.phase, dispute.respond_by, dispute.answered_until, dispute.opened_at),
        (dispute.waits_for_us, dispute.next_check_at is not None),
        now.charges[0].disputed_held,
        await books(ctx, family.payment.id),
        sorted(row["kind"] for row in opened),
    )


class Court:
    """A house that hears many lives."""

    def __init__(self, runner: asyncio.Runner, ctx: Context) -> None:
        self._runner, self._ctx = runner, ctx

    def run(self, scene: Callable[[Context], Coroutine[Any, Any, Any]]) -> Any:
        return self._runner.run(scene(self._ctx))


@pytest.fixture(scope="module")
def court(fast_postgres: Postgres) -> Iterator[Court]:
    with fast_postgres.database() as database, asyncio.Runner() as runner:
        house = builders.open_house(database.app_url)
        opened = runner.run(house.__aenter__())
        yield Court(runner, opened.context)
        runner.run(house.__aexit__(None, None, None))


@pytest.mark.parametrize("name", STORIES)
def test_every_order_of_a_disputes_events_ends_as_the_right_one_does(court: Court, name: str):
    gateway, story, state, held, in_the_books = STORIES[name]

    async def scene(ctx: Context) -> None:
        count = len(story((await owed(ctx, gateway)).attempts[0]))
        first = await end_of(ctx, name, range(count))
        assert (first[0][0], first[0][2], first[3]) == (state, held, held)
        assert first[4] == in_the_books
        assert first[5] == []
        for order in permutations(range(count)):
            assert await end_of(ctx, name, order) == first, order
        assert await end_of(ctx, name, [*range(count), *range(count)]) == first

    court.run(scene)


async def test_a_dispute_takes_the_money_it_holds_out_of_what_may_be_refunded(ctx: Context):
    family = await owed(ctx, "stripe")
    of = family.attempts[0]
    await builders.told(ctx, "stripe", captured(of), stripe(of, "created", "needs_response"))
    charge = (await builders.family_of(ctx, family.payment.id)).charges[0]
    assert (charge.captured, charge.disputed_held) == (10_000, 3_000)
    await builders.told(ctx, "stripe", stripe(of, "closed", "won"))
    assert (await builders.family_of(ctx, family.payment.id)).charges[0].disputed_held == 0


async def test_an_inquiry_that_stays_refundable_holds_nothing(ctx: Context):
    family = await owed(ctx, "stripe")
    of = family.attempts[0]
    await builders.told(ctx, "stripe", captured(of), stripe(of, "created", "warning_needs_response"))
    now = await builders.family_of(ctx, family.payment.id)
    assert (now.disputes[0].state, now.disputes[0].refundable, now.charges[0].disputed_held) == (
        "inquiry",
        True,
        0,
    )


async def test_two_disputes_of_one_charge_hold_what_both_ask(ctx: Context):
    family = await owed(ctx, "stripe")
    of = family.attempts[0]
    other = builders.dispute(of, "dp_other", f"ch_{of.ref}", "needs_response", 500)
    await builders.told(
        ctx,
        "stripe",
        stripe(of, "created", "needs_response"),
        captured(of),
        builders.event("charge.dispute.created", other),
    )
    now = await builders.family_of(ctx, family.payment.id)
    assert (len(now.disputes), now.charges[0].disputed_held) == (2, 3_500)


async def test_won_and_lost_of_one_dispute_keeps_the_money_and_calls_a_person(ctx: Context):
    family = await owed(ctx, "stripe")
    of = family.attempts[0]
    await builders.told(
        ctx, "stripe", captured(of), stripe(of, "closed", "lost"), stripe(of, "closed", "won")
    )
    now = await builders.family_of(ctx, family.payment.id)
    assert (now.disputes[0].state, now.charges[0].disputed_held) == ("lost", 3_000)
    sentence = await builders.one(ctx, "SELECT sentence FROM exceptions WHERE kind = 'dispute_contradiction'")
    assert sentence == f"dp_{of.ref} is reported as lost and won, which cannot both be true."


async def test_a_dispute_that_was_won_and_is_lost_on_appeal_is_a_loss_in_whatever_order_it_is_told(
    ctx: Context,
):
    ends = []
    for order in permutations(range(4)):
        family = await owed(ctx, "stripe")
        of = family.attempts[0]
        story = [
            captured(of),
            stripe(of, "closed", "won", balance_transactions=[TAKEN, BACK]),
            stripe(of, "funds_withdrawn", "appeal_under_review", balance_transactions=[TAKEN, BACK]),
            stripe(of, "closed", "lost", balance_transactions=[TAKEN, BACK, TAKEN]),
        ]
        await builders.told(ctx, "stripe", *(story[n] for n in order))
        now = await builders.family_of(ctx, family.payment.id)
        dispute, charge = now.disputes[0], now.charges[0]
        ends.append((dispute.state, dispute.lost, charge.disputed_held))
        assert await books(ctx, family.payment.id) == {
            "gateway_balance": 7_000,
            "sales": -10_000,
            "dispute_losses": 3_000,
        }, order
    assert set(ends) == {("lost", 3_000, 3_000)}
    assert await checking.check(ctx) == []


async def test_an_appeal_calls_a_person(ctx: Context):
    family = await owed(ctx, "stripe")
    of = family.attempts[0]
    await builders.told(
        ctx,
        "stripe",
        captured(of),
        stripe(of, "closed", "lost"),
        stripe(of, "updated", "appeal_needs_response"),
    )
    assert await builders.one(ctx, "SELECT count(*) FROM exceptions WHERE kind = 'dispute_appeal'") == 1


async def test_each_change_of_a_dispute_is_told_with_its_version_and_the_payments(ctx: Context):
    family = await owed(ctx, "stripe")
    of = family.attempts[0]
    opened = stripe(of, "created", "needs_response")
    again = {**opened, "id": "evt_again"}
    await builders.told(
        ctx,
        "stripe",
        captured(of),
        opened,
        again,
        stripe(of, "updated", "under_review"),
        stripe(of, "closed", "won"),
    )
    rows = await builders.rows(
        ctx, "SELECT type, version, object FROM events WHERE type LIKE 'dispute.%' ORDER BY arrived"
    )
    assert [(row["type"], row["version"]) for row in rows] == [
        ("dispute.opened", 1),
        ("dispute.updated", 2),
        ("dispute.won", 3),
    ]
    assert rows[-1]["object"]["status"] == "won"
    payment = await builders.rows(
        ctx, "SELECT version, object FROM events WHERE type = 'payment.updated' ORDER BY arrived"
    )
    assert [row["object"]["disputes"][0]["status"] for row in payment] == [
        "needs_response",
        "under_review",
        "won",
    ]
    assert payment[0]["object"]["attempts"][0]["charges"][0]["amount_disputed"] == 3_000
    versions = [row["version"] for row in payment]
    assert versions == sorted(set(versions))


async def test_the_check_finds_a_dispute_that_holds_otherwise_than_its_facts_say(ctx: Context):
    family = await owed(ctx, "stripe")
    of = family.attempts[0]
    told = stripe(of, "funds_withdrawn", "needs_response", balance_transactions=[TAKEN])
    await builders.told(ctx, "stripe", captured(of), told)
    assert await checking.check(ctx) == []
    async with ctx.db.transaction() as conn:
        await conn.execute("UPDATE disputes SET state = 'won', held = 0")
    found = await checking.check(ctx)
    assert [(one.rule, one.subject) for one in found] == [("disputes", family.payment.id)] * 2
    assert "needs_response of 3000, held 3000" in found[0].sentence  # what its facts make it
    assert found[1].sentence == f"Charge ch_{of.ref} holds 3000 for disputes; they hold 0."


async def test_the_check_finds_books_that_do_not_follow_a_dispute(ctx: Context):
    family = await owed(ctx, "stripe")
    of = family.attempts[0]
    told = stripe(of, "funds_withdrawn", "needs_response", balance_transactions=[TAKEN])
    await builders.told(ctx, "stripe", captured(of), told)
    async with ctx.db.transaction() as conn:
        await conn.execute("UPDATE disputes SET withdrawn = 0")
    assert {difference.rule for difference in await checking.check(ctx)} == {"books", "disputes"}
