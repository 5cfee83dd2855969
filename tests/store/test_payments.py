import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

import builders
from counterfoil.domain.attempt import Attempt, AttemptState
from counterfoil.domain.call import Call, Settled, Verb
from counterfoil.domain.charge import Charge, ChargeState
from counterfoil.domain.fact import Fact, Kind, Report
from counterfoil.domain.money import Money
from counterfoil.services.context import Context
from counterfoil.store import calls, facts, payments
from counterfoil.store.database import Connection
from counterfoil.store.facts import Source
from counterfoil.store.payments import Family

FIRST, LONGEST = timedelta(seconds=30), timedelta(hours=1)

# The largest that a bigint holds. Through a float it would come back as another number.
HUGE = 2**63 - 1
# To the microsecond, and within the hour in which Europe's clocks jump.
THEN = datetime(2026, 3, 29, 1, 59, 59, 999_999, tzinfo=UTC)
# What JSON escapes, and what it need not escape but JavaScript must.
TEXT = "é ₹ 😀 \u2028\u2029 \\ \" ' <&>\n\t\x7f"
NESTED = {"text": TEXT, "huge": HUGE, "none": None, "list": [1, -1, {"deep": [True, []]}], "": {}}


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


async def full(ctx: Context, conn: Connection) -> Family:
    """A stored family in which every field once has a value that is hard to carry, and once none where it may."""
    # Due at THEN already, so that a call that begins brings nothing forward.
    due = builders.payment(ctx, amount=HUGE, description=TEXT, customer=NESTED, next_check_at=THEN)
    await payments.insert(conn, due)
    attempts = (
        builders.attempt(
            ctx,
            due,
            reason=TEXT,
            ref=TEXT,
            state=AttemptState.FENCED,
            failure=NESTED,
            disclosed_at=THEN,
            fenced_at=THEN + timedelta(microseconds=1),
            created_at=THEN,
        ),
        builders.attempt(
            ctx,
            due,
            "razorpay",
            number=2,
            ref=None,
            state=AttemptState.DEAD,
            disclosed_at=None,
            dead_at=THEN,
        ),
    )
    for attempt in attempts:
        await payments.insert_attempt(conn, attempt)
    charges = (_charge(attempts[0], "ch_1", NESTED), _charge(attempts[0], "ch_2", {}))
    for charge in charges:
        await payments.insert_charge(conn, charge)
    said = [await _fact(ctx, conn, attempts[0], ref) for ref in (None, TEXT)]
    made = (await _settled_call(conn, attempts[0]), await _open_call(conn, attempts[0]))
    return Family(due, attempts, charges, tuple(said), made)


def _charge(of: Attempt, ref: str, detail: dict[str, object]) -> Charge:
    return Charge(
        id=f"chg_of_{ref}",
        payment_id=of.payment_id,
        attempt_id=of.id,
        account_id=of.account_id,
        ref=ref,
        state=ChargeState.VOIDED,
        amount=HUGE,
        currency=of.currency,
        captured=HUGE - 1,
        refunded_seen=HUGE - 2,
        disputed_held=-HUGE,
        reserved=HUGE - 3,
        surplus=bool(detail),
        detail=detail,
        made_at=THEN,
        created_at=THEN + timedelta(microseconds=1),
    )


async def _fact(ctx: Context, conn: Connection, of: Attempt, charge_ref: str | None) -> Fact:
    """A fact with a charge and nested detail, or with neither."""
    detail = NESTED if charge_ref else {}
    report = Report(
        kind=Kind.DISPUTE_UNDER_REVIEW,
        object_id=f"dp_{charge_ref}",
        amount=Money(HUGE, of.currency),
        at=THEN,
        detail=detail,  # type: ignore[arg-type]  flat in what gateways say; the column takes any object
    )
    source = Source(kind="api", id="call_1")
    await facts.insert(conn, of, report, charge_ref=charge_ref, source=source, now=ctx.now())
    id_ = await conn.fetchval("SELECT max(id) FROM facts")
    return Fact(
        id=id_,
        object_id=report.object_id,
        kind=report.kind,
        amount=HUGE,
        currency=of.currency,
        attempt_id=of.id,
        charge_ref=charge_ref,
        detail=dict(detail),
        said_at=THEN,
    )


async def _settled_call(conn: Connection, of: Attempt) -> Call:
    call = replace(_call(of, "call_1"), verb=Verb.CAPTURE, charge_ref=TEXT, amount=HUGE)
    await calls.begin(conn, call)
    await calls.count_read(conn, call.id)
    await calls.settle(conn, call.id, Settled.ABANDONED, message=TEXT, answer=b"\xff\x00", now=THEN)
    return replace(call, settled=Settled.ABANDONED, settled_at=THEN, message=TEXT, reads=1)


async def _open_call(conn: Connection, of: Attempt) -> Call:
    await calls.begin(conn, call := _call(of, "call_2"))
    return call


def _call(of: Attempt, id_: str) -> Call:
    return Call(
        id=id_,
        payment_id=of.payment_id,
        attempt_id=of.id,
        verb=Verb.CONFIRM,
        key=f"the key of {id_}",
        charge_ref=None,
        amount=None,
        started_at=THEN,
        settled=None,
        settled_at=None,
        reads=0,
        message=None,
    )


@pytest.mark.parametrize(
    "session",
    [
        "SET LOCAL TIME ZONE 'UTC'",
        "SET LOCAL TIME ZONE 'Asia/Kathmandu'",
        "SET LOCAL TIME ZONE 'America/St_Johns'",
        "SET LOCAL TIME ZONE 'Europe/Berlin'",
        "SET LOCAL datestyle TO 'Postgres, DMY'",
    ],
)
async def test_a_family_is_read_as_it_was_written_whatever_the_session_is_set_to(ctx: Context, session: str):
    async with ctx.db.transaction() as conn:
        written = await full(ctx, conn)
        await conn.execute(session)
        read = await payments.get(conn, written.payment.id)
        [among_many] = await payments.families(conn, [written.payment.id])
    assert read == written
    assert among_many == written


async def test_what_is_read_has_its_types_and_not_only_its_letters(ctx: Context):
    async with ctx.db.transaction() as conn:
        family = await payments.get(conn, (await full(ctx, conn)).payment.id)
    assert [attempt.state for attempt in family.attempts] == [AttemptState.FENCED, AttemptState.DEAD]
    words = [
        *(attempt.state for attempt in family.attempts),
        *(charge.state for charge in family.charges),
        *(fact.kind for fact in family.facts),
        *(word for call in family.calls for word in (call.verb, call.settled)),
    ]
    assert {type(word) for word in words} == {AttemptState, ChargeState, Kind, Verb, Settled, type(None)}
    assert {type(attempt.amount) for attempt in family.attempts} == {int}
    assert {attempt.created_at.utcoffset() is None for attempt in family.attempts} == {False}


async def test_a_payment_that_nothing_hangs_on_is_a_family_of_its_own(ctx: Context):
    alone = builders.payment(ctx)
    async with ctx.db.transaction() as conn:
        await payments.insert(conn, alone)
        assert await payments.get(conn, alone.id) == Family(alone)


async def test_of_a_family_everything_comes_in_its_own_order(ctx: Context):
    family = await builders.owed(ctx, number=2)
    second, first = family.attempts[0], builders.attempt(ctx, family.payment, number=1)
    charges = [_charge(second, ref, {}) for ref in ("ch_1", "ch_2")]
    async with ctx.db.transaction() as conn:
        await payments.insert_attempt(conn, first)
        for charge in reversed(charges):
            await payments.insert_charge(conn, charge)
        later, earlier = await _fact(ctx, conn, second, "b"), await _fact(ctx, conn, second, "a")
        read = await payments.get(conn, family.payment.id)
    assert [attempt.number for attempt in read.attempts] == [1, 2]
    assert read.charges == tuple(charges)
    assert read.facts == (earlier, later)


async def test_a_changed_member_stands_in_its_own_place_and_a_new_one_last(ctx: Context):
    async with ctx.db.transaction() as conn:
        family = await full(ctx, conn)
    attempt, charge, call = family.attempts[0], family.charges[0], family.calls[0]
    changed = (
        family.with_attempt(replace(attempt, ref="another"))
        .with_charge(replace(charge, captured=1))
        .with_call(replace(call, message="another"))
    )
    assert [a.ref for a in changed.attempts] == ["another", None]
    assert [c.captured for c in changed.charges] == [1, HUGE - 1]
    assert [c.message for c in changed.calls] == ["another", None]
    grown = (
        family.with_attempt(replace(attempt, id="att_new"))
        .with_charge(replace(charge, id="chg_new"))
        .with_call(replace(call, id="call_new"))
    )
    assert grown.attempts == (*family.attempts, grown.attempt("att_new"))
    assert [c.id for c in grown.charges] == [*(c.id for c in family.charges), "chg_new"]
    assert [c.id for c in grown.calls] == [*(c.id for c in family.calls), "call_new"]
    assert (changed.payment, changed.facts) == (grown.payment, grown.facts) == (family.payment, family.facts)


@pytest.mark.parametrize("settled", [None, *Settled])
async def test_a_call_is_unsettled_while_nothing_is_known_of_its_outcome(
    ctx: Context, settled: Settled | None
):
    family = await builders.owed(ctx)
    family = family.with_call(replace(_call(family.attempts[0], "call_1"), settled=settled))
    assert bool(family.unsettled) is (settled in {None, Settled.UNKNOWN})
