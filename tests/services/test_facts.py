import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, permutations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import builders
from builders import Life
from counterfoil.domain.attempt import Attempt, AttemptState
from counterfoil.domain.call import Verb
from counterfoil.domain.fact import Kind
from counterfoil.services import calling
from counterfoil.services.context import Context
from counterfoil.store import payments
from counterfoil.store.payments import Family
from database import Postgres

# What a gateway may say of one payment: no event among these is about anything else.
STORIES = {
    "stripe": [
        "01_payment_intent.created",
        "02_payment_intent.requires_action",
        "x1_payment_intent.payment_failed",
        "x2_payment_intent.amount_capturable_updated",
        "03_charge.succeeded",
        "04_payment_intent.succeeded",
        "05_charge.updated",
        "06_refund.created",
        "07_charge.refunded",
        "08_refund.updated",
        "09_charge.refund.updated",
        "10_refund.created",
        "11_charge.refunded",
        "12_refund.failed",
        "13_refund.updated",
        "14_charge.refund.updated",
        "15_charge.dispute.created",
        "16_charge.dispute.funds_withdrawn",
        "17_charge.dispute.updated",
        "18_charge.dispute.closed",
    ],
    "razorpay": [
        "01_payment.failed",
        "02_payment.authorized",
        "03_payment.captured",
        "04_order.paid",
        "05_refund.created",
        "06_refund.speed_changed",
        "07_refund.processed",
    ],
}
# Those between which the order could matter most: of every four of them, every permutation is tried.
TURNS = {
    "stripe": [
        "x1_payment_intent.payment_failed",
        "x2_payment_intent.amount_capturable_updated",
        "03_charge.succeeded",
        "04_payment_intent.succeeded",
        "10_refund.created",
        "12_refund.failed",
    ],
    "razorpay": STORIES["razorpay"][:6],
}
AT_ONCE = 8  # permutations under way side by side; the pool has sixteen connections


class Court:
    """A house that hears lives to their end, one after another or many at a time."""

    def __init__(self, runner: asyncio.Runner, ctx: Context) -> None:
        self._runner, self._ctx = runner, ctx

    def run(self, scene: Callable[[Context], Coroutine[Any, Any, Any]]) -> Any:
        return self._runner.run(scene(self._ctx))


@pytest.fixture(scope="module")
def court(fast_postgres: Postgres) -> Iterator[Court]:
    """One house for the module: each life has ids of its own, so lives do not meet."""
    with fast_postgres.database() as database, asyncio.Runner() as runner:
        house = builders.open_house(database.app_url)
        opened = runner.run(house.__aenter__())
        yield Court(runner, opened.context)
        runner.run(house.__aexit__(None, None, None))


async def end_of(ctx: Context, gateway: str, names: Sequence[str], *, at_once: bool = False) -> Any:
    """What stands after these events were understood in this order; names may repeat."""
    story = builders.life(gateway)
    family = await builders.owed_by(ctx, story)
    letters = await builders.stored(ctx, gateway, *_bodies(story, names))
    if at_once:
        await asyncio.gather(*(builders.understood(ctx, letter) for letter in letters))
    else:
        assert {await builders.understood(ctx, letter) for letter in letters} == {"processed"}
    return await standing(ctx, family, story)


def _bodies(story: Life, names: Sequence[str]) -> list[bytes]:
    """The events as sent; a repeated one comes as another event that says the same."""
    seen: Counter[str] = Counter()
    bodies = []
    for name in names:
        body, again = dict(story.events[name]), seen[name]
        seen[name] += 1
        if again:  # gateways tell the same thing in events of several names and ids
            body |= {"id": f"{body['id']}again{again}"} if "id" in body else {"again": again}
        bodies.append(builders.as_sent(body))
    return bodies


async def standing(ctx: Context, family: Family, story: Life) -> dict[str, Any]:
    """Everything that follows from what was said, without the times at which we learned it and the ids we gave."""
    now = await builders.family_of(ctx, family.payment.id)
    async with ctx.db.reading() as conn:
        books = await builders.books(conn, family.payment.id)
    facts = await builders.rows(
        ctx,
        "SELECT object_id, kind, amount, currency, charge_ref FROM facts WHERE payment_id = $1",
        family.payment.id,
    )
    exceptions = await builders.rows(
        ctx, "SELECT kind, sentence FROM exceptions WHERE payment_id = $1", family.payment.id
    )
    winner = now.payment.winner_attempt_id
    told = {
        "payment": {
            "status": now.payment.status,
            "captured": now.payment.amount_captured,
            "refunded": now.payment.amount_refunded,
            "won by": now.attempt(winner).number if winner else None,
            "asked again": now.payment.next_check_at is not None,
        },
        "attempts": [
            {
                "number": attempt.number,
                "state": attempt.state,
                "ref": attempt.ref,
                "failure": attempt.failure,
                "fenced": attempt.fenced_at is not None,
            }
            for attempt in now.attempts
        ],
        "charges": {
            charge.ref: {
                "state": charge.state,
                "amounts": [
                    charge.amount,
                    charge.captured,
                    charge.refunded_seen,
                    charge.disputed_held,
                    charge.reserved,
                ],
                "made": charge.made_at.isoformat(),
                "detail": charge.detail,
            }
            for charge in now.charges
        },
        "facts": sorted(map(str, (list(fact.values()) for fact in facts))),
        "books": {f"{name} {currency}": amount for (name, currency), amount in books.items()},
        "exceptions": sorted(f"{row['kind']}: {row['sentence']}" for row in exceptions),
    }
    text = json.dumps(told, sort_keys=True).replace(story.tag, "").replace(family.payment.id, "the payment")
    return json.loads(text)


async def _side_by_side(lives: Sequence[Coroutine[Any, Any, Any]]) -> list[Any]:
    turn = asyncio.Semaphore(AT_ONCE)

    async def wait_for(living: Coroutine[Any, Any, Any]) -> Any:
        async with turn:
            return await living

    return await asyncio.gather(*map(wait_for, lives))


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
def test_every_permutation_of_every_four_turning_points_ends_in_one_state(court: Court, gateway: str):
    async def scene(ctx: Context) -> int:
        tried = 0
        for names in combinations(TURNS[gateway], 4):
            orders = list(permutations(names))
            ends = await _side_by_side([end_of(ctx, gateway, order) for order in orders])
            for order, end in zip(orders, ends, strict=True):
                assert end == ends[0], f"{order} ends otherwise than {orders[0]}"
            tried += len(orders)
        return tried

    assert court.run(scene) == 360  # 15 choices of four, 24 orders each


def tries(attempt: Attempt) -> list[dict[str, Any]]:
    """Four tries on one intent that came to nothing, a second apart; of two of them Stripe names the method alone.

    The methods are the same on every intent, as saved ones are.
    """
    events = []
    for n, with_charge in enumerate([True, False, True, False]):
        error = {"code": f"reason_{n}", "payment_method": {"id": f"pm_{n}", "type": "card"}}
        charge = {"charge": f"ch_{n}{attempt.ref}"} if with_charge else {}
        failed = builders.intent(attempt, "requires_payment_method", last_payment_error=error | charge)
        events.append(builders.event("payment_intent.payment_failed", failed, created=1_793_000_000 + n))
    return events


def test_in_whatever_order_declines_are_told_each_is_one_fact_and_the_last_is_shown(court: Court):
    async def scene(ctx: Context) -> None:
        for order in permutations(range(4)):
            family = await builders.owed(ctx, ref=f"pi_{builders.unique()}")
            told = tries(family.attempts[0])
            again = [{**told[n], "id": f"evt_{builders.unique()}"} for n in order]
            await builders.told(ctx, "stripe", *(told[n] for n in order), *again)
            now = await builders.family_of(ctx, family.payment.id)
            assert now.attempts[0].failure is not None
            assert now.attempts[0].failure["gateway_code"] == "reason_3", order
            said = Counter(fact.kind for fact in now.facts)
            assert said == {Kind.ATTEMPT_DECLINED: 4, Kind.CHARGE_FAILED: 2}, order

    court.run(scene)


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
@settings(max_examples=60, deadline=None, derandomize=True)
@given(data=st.data())
def test_up_to_six_events_in_any_order_and_number_end_as_they_do_in_order(
    court: Court, gateway: str, data: st.DataObject
):
    story = STORIES[gateway]
    heard = data.draw(st.lists(st.sampled_from(story), min_size=1, max_size=6))
    at_once = data.draw(st.booleans())

    async def scene(ctx: Context) -> None:
        in_order = sorted(set(heard), key=story.index)
        assert await end_of(ctx, gateway, heard, at_once=at_once) == await end_of(ctx, gateway, in_order)

    court.run(scene)


@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
def test_a_whole_life_told_backwards_and_twice_ends_as_told_once(court: Court, gateway: str):
    async def scene(ctx: Context) -> tuple[Any, Any]:
        story = STORIES[gateway]
        return await end_of(ctx, gateway, [*reversed(story), *story]), await end_of(ctx, gateway, story)

    backwards, once = court.run(scene)
    assert backwards == once
    assert once["payment"]["status"] == "captured"
    amounts = {"stripe": (10_000, 2_500), "razorpay": (500_000, 50_000)}
    assert (once["payment"]["captured"], once["payment"]["refunded"]) == amounts[gateway]
    currency = {"stripe": "USD", "razorpay": "INR"}[gateway]
    left = amounts[gateway][0] - amounts[gateway][1]
    lost = {"stripe": 3_000, "razorpay": 0}[gateway]  # in a dispute
    assert once["books"] == {
        f"gateway_balance {currency}": left - lost,
        f"sales {currency}": -left,
        **({f"dispute_losses {currency}": lost} if lost else {}),
    }


# Single scenes. Each has a house of its own.


@pytest.fixture
async def ctx(database_url: str) -> AsyncIterator[Context]:
    async with builders.open_house(database_url) as house:
        yield house.context


async def books(ctx: Context, family: Family) -> dict[str, int]:
    async with ctx.db.reading() as conn:
        return {name: sum_ for (name, _), sum_ in (await builders.books(conn, family.payment.id)).items()}


async def exceptions(ctx: Context) -> list[str]:
    return [row["kind"] for row in await builders.rows(ctx, "SELECT kind FROM exceptions ORDER BY kind")]


async def test_a_failure_does_not_keep_money_from_being_seen(ctx: Context):
    story = builders.life("razorpay")
    family = await builders.owed_by(ctx, story)
    await builders.told(ctx, "razorpay", story.events["01_payment.failed"])
    failed = await builders.family_of(ctx, family.payment.id)
    assert (failed.payment.status, failed.charges[0].state) == ("pending", "failed")

    await builders.told(ctx, "razorpay", story.events["03_payment.captured"])
    paid = await builders.family_of(ctx, family.payment.id)
    assert (paid.payment.status, paid.charges[0].state) == ("captured", "captured")
    assert paid.payment.amount_captured == 500_000


async def test_a_late_failure_does_not_undo_a_capture(ctx: Context):
    story = builders.life("razorpay")
    family = await builders.owed_by(ctx, story)
    await builders.told(ctx, "razorpay", story.events["03_payment.captured"])
    before = await books(ctx, family)
    await builders.told(ctx, "razorpay", story.events["01_payment.failed"])
    after = await builders.family_of(ctx, family.payment.id)
    assert (after.payment.status, after.charges[0].state) == ("captured", "captured")
    assert await books(ctx, family) == before == {"gateway_balance": 500_000, "sales": -500_000}


@pytest.mark.parametrize("voided_first", [True, False])
async def test_a_charge_said_to_be_voided_and_captured_stays_captured_and_calls_a_person(
    ctx: Context, voided_first: bool
):
    family = await builders.owed(ctx)
    voided = builders.charge(family.attempts[0], "ch_1", captured=False, amount_captured=0, refunded=True)
    events = [
        builders.event("charge.expired", voided),
        builders.event("charge.captured", builders.charge(family.attempts[0], "ch_1")),
    ]
    await builders.told(ctx, "stripe", *(events if voided_first else reversed(events)))
    now = await builders.family_of(ctx, family.payment.id)
    assert (now.charges[0].state, now.payment.status) == ("captured", "captured")
    assert await exceptions(ctx) == ["contradiction"]
    sentence = await builders.one(ctx, "SELECT sentence FROM exceptions")
    assert sentence == "ch_1 is reported as captured and voided, which cannot both be true."


@pytest.mark.parametrize("later_made_first", [True, False])
async def test_of_two_captures_on_one_order_one_pays_and_the_other_is_surplus(
    ctx: Context, later_made_first: bool
):
    family = await builders.owed(ctx, "razorpay", amount=500_000, currency="INR")
    told = [
        builders.razorpay_event(
            "payment.captured",
            created=1_793_000_000 + n,
            payment=builders.razorpay_payment(family.attempts[0], f"pay_{n}", "captured"),
        )
        for n in (1, 2)
    ]
    await builders.told(ctx, "razorpay", *(reversed(told) if later_made_first else told))
    now = await builders.family_of(ctx, family.payment.id)
    assert now.payment.status == "captured"
    assert (now.payment.amount_captured, now.payment.amount_refunded) == (500_000, 0)
    assert {charge.ref: charge.surplus for charge in now.charges} == {
        "pay_1": later_made_first,
        "pay_2": not later_made_first,
    }
    assert await books(ctx, family) == {
        "gateway_balance": 1_000_000,
        "sales": -500_000,
        "owed_to_customers": -500_000,
    }
    assert await exceptions(ctx) == ["surplus_capture"]


async def test_a_surplus_given_back_leaves_the_books_as_if_it_had_never_come(ctx: Context):
    family = await builders.owed(ctx, "razorpay", amount=500_000, currency="INR")
    first, second = (
        builders.razorpay_payment(family.attempts[0], ref, "captured") for ref in ("pay_b", "pay_a")
    )
    back = builders.razorpay_refund("rfnd_1", "pay_a", 500_000)
    await builders.told(
        ctx,
        "razorpay",
        builders.razorpay_event("payment.captured", payment=first),
        builders.razorpay_event("payment.captured", payment=second),
        builders.razorpay_event("refund.processed", payment=second, refund=back),
    )
    now = await builders.family_of(ctx, family.payment.id)
    assert (now.payment.amount_captured, now.payment.amount_refunded) == (500_000, 0)
    assert await books(ctx, family) == {"gateway_balance": 500_000, "sales": -500_000}


async def test_a_capture_at_a_second_gateway_is_surplus(ctx: Context):
    family = await builders.owed(ctx)
    family = await builders.another(ctx, family, "razorpay", disclosed_at=None)
    captured = builders.razorpay_payment(family.attempts[1], "pay_1", "captured")
    await builders.told(
        ctx, "stripe", builders.event("charge.succeeded", builders.charge(family.attempts[0], "ch_1"))
    )
    await builders.told(ctx, "razorpay", builders.razorpay_event("payment.captured", payment=captured))
    now = await builders.family_of(ctx, family.payment.id)
    assert now.payment.winner_attempt_id == family.attempts[0].id
    assert now.payment.amount_captured == 10_000
    assert [charge.ref for charge in now.charges if charge.surplus] == ["pay_1"]
    assert await books(ctx, family) == {
        "gateway_balance": 20_000,
        "sales": -10_000,
        "owed_to_customers": -10_000,
    }


async def fenced(ctx: Context, status: str) -> Family:
    """A payment of this status whose one attempt is a fenced Razorpay order, on which then somebody captures."""
    family = await builders.owed(ctx, "razorpay", fenced_at=builders.NOW, state=AttemptState.FENCED)
    async with ctx.db.transaction() as conn:
        asked = builders.NOW if status == "cancelled" else None
        await payments.update(conn, family.payment.id, status=status, cancel_requested_at=asked)
    captured = builders.razorpay_payment(family.attempts[0], "pay_1", "captured")
    await builders.told(ctx, "razorpay", builders.razorpay_event("payment.captured", payment=captured))
    return await builders.family_of(ctx, family.payment.id)


@pytest.mark.parametrize(("status", "how"), [("cancelled", "is cancelled"), ("failed", "has failed")])
async def test_money_captured_on_a_fenced_attempt_of_a_payment_that_is_over_is_surplus(
    ctx: Context, status: str, how: str
):
    now = await fenced(ctx, status)
    assert (now.payment.status, now.payment.winner_attempt_id, now.payment.amount_captured) == (
        status,
        None,
        0,
    )
    assert (now.attempts[0].state, now.charges[0].surplus) == ("fenced", True)
    sentence = await builders.one(ctx, "SELECT sentence FROM exceptions WHERE kind = 'surplus_capture'")
    assert sentence == f"pay_1 was captured although {now.payment.id} {how}."
    jobs = await builders.rows(ctx, "SELECT payload FROM pgqueuer WHERE entrypoint = 'look_after'")
    assert [job["payload"].decode() for job in jobs] == [now.payment.id]  # to be given back at once


@pytest.mark.parametrize("status", ["created", "pending"])
async def test_money_captured_on_a_fenced_attempt_pays_a_payment_that_still_waits_for_it(
    ctx: Context, status: str
):
    now = await fenced(ctx, status)
    assert (now.payment.status, now.attempts[0].state) == ("captured", "won")
    assert now.attempts[0].fenced_at is not None
    assert now.payment.winner_attempt_id == now.attempts[0].id
    assert await exceptions(ctx) == []


async def test_money_captured_on_a_fenced_attempt_beside_an_authorised_one_is_surplus(ctx: Context):
    family = await builders.owed(ctx, "razorpay", fenced_at=builders.NOW, state=AttemptState.FENCED)
    family = await builders.another(ctx, family, "stripe")
    held = builders.charge(family.attempts[1], "ch_1", captured=False, amount_captured=0)
    await builders.told(ctx, "stripe", builders.event("charge.succeeded", held))
    captured = builders.razorpay_payment(family.attempts[0], "pay_1", "captured")
    await builders.told(ctx, "razorpay", builders.razorpay_event("payment.captured", payment=captured))
    now = await builders.family_of(ctx, family.payment.id)
    assert now.payment.status == "authorized"
    assert [charge.ref for charge in now.charges if charge.surplus] == ["pay_1"]


async def test_a_capture_that_overtook_our_cancel_pays_the_payment(ctx: Context):
    """Stripe was asked to cancel, and the answer is not known: fenced is what was seen cancelled."""
    family = await builders.owed(ctx)
    async with ctx.db.transaction() as conn:
        await payments.update(conn, family.payment.id, cancel_requested_at=builders.NOW)
        await calling.begin(ctx, conn, family.attempts[0], Verb.CANCEL)
    await builders.told(
        ctx, "stripe", builders.event("charge.succeeded", builders.charge(family.attempts[0], "ch_1"))
    )
    now = await builders.family_of(ctx, family.payment.id)
    assert (now.payment.status, now.payment.amount_captured) == ("captured", 10_000)
    assert await exceptions(ctx) == []


async def test_an_authorisation_on_a_fenced_attempt_authorises_nothing(ctx: Context):
    family = await builders.owed(ctx, "razorpay", fenced_at=builders.NOW, state=AttemptState.FENCED)
    authorized = builders.razorpay_payment(family.attempts[0], "pay_1", "authorized")
    await builders.told(ctx, "razorpay", builders.razorpay_event("payment.authorized", payment=authorized))
    now = await builders.family_of(ctx, family.payment.id)
    assert (now.payment.status, now.payment.winner_attempt_id) == ("failed", None)
    assert await builders.one(ctx, "SELECT count(*) FROM pgqueuer WHERE entrypoint = 'look_after'") == 0


async def test_a_late_authorisation_after_a_failure_is_to_be_captured(ctx: Context):
    story = builders.life("razorpay")
    family = await builders.owed_by(ctx, story)
    events = story.events["01_payment.failed"], story.events["02_payment.authorized"]
    await builders.told(ctx, "razorpay", *events)
    now = await builders.family_of(ctx, family.payment.id)
    assert (now.payment.status, now.charges[0].state) == ("authorized", "authorized")
    jobs = await builders.rows(ctx, "SELECT payload FROM pgqueuer WHERE entrypoint = 'look_after'")
    assert [job["payload"].decode() for job in jobs] == [family.payment.id]


async def test_a_refund_heard_of_before_its_capture_counts_once_the_capture_is_known(ctx: Context):
    story = builders.life("stripe")
    family = await builders.owed_by(ctx, story)
    await builders.told(ctx, "stripe", story.events["06_refund.created"])
    early = await builders.family_of(ctx, family.payment.id)
    assert (early.payment.status, early.payment.amount_refunded) == ("created", 0)
    assert (early.charges[0].state, early.charges[0].refunded_seen) == ("created", 0)
    assert await books(ctx, family) == {}

    await builders.told(ctx, "stripe", story.events["03_charge.succeeded"])
    now = await builders.family_of(ctx, family.payment.id)
    assert (now.payment.amount_captured, now.payment.amount_refunded) == (10_000, 2_500)
    assert await books(ctx, family) == {"gateway_balance": 7_500, "sales": -7_500}


async def test_a_refund_that_bounces_is_money_again(ctx: Context):
    story = builders.life("stripe")
    family = await builders.owed_by(ctx, story)
    names = ("03_charge.succeeded", "10_refund.created", "12_refund.failed")
    seen = []
    for name in names:
        await builders.told(ctx, "stripe", story.events[name])
        seen.append((await builders.family_of(ctx, family.payment.id)).payment.amount_refunded)
    assert seen == [0, 1_000, 0]
    assert await books(ctx, family) == {"gateway_balance": 10_000, "sales": -10_000}
    rules = await builders.rows(ctx, "SELECT rule FROM journals ORDER BY id")
    assert sorted(row["rule"] for row in rules) == ["capture", "refund", "refund"]


async def test_more_given_back_than_was_taken_is_kept_and_calls_a_person(ctx: Context):
    family = await builders.owed(ctx)
    attempt = family.attempts[0]
    await builders.told(
        ctx,
        "stripe",
        builders.event("charge.succeeded", builders.charge(attempt, "ch_1")),
        builders.event("refund.created", builders.refund(attempt, "re_1", "ch_1", 8_000)),
        builders.event("refund.created", builders.refund(attempt, "re_2", "ch_1", 8_000)),
    )
    now = await builders.family_of(ctx, family.payment.id)
    assert (now.charges[0].captured, now.charges[0].refunded_seen) == (10_000, 16_000)
    assert await books(ctx, family) == {"gateway_balance": -6_000, "sales": 6_000}
    assert await exceptions(ctx) == ["over_refunded", "refund_outside", "refund_outside"]


async def settle_all(ctx: Context) -> None:
    """A person settles whatever waits."""
    async with ctx.db.transaction() as conn:
        await conn.execute(
            "UPDATE exceptions SET resolved_at = $1, resolved_by = 'key_1', note = 'done' WHERE resolved_at IS NULL",
            ctx.now(),
        )


async def test_what_a_person_settled_is_told_again_where_more_is_given_back_and_not_where_it_is_read_again(
    ctx: Context,
):
    family = await builders.owed(ctx)
    attempt = family.attempts[0]
    charged, over = (
        builders.event("charge.succeeded", builders.charge(attempt, "ch_1")),
        builders.event("refund.created", builders.refund(attempt, "re_1", "ch_1", 11_000)),
    )
    await builders.told(ctx, "stripe", charged, over)
    await settle_all(ctx)
    await builders.told(ctx, "stripe", {**over, "id": "evt_again"}, {**charged, "id": "evt_as_well"})
    open_now = "SELECT kind, sentence FROM exceptions WHERE resolved_at IS NULL ORDER BY kind"
    assert await builders.rows(ctx, open_now) == []
    more = builders.event("refund.created", builders.refund(attempt, "re_2", "ch_1", 500))
    await builders.told(ctx, "stripe", more)
    told = [(row["kind"], row["sentence"]) for row in await builders.rows(ctx, open_now)]
    assert told == [
        ("over_refunded", "More was given back on ch_1 than it took, by 15.00 USD."),
        ("refund_outside", "re_2 gave 5.00 USD back, and nobody asked for that here."),
    ]


async def test_a_surplus_that_was_settled_is_not_told_again_however_its_payment_fares(ctx: Context):
    now = await fenced(ctx, "failed")
    await settle_all(ctx)
    async with ctx.db.transaction() as conn:
        await conn.execute("UPDATE payments SET status = 'cancelled' WHERE id = $1", now.payment.id)
    again = builders.razorpay_payment(now.attempts[0], "pay_1", "captured") | {"fee": 236}
    await builders.told(ctx, "razorpay", builders.razorpay_event("payment.captured", payment=again))
    assert await exceptions(ctx) == ["surplus_capture"]


async def test_the_refund_of_a_hold_moves_no_money(ctx: Context):
    family = await builders.owed(ctx, "razorpay")
    held = builders.razorpay_payment(family.attempts[0], "pay_1", "refunded", captured=False)
    back = builders.razorpay_refund("rfnd_1", "pay_1", 10_000, currency="USD")
    await builders.told(
        ctx, "razorpay", builders.razorpay_event("refund.processed", payment=held, refund=back)
    )
    now = await builders.family_of(ctx, family.payment.id)
    assert (now.charges[0].state, now.charges[0].refunded_seen) == ("voided", 0)
    assert await books(ctx, family) == {}


async def test_a_later_telling_adds_what_the_first_did_not_know(ctx: Context):
    story = builders.life("stripe")
    family = await builders.owed_by(ctx, story)
    await builders.told(ctx, "stripe", story.events["04_payment_intent.succeeded"])
    bare = (await builders.family_of(ctx, family.payment.id)).charges[0]
    assert "last4" not in bare.detail
    await builders.told(ctx, "stripe", story.events["03_charge.succeeded"])
    full = (await builders.family_of(ctx, family.payment.id)).charges[0]
    assert (full.detail["brand"], full.detail["last4"]) == ("visa", "4242")
    assert await builders.one(ctx, "SELECT count(*) FROM facts WHERE kind = 'charge.captured'") == 1


def _disagreeing(attempt: Attempt) -> dict[str, tuple[str, dict[str, Any]]]:
    """What a gateway might say of another payment than ours: how the reason begins, and the event."""
    whole = builders.charge(attempt, "ch_1")
    return {
        "amount": ("amount: ", whole | {"amount": 1, "amount_captured": 1}),
        "captured beyond": ("amount: ", whole | {"amount_captured": 10_001}),
        "currency": ("currency: ", whole | {"currency": "eur"}),
        "object's mode": ("mode: ", whole | {"livemode": True}),
        "our reference": ("reference: ", whole | {"metadata": {"counterfoil_attempt": "att_of_another"}}),
        "its reference": ("reference: ", whole | {"payment_intent": "pi_of_another"}),
    }


@pytest.mark.parametrize(
    "lie", ["amount", "captured beyond", "currency", "object's mode", "our reference", "its reference"]
)
async def test_what_contradicts_our_record_is_parked_with_its_reason_and_changes_nothing(
    ctx: Context, lie: str
):
    family = await builders.owed(ctx)
    reason, told = _disagreeing(family.attempts[0])[lie]
    before = await everything(ctx)
    assert await builders.told(ctx, "stripe", builders.event("charge.succeeded", told)) == ["parked"]
    kept = await builders.one(ctx, "SELECT reason FROM inbox")
    assert kept.startswith(reason)
    assert await everything(ctx) == before
    assert await exceptions(ctx) == ["webhook_contradicts"]


async def everything(ctx: Context) -> dict[str, list[dict[str, Any]]]:
    """All that money is read from."""
    tables = ("payments", "attempts", "charges", "facts", "journals", "entries", "calls")
    return {table: await builders.rows(ctx, f"SELECT * FROM {table} ORDER BY id") for table in tables}


async def test_an_event_of_the_other_mode_is_parked(ctx: Context):
    family = await builders.owed(ctx)
    told = builders.event("charge.succeeded", builders.charge(family.attempts[0], "ch_1"), livemode=True)
    before = await everything(ctx)
    assert await builders.told(ctx, "stripe", told) == ["parked"]
    assert (await builders.one(ctx, "SELECT reason FROM inbox")).startswith("mode: ")
    assert await everything(ctx) == before


async def test_an_event_of_another_account_of_the_gateway_is_parked(ctx: Context):
    family = await builders.owed(ctx, "razorpay")
    captured = builders.razorpay_payment(family.attempts[0], "pay_1", "captured")
    ours, theirs = (
        builders.razorpay_event(kind, payment=captured) for kind in ("payment.authorized", "payment.captured")
    )
    ours["payload"]["payment"]["entity"] = captured | {"status": "authorized", "captured": False}
    theirs["account_id"] = "acc_of_another"
    assert await builders.told(ctx, "razorpay", ours) == ["processed"]  # the first teaches the account's id
    before = await everything(ctx)
    assert await builders.told(ctx, "razorpay", theirs) == ["parked"]
    reason = await builders.one(ctx, "SELECT reason FROM inbox WHERE status = 'parked'")
    assert reason.startswith("account: ")
    assert await everything(ctx) == before


async def test_what_one_account_knows_is_unknown_under_the_secret_of_another(ctx: Context):
    family = await builders.owed(ctx)
    as_razorpay = builders.razorpay_payment(family.attempts[0], "pay_1", "captured")
    told = builders.razorpay_event("payment.captured", payment=as_razorpay)
    assert await builders.told(ctx, "razorpay", told) == ["parked"]
    assert (await builders.one(ctx, "SELECT reason FROM inbox")).startswith("unknown_object: ")


async def test_an_event_of_an_unknown_object_waits_until_the_object_is_known(ctx: Context):
    story = builders.life("stripe")
    [letter] = await builders.stored(ctx, "stripe", story.events["03_charge.succeeded"])
    assert await builders.understood(ctx, letter) == "parked"
    reason = await builders.one(ctx, "SELECT reason FROM inbox")
    assert reason.startswith("unknown_object: ")
    assert story.ref in reason

    family = await builders.owed_by(ctx, story)
    assert await builders.understood(ctx, letter) == "processed"
    assert (await builders.family_of(ctx, family.payment.id)).payment.status == "captured"


async def test_an_attempt_whose_opening_was_never_answered_is_found_by_our_own_reference(ctx: Context):
    family = await builders.owed(ctx, ref=None)
    opened = replace(family.attempts[0], ref="pi_late")
    created = builders.event("payment_intent.created", builders.intent(opened, "requires_payment_method"))
    assert await builders.told(ctx, "stripe", created) == ["processed"]
    assert (await builders.family_of(ctx, family.payment.id)).attempts[0].ref == "pi_late"

    bare = builders.charge(opened, "ch_1", metadata={})
    assert await builders.told(ctx, "stripe", builders.event("charge.succeeded", bare)) == ["processed"]
    assert (await builders.family_of(ctx, family.payment.id)).payment.status == "captured"


@pytest.mark.parametrize("lacking", [{"notes": []}, {"receipt": None}])
async def test_a_paid_order_whose_opening_was_never_answered_is_found_by_our_own_reference(
    ctx: Context, lacking: dict[str, Any]
):
    family = await builders.owed(ctx, "razorpay", amount=500_000, currency="INR", ref=None)
    opened = replace(family.attempts[0], ref="order_late")
    payment = builders.razorpay_payment(opened, "pay_1", "captured")  # which names the order, and not us
    captured = builders.razorpay_event("payment.captured", payment=payment)
    paid = builders.razorpay_event(
        "order.paid", payment=payment, order=builders.razorpay_order(opened) | lacking
    )
    letters = await builders.stored(ctx, "razorpay", captured, paid)
    assert [await builders.understood(ctx, letter) for letter in letters] == ["parked", "processed"]
    assert await builders.understood(ctx, letters[0]) == "processed"
    now = await builders.family_of(ctx, family.payment.id)
    assert (now.payment.status, now.payment.amount_captured) == ("captured", 500_000)
    assert (now.attempts[0].ref, [charge.ref for charge in now.charges]) == ("order_late", ["pay_1"])
    assert await books(ctx, family) == {"gateway_balance": 500_000, "sales": -500_000}
    assert await exceptions(ctx) == []


async def test_a_payment_of_another_order_than_the_one_that_names_us_is_not_ours(ctx: Context):
    family = await builders.owed(ctx, "razorpay", ref=None)
    opened = replace(family.attempts[0], ref="order_late")
    payment = builders.razorpay_payment(opened, "pay_1", "captured", order_id="order_of_another")
    paid = builders.razorpay_event("order.paid", payment=payment, order=builders.razorpay_order(opened))
    before = await everything(ctx)
    assert await builders.told(ctx, "razorpay", paid) == ["parked"]
    assert await everything(ctx) == before


async def test_a_second_object_cannot_take_an_attempt_that_has_one(ctx: Context):
    family = await builders.owed(ctx, ref="pi_first")
    impostor = builders.intent(replace(family.attempts[0], ref="pi_second"), "requires_payment_method")
    assert await builders.told(ctx, "stripe", builders.event("payment_intent.created", impostor)) == [
        "parked"
    ]
    assert (await builders.family_of(ctx, family.payment.id)).attempts[0].ref == "pi_first"


async def test_a_cancelled_intent_fences_its_attempt_and_gives_the_payment_up(ctx: Context):
    family = await builders.owed(ctx)
    attempt = family.attempts[0]
    async with ctx.db.transaction() as conn:
        await payments.claim_winner(conn, family.payment.id, attempt.id)
    cancelled = builders.event("payment_intent.canceled", builders.intent(attempt, "canceled"))
    await builders.told(ctx, "stripe", cancelled)
    now = await builders.family_of(ctx, family.payment.id)
    assert (now.attempts[0].state, now.payment.winner_attempt_id) == ("fenced", None)
    assert now.payment.status == "failed"


@pytest.mark.parametrize("cancelled_first", [True, False])
async def test_a_cancelled_intent_with_money_stays_what_the_shop_was_told(
    ctx: Context, cancelled_first: bool
):
    family = await builders.owed(ctx)
    attempt = family.attempts[0]
    events = [
        builders.event("payment_intent.canceled", builders.intent(attempt, "canceled")),
        builders.event("charge.succeeded", builders.charge(attempt, "ch_1")),
    ]
    await builders.told(ctx, "stripe", *(events if cancelled_first else reversed(events)))
    now = await builders.family_of(ctx, family.payment.id)
    expected = ("failed", "fenced", True) if cancelled_first else ("captured", "won", False)
    assert (now.payment.status, now.attempts[0].state, now.charges[0].surplus) == expected
    assert now.attempts[0].fenced_at is not None
