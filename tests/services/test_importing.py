"""Past payments come in once, with their facts and books, and are from then on as any other."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

import builders
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.payment import Status
from counterfoil.services import checking, importing
from counterfoil.services.context import Context
from counterfoil.services.importing import Plan, Result
from counterfoil.store import database
from counterfoil.store.spool import Line, spool


@pytest.fixture
async def ctx(database_url: str) -> AsyncIterator[Context]:
    async with builders.open_house(database_url) as house:
        yield house.context


CAPTURED_AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
AS_OF = datetime(2026, 11, 1, tzinfo=UTC)


def row(number: int | str = 1, **changes: Any) -> dict[str, Any]:
    return {
        "gateway": "stripe",
        "payment_intent": f"pi_{number}",
        "charge": f"ch_{number}",
        "amount": 10_000,
        "currency": "USD",
        "captured": 10_000,
        "captured_at": "2026-01-31T12:00:00Z",
        **changes,
    }


def refund(ref: str, amount: int) -> dict[str, Any]:
    return {"refund": ref, "amount": amount, "refunded_at": "2026-02-01T00:00:00Z"}


async def bring(ctx: Context, *rows: dict[str, Any] | bytes, **options: Any) -> tuple[Result, list[Line]]:
    """Import the rows as JSON lines; what came of it, and of each."""
    plan = Plan(**{"name": "past.jsonl", "format": "jsonl", "as_of": AS_OF, **options})
    lines = [one if isinstance(one, bytes) else json.dumps(one).encode() + b"\n" for one in rows]
    with spool() as kept:
        result = await importing.bring(ctx, "cli:tests", lines, plan, kept)
        return result, list(kept.lines())


async def imported(ctx: Context, **changes: Any) -> str:
    """The id of a payment that was imported."""
    result, (line,) = await bring(ctx, row(builders.unique(), **changes))
    assert result.tally == {"imported": 1}, line
    return line.payment or ""


async def held(ctx: Context, payment_id: str) -> dict[tuple[str, str], int]:
    async with ctx.db.reading() as conn:
        return await builders.books(conn, payment_id)


async def test_an_imported_payment_is_whole(ctx: Context):
    id_ = await imported(
        ctx,
        charge="ch_whole",
        refunded=700,
        refunds=[refund("re_whole", 200)],
        reference="7",
        customer={"email": "a@example.org"},
        metadata={"shop": "north"},
        method={"type": "card", "last4": "4242"},
    )
    family = await builders.family_of(ctx, id_)
    payment, (attempt,), (charge,) = family.payment, family.attempts, family.charges
    assert (payment.status, payment.amount_captured, payment.amount_refunded) == (
        Status.CAPTURED,
        10_000,
        700,
    )
    assert (payment.reference, payment.customer, payment.metadata) == ("7", {"email": "a@example.org"}, {"shop": "north"})  # fmt: skip
    assert (payment.created_at, payment.winner_attempt_id, payment.next_check_at) == (
        CAPTURED_AT,
        attempt.id,
        None,
    )
    assert (attempt.imported, attempt.account_id) == (True, builders.account(ctx, "stripe"))
    assert (charge.ref, charge.captured, charge.refunded_seen, charge.reserved) == (
        "ch_whole",
        10_000,
        700,
        0,
    )
    assert charge.detail == {"method": "card", "last4": "4242"}
    assert [fact.kind.value for fact in family.facts] == [
        "charge.captured",
        "refund.succeeded",
        "opening.refunded",
    ]
    assert await held(ctx, id_) == {("gateway_balance", "USD"): 9_300, ("opening_balance", "USD"): -9_300}
    assert await checking.check(ctx) == []


async def test_nothing_is_published_of_what_happened_before(ctx: Context):
    await imported(ctx)
    assert await builders.one(ctx, "SELECT count(*) FROM events") == 0
    assert await builders.one(ctx, "SELECT count(*) FROM mails") == 0


async def test_an_import_is_audited_by_who_did_it_and_what_came_of_it(ctx: Context):
    result, _ = await bring(ctx, row(), row(2))
    told = await builders.rows(ctx, "SELECT actor, action, detail FROM audit WHERE object_id = $1 ORDER BY id", result.id)  # fmt: skip
    assert [(one["actor"], one["action"]) for one in told] == [
        ("cli:tests", "payments.import"),
        ("cli:tests", "payments.imported"),
    ]
    assert told[0]["detail"]["file"] == "past.jsonl"
    assert told[0]["detail"]["sha256"] == result.sha256
    assert told[1]["detail"] == {"imported": 2}
    assert await builders.rows(ctx, "SELECT DISTINCT source, source_id FROM facts") == [
        {"source": "import", "source_id": result.id}
    ]


async def test_the_same_file_again_changes_nothing(ctx: Context):
    rows = [row(n, refunded=100) for n in range(3)]
    first, _ = await bring(ctx, *rows)
    tables = ("payments", "attempts", "charges", "facts", "journals", "entries")
    before = [await builders.one(ctx, f"SELECT count(*) FROM {table}") for table in tables]
    again, lines = await bring(ctx, *rows)
    assert (first.tally, again.tally) == ({"imported": 3}, {"skipped": 3})
    assert {(line.fate, line.reason) for line in lines} == {("skipped", "already here")}
    assert all(line.payment for line in lines)
    assert [await builders.one(ctx, f"SELECT count(*) FROM {table}") for table in tables] == before


async def test_what_is_here_with_other_figures_says_so(ctx: Context):
    await bring(ctx, row())
    _, (line,) = await bring(ctx, row(captured=9_000))
    assert (line.fate, line.reason) == ("skipped", "already here, with 10000 USD captured")


async def test_a_payment_of_our_own_is_not_imported(ctx: Context):
    family = await builders.owed(ctx, ref="pi_ours")
    _, (line,) = await bring(ctx, row(payment_intent="pi_ours"))
    assert (line.fate, line.payment) == ("skipped", family.payment.id)


async def test_one_wrong_row_holds_the_others_back_unless_parts_are_wanted(ctx: Context):
    rows = [row(1), row(2, captured=0), row(3)]
    result, lines = await bring(ctx, *rows)
    assert (result.id, result.tally, result.rows) == (None, {"held": 2, "refused": 1}, 3)
    assert lines[0].reason == "nothing was imported, since other rows are refused: 1"
    assert lines[1].reason == "captured must be between 1 and the amount, 10000; it is 0"
    assert await builders.one(ctx, "SELECT count(*) FROM payments") == 0
    result, lines = await bring(ctx, *rows, partial=True)
    assert result.tally == {"imported": 2, "refused": 1}
    assert [line.fate for line in lines] == ["imported", "refused", "imported"]


async def test_a_dry_run_writes_nothing_at_all(ctx: Context):
    result, (line,) = await bring(ctx, row(), dry_run=True)
    assert (result.id, result.tally, line.fate) == (None, {"ready": 1}, "ready")
    for table in ("payments", "facts", "ledger_accounts"):
        assert await builders.one(ctx, f"SELECT count(*) FROM {table}") == 0
    assert await builders.one(ctx, "SELECT count(*) FROM audit WHERE action LIKE 'payments.%'") == 0


async def test_a_file_that_cannot_be_read_to_its_end_writes_nothing(ctx: Context):
    with pytest.raises(InvalidRequestError):
        await bring(ctx, row(), b"x" * 70_000)
    assert await builders.one(ctx, "SELECT count(*) FROM payments") == 0


@pytest.mark.parametrize(
    ("second", "reason"),
    [
        (row(2, charge="ch_1"), "ch_1 stands on line 1 already"),
        (row(2, payment_intent="pi_1"), "pi_1 stands on line 1 already"),
        (row(2, refunds=[refund("re_1", 100)]), "re_1 stands on line 1 already"),
    ],
)
async def test_an_id_that_stands_twice_in_the_file_is_refused(
    ctx: Context, second: dict[str, Any], reason: str
):
    _, lines = await bring(ctx, row(1, refunds=[refund("re_1", 100)]), second)
    assert (lines[1].fate, lines[1].reason) == ("refused", reason)


async def test_a_refund_of_another_payment_is_refused(ctx: Context):
    other = await imported(ctx, refunds=[refund("re_other", 100)])
    _, (line,) = await bring(ctx, row(refunds=[refund("re_other", 100)]))
    assert (line.fate, line.reason) == ("refused", f"re_other is a refund of {other}")


async def test_the_account_is_one_of_this_gateway_and_mode(ctx: Context):
    stripe, razorpay = (builders.account(ctx, name) for name in ("stripe", "razorpay"))
    nobody = f"gwa_{'0' * 26}"
    _, lines = await bring(
        ctx, row(1, account=stripe), row(2, account=razorpay), row(3, account=nobody), partial=True
    )
    assert [line.reason for line in lines] == [
        None,
        f"{razorpay} is an account of razorpay in sandbox mode",
        "there is no such account of stripe in sandbox mode",
    ]


async def test_a_card_number_is_shown_nowhere(ctx: Context):
    _, lines = await bring(ctx, row(charge="ch_4242424242424242"), row(charge="4242424242424242"), row(reference="4242424242424242"))  # fmt: skip
    assert [line.ref for line in lines] == [None, None, "ch_1"]
    assert "4242424242424242" not in str(lines)


# What comes later


async def test_the_same_payment_by_webhook_learns_onto_it(ctx: Context):
    id_ = await imported(ctx, payment_intent="pi_later", charge="ch_later")
    family = await builders.family_of(ctx, id_)
    of = replace(family.attempts[0], id="another program's own id")
    charge = builders.charge(of, "ch_later", metadata={"counterfoil_attempt": "order 7"})
    told = await builders.told(
        ctx,
        "stripe",
        builders.event(
            "payment_intent.succeeded", builders.intent(of, "succeeded", latest_charge="ch_later")
        ),
        builders.event("charge.succeeded", charge),
    )
    assert told == ["processed", "processed"]
    after = await builders.family_of(ctx, id_)
    assert [(fact.kind, fact.object_id, fact.amount) for fact in after.facts] == [
        (fact.kind, fact.object_id, fact.amount) for fact in family.facts
    ]
    assert after.payment == family.payment
    assert await held(ctx, id_) == {("gateway_balance", "USD"): 10_000, ("opening_balance", "USD"): -10_000}
    assert await builders.one(ctx, "SELECT count(*) FROM exceptions") == 0


async def test_a_webhook_that_came_before_the_import_is_understood_after_it(ctx: Context):
    attempt = builders.attempt(ctx, builders.payment(ctx), ref="pi_early")
    (letter,) = await builders.stored(
        ctx, "stripe", builders.event("charge.succeeded", builders.charge(attempt, "ch_early", metadata={}))
    )
    assert await builders.understood(ctx, letter) == "parked"
    await imported(ctx, payment_intent="pi_early", charge="ch_early")
    assert await builders.understood(ctx, letter) == "processed"


async def test_a_refund_made_since_is_of_our_own_books(ctx: Context):
    id_ = await imported(ctx, charge="ch_since", refunded=500)
    attempt = (await builders.family_of(ctx, id_)).attempts[0]
    since = int(ctx.now().timestamp())
    told = builders.refund(attempt, "re_since", "ch_since", 300, created=since)
    await builders.told(ctx, "stripe", builders.event("refund.created", told, created=since))
    assert (await builders.family_of(ctx, id_)).payment.amount_refunded == 800
    assert await held(ctx, id_) == {
        ("gateway_balance", "USD"): 9_200,
        ("opening_balance", "USD"): -9_500,
        ("sales", "USD"): 300,
    }
    assert await builders.one(ctx, "SELECT kind FROM exceptions") == "refund_outside"
    assert await checking.check(ctx) == []


async def test_a_refund_of_before_that_the_gateway_tells_of_is_not_counted_twice(ctx: Context):
    id_ = await imported(ctx, charge="ch_told", refunded=500)
    attempt = (await builders.family_of(ctx, id_)).attempts[0]
    before = int(datetime(2026, 10, 1, tzinfo=UTC).timestamp())
    told = builders.refund(attempt, "re_told", "ch_told", 300, created=before)
    await builders.told(ctx, "stripe", builders.event("refund.created", told, created=before))
    assert (await builders.family_of(ctx, id_)).payment.amount_refunded == 500
    assert await builders.one(ctx, "SELECT count(*) FROM exceptions") == 0
    assert await held(ctx, id_) == {("gateway_balance", "USD"): 9_500, ("opening_balance", "USD"): -9_500}
    assert await checking.check(ctx) == []


async def test_a_refund_that_the_file_names_is_no_news(ctx: Context):
    id_ = await imported(ctx, charge="ch_named", refunds=[refund("re_named", 300)])
    family = await builders.family_of(ctx, id_)
    (known,) = family.refunds
    assert (known.gateway_ref, known.amount, known.state.value) == ("re_named", 300, "succeeded")
    of, at = replace(family.attempts[0], id="order 7"), int(datetime(2026, 2, 1, tzinfo=UTC).timestamp())
    await builders.told(
        ctx,
        "stripe",
        builders.event("charge.succeeded", builders.charge(of, "ch_named")),
        builders.event("refund.created", builders.refund(of, "re_named", "ch_named", 300, created=at)),
    )
    assert (await builders.family_of(ctx, id_)).refunds == (known,)
    assert await builders.one(ctx, "SELECT count(*) FROM exceptions") == 0
    assert (await builders.family_of(ctx, id_)).payment.amount_refunded == 300


async def test_a_refund_of_before_that_fails_since_gives_its_money_back(ctx: Context):
    id_ = await imported(ctx, charge="ch_back", refunds=[refund("re_back", 300)])
    of, since = (await builders.family_of(ctx, id_)).attempts[0], int(ctx.now().timestamp())
    failed = builders.refund(of, "re_back", "ch_back", 300, status="failed")
    await builders.told(ctx, "stripe", builders.event("refund.failed", failed, created=since))
    family = await builders.family_of(ctx, id_)
    assert (family.payment.amount_refunded, family.refunds[0].state.value) == (0, "failed")
    assert (await held(ctx, id_))["gateway_balance", "USD"] == 10_000
    assert await checking.check(ctx) == []


async def test_a_refund_of_before_that_fails_on_a_day_with_smaller_ones_gives_its_money_back(ctx: Context):
    since = int(ctx.now().timestamp())
    today = {"refund": "re_large", "amount": 5_000, "refunded_at": since}
    id_ = await imported(ctx, charge="ch_today", refunds=[today])
    of = (await builders.family_of(ctx, id_)).attempts[0]
    told = [
        builders.event("refund.created", builders.refund(of, "re_small", "ch_today", 1_000), created=since),
        builders.event(
            "refund.failed",
            builders.refund(of, "re_large", "ch_today", 5_000, status="failed"),
            created=since,
        ),
    ]
    await builders.told(ctx, "stripe", *told)
    assert (await builders.family_of(ctx, id_)).payment.amount_refunded == 1_000
    assert await checking.check(ctx) == []


async def test_an_import_is_no_sign_that_webhooks_are_missing(ctx: Context):
    from counterfoil.services import silence
    from counterfoil.store import silence as store

    await imported(ctx)
    async with ctx.db.reading() as conn:
        hearings = await store.of_accounts(conn)
    assert [hearing.untold_since for hearing in hearings] == [None, None]
    assert not any(silence.is_silent(ctx, hearing) for hearing in hearings)


# Many


@pytest.fixture
async def other(ctx: Context, database_url: str) -> AsyncIterator[Context]:
    """A second process, as the database sees it."""
    opened = await database.connect(database_url)
    yield replace(ctx, db=opened)
    await opened.close()


async def test_two_imports_of_one_file_at_once_import_each_payment_once(ctx: Context, other: Context):
    rows = [row(n) for n in range(1_200)]
    one, two = await asyncio.gather(bring(ctx, *rows), bring(other, *rows))
    assert one[0].tally.get("imported", 0) + two[0].tally.get("imported", 0) == 1_200
    assert await builders.one(ctx, "SELECT count(*) FROM charges") == 1_200
    assert await checking.check(ctx) == []


async def test_a_long_file_takes_no_more_memory_than_a_short_one(ctx: Context):
    """Rows that are refused do all but the writing; the process's own peak is what a longer file would raise."""

    def lines(count: int) -> Iterator[bytes]:
        for number in range(count):
            yield json.dumps(row(number, reference="x" * 200, captured=-1)).encode() + b"\n"

    async def peak(count: int) -> int:
        plan = Plan(name="long", format="jsonl", as_of=AS_OF)
        tracemalloc.start()
        with spool() as kept:
            result = await importing.bring(ctx, "cli:tests", lines(count), plan, kept)
        highest = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert result.tally == {"refused": count}
        return highest

    await peak(1_000)
    assert await peak(8_000) < 1.2 * await peak(2_000)
