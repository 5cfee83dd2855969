"""The report adds up what stands in the database, each currency for itself."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

import builders
from counterfoil.domain import ids
from counterfoil.domain.fact import Kind, Report
from counterfoil.domain.refund import Method, Refund, Source, State
from counterfoil.domain.refund_report import GroupBy, Line, Spread, Sum
from counterfoil.services import facts, refund_reports
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.store import payments, refunds
from counterfoil.store.facts import Source as Heard
from counterfoil.store.payments import Family

NOVEMBER = (date(2026, 11, 1), date(2026, 11, 30))


@dataclass
class Shop:
    """Payments and refunds of chosen days."""

    ctx: Context
    caller: Caller

    async def paid(self, at: datetime, gateway: str = "stripe", **changes: Any) -> Family:
        """A payment that was captured then."""
        family = await builders.owed(self.ctx, gateway, **changes)
        ref = f"ch_{builders.unique()}"
        told = Report(
            kind=Kind.CHARGE_CAPTURED,
            object_id=ref,
            amount=family.payment.money,
            at=at,
            attempt_ref=family.attempts[0].ref,
            charge_ref=ref,
        )
        async with self.ctx.db.transaction() as conn:
            family = await payments.lock(conn, family.payment.id)
            return await facts.apply(self.ctx, conn, family, [told], Heard(kind="sweep", id="tests"))

    async def refund(
        self, of: Family, at: datetime, amount: int = 100, *, approvers: tuple[str, ...] = (), **changes: Any
    ) -> Refund:
        """A refund that was asked for then and succeeded ten minutes later."""
        charge = of.charges[0]
        made = Refund(
            id=ids.make("refund", at, self.ctx.chance(10)),
            merchant_id=self.ctx.merchant_id,
            mode=self.ctx.mode,
            payment_id=of.payment.id,
            charge_id=charge.id,
            account_id=charge.account_id,
            amount=amount,
            currency=charge.currency,
            reason="requested_by_customer",
            note=None,
            source=Source.REQUEST,
            method=Method.GATEWAY,
            state=State.SUCCEEDED,
            because=None,
            rule="tests",
            needed=len(approvers),
            requested_by="key_1",
            person="anna",
            role="support",
            batch_id=None,
            retry_of=None,
            evidence=None,
            speed="normal",
            subject="tests",
            day=at.date().isoformat(),
            gateway_ref=f"re_{builders.unique()}",
            arn=None,
            speed_processed=None,
            failure=None,
            tries=0,
            requested_at=at,
            approved_at=at + timedelta(minutes=1),
            expires_at=None,
            reminded_at=None,
            sent_at=at,
            ended_at=at + timedelta(minutes=10),
            next_check_at=None,
            checks=0,
            version=1,
            updated_at=at,
        )
        made = replace(made, **changes)
        async with self.ctx.db.transaction() as conn:
            await refunds.insert(conn, replace(made, state=State.PENDING_APPROVAL))
            for person in approvers:
                await refunds.approve(conn, _approval(made, person))
            await refunds.update(conn, made.id, state=made.state.value)
        return made

    async def lines(self, by: GroupBy, first: date, last: date) -> dict[tuple[str | None, str], Line]:
        found = await refund_reports.report(self.ctx, self.caller, first=first, last=last, by=by)
        return {(line.group, line.currency): line for line in found.lines}

    async def totals(self, first: date, last: date) -> dict[str, Line]:
        found = await refund_reports.report(self.ctx, self.caller, first=first, last=last, by=GroupBy.DAY)
        return {line.currency: line for line in found.totals}


def _approval(of: Refund, person: str) -> refunds.Approval:
    return refunds.Approval(
        refund_id=of.id,
        payment_id=of.payment_id,
        amount=of.amount,
        currency=of.currency,
        requester=of.person,
        person=person,
        actor=f"key_{person}",
        role="approver",
        at=of.requested_at,
    )


@pytest.fixture
async def shop(database_url: str) -> AsyncIterator[Shop]:
    async with builders.open_house(database_url) as house:
        ctx = house.context
        yield Shop(ctx, Caller(actor="tests", merchant_id=ctx.merchant_id, mode=ctx.mode))


def on(day: int, hour: int = 12, month: int = 11) -> datetime:
    return datetime(2026, month, day, hour, tzinfo=UTC)


async def zone(shop: Shop, name: str) -> None:
    async with shop.ctx.db.transaction() as conn:
        document = await conn.fetchval("SELECT document FROM settings")
        document["business"]["timeZone"] = name
        await conn.execute("UPDATE settings SET document = $1", document)
    await shop.ctx.directory.refresh()


async def test_counts_sums_and_rates_are_of_each_currency_alone(shop: Shop):
    dollars = [await shop.paid(on(1)) for _ in range(4)]
    rupees = await shop.paid(on(2), "razorpay", currency="INR", amount=50_000)
    await shop.refund(dollars[0], on(3), 500)
    await shop.refund(dollars[1], on(4), 300, state=State.FAILED)
    await shop.refund(dollars[1], on(5), 200, state=State.REJECTED, because="no")
    await shop.refund(dollars[2], on(5), 100, state=State.CANCELLED, because="no")
    await shop.refund(dollars[3], on(6), 50, state=State.PROCESSING)
    await shop.refund(rupees, on(7), 25_000)
    totals = await shop.totals(*NOVEMBER)
    assert set(totals) == {"USD", "INR"}
    usd = totals["USD"]
    assert usd.requested == Sum(5, 1_150)
    assert usd.fates == {
        "succeeded": Sum(1, 500),
        "failed": Sum(1, 300),
        "rejected": Sum(1, 200),
        "cancelled": Sum(1, 100),
        "open": Sum(1, 50),
    }
    assert usd.captured == Sum(4, 40_000)
    assert (str(usd.rate_count), str(usd.rate_amount)) == ("0.250000", "0.012500")
    assert (totals["INR"].requested, totals["INR"].captured) == (Sum(1, 25_000), Sum(1, 50_000))


async def test_times_are_told_by_median_and_ninth_decile(shop: Shop):
    of = await shop.paid(on(1))
    for minutes in range(1, 12):
        await shop.refund(
            of,
            on(2),
            approvers=("boris",),
            approved_at=on(2) + timedelta(minutes=minutes),
            ended_at=on(2) + timedelta(hours=minutes),
        )
    # None of these says how long people or banks take.
    await shop.refund(of, on(2), approved_at=on(2))
    await shop.refund(of, on(2), source=Source.GATEWAY, ended_at=on(2))
    await shop.refund(of, on(2), state=State.FAILED, ended_at=on(9))
    usd = (await shop.totals(*NOVEMBER))["USD"]
    assert usd.to_approve == Spread(360, 600)
    times = sorted([*(3600 * hours for hours in range(1, 12)), 600])
    assert usd.to_customer == Spread(
        round((times[5] + times[6]) / 2), round(times[9] + 0.9 * (times[10] - times[9]))
    )


async def test_where_nothing_was_approved_or_paid_out_no_time_is_told(shop: Shop):
    await shop.refund(await shop.paid(on(1)), on(2), state=State.PROCESSING)
    usd = (await shop.totals(*NOVEMBER))["USD"]
    assert (usd.to_approve, usd.to_customer) == (None, None)


async def test_a_refund_belongs_to_the_day_of_the_business(shop: Shop):
    of = await shop.paid(on(1))
    await shop.refund(of, datetime(2026, 11, 2, 18, 29, tzinfo=UTC))
    await shop.refund(of, datetime(2026, 11, 2, 18, 30, tzinfo=UTC))
    await zone(shop, "Asia/Kolkata")
    by_day = await shop.lines(GroupBy.DAY, *NOVEMBER)
    asked = {group: line.requested.count for (group, _), line in by_day.items() if line.requested.count}
    assert asked == {"2026-11-02": 1, "2026-11-03": 1}
    assert (await shop.totals(date(2026, 11, 3), date(2026, 11, 3)))["USD"].requested.count == 1
    await zone(shop, "UTC")
    assert (await shop.totals(date(2026, 11, 2), date(2026, 11, 2)))["USD"].requested.count == 2


async def test_a_period_is_held_against_what_was_captured_in_it(shop: Shop):
    of = await shop.paid(on(1, month=9))
    await shop.paid(on(15, month=10))
    await shop.refund(of, on(2, month=10), 1_000)
    by_month = await shop.lines(GroupBy.MONTH, date(2026, 9, 1), date(2026, 11, 30))
    assert {group: (line.requested.count, line.captured.count) for (group, _), line in by_month.items()} == {
        "2026-09": (0, 1),
        "2026-10": (1, 1),
    }
    assert list(by_month) == sorted(by_month)
    by_week = await shop.lines(GroupBy.WEEK, date(2026, 10, 1), date(2026, 10, 31))
    assert [group for group, _ in by_week] == ["2026-W40", "2026-W42"]


async def test_gateways_are_held_against_their_own_payments(shop: Shop):
    stripe, razorpay = await shop.paid(on(1)), await shop.paid(on(1), "razorpay", currency="INR")
    await shop.paid(on(1), "razorpay", currency="INR")
    await shop.refund(razorpay, on(2), 100)
    lines = await shop.lines(GroupBy.GATEWAY, *NOVEMBER)
    assert {key: (line.requested.count, line.captured.count) for key, line in lines.items()} == {
        ("razorpay", "INR"): (1, 2),
        ("stripe", "USD"): (0, 1),
    }
    assert stripe.charges


async def test_reasons_and_requesters_are_held_against_all_payments(shop: Shop):
    of = await shop.paid(on(1))
    await shop.paid(on(1))
    await shop.refund(of, on(2), 100, reason="duplicate")
    await shop.refund(of, on(2), 300, person="carla")
    reasons = await shop.lines(GroupBy.REASON, *NOVEMBER)
    assert {group: (line.requested.amount, line.captured.count) for (group, _), line in reasons.items()} == {
        "duplicate": (100, 2),
        "requested_by_customer": (300, 2),
    }
    people = await shop.lines(GroupBy.REQUESTER, *NOVEMBER)
    assert {group: line.requested.amount for (group, _), line in people.items()} == {
        "anna": 100,
        "carla": 300,
    }


async def test_each_approver_has_what_they_approved_and_the_totals_count_it_once(shop: Shop):
    of = await shop.paid(on(1))
    await shop.refund(of, on(2), 100, approvers=("boris", "carla"))
    await shop.refund(of, on(2), 300, approvers=("boris",))
    await shop.refund(of, on(2), 700)
    lines = await shop.lines(GroupBy.APPROVER, *NOVEMBER)
    assert {group: line.requested.amount for (group, _), line in lines.items()} == {
        "boris": 400,
        "carla": 100,
        None: 700,
    }
    assert list(lines)[-1] == (None, "USD")
    assert (await shop.totals(*NOVEMBER))["USD"].requested == Sum(3, 1_100)


async def test_what_was_taken_twice_is_no_payment(shop: Shop):
    of = await shop.paid(on(1))
    async with shop.ctx.db.transaction() as conn:
        await conn.execute("UPDATE charges SET surplus = true WHERE id = $1", of.charges[0].id)
    assert await shop.totals(*NOVEMBER) == {}


async def test_the_other_mode_and_other_merchants_are_not_in_it(shop: Shop):
    await shop.refund(await shop.paid(on(1)), on(2))
    for elsewhere in (replace(shop.caller, mode="live"), replace(shop.caller, merchant_id="mer_other")):
        found = await refund_reports.report(
            shop.ctx, elsewhere, first=NOVEMBER[0], last=NOVEMBER[1], by=GroupBy.REASON
        )
        assert (found.lines, found.totals) == ([], [])


@pytest.mark.parametrize(
    ("first", "last", "span"),
    [
        (None, None, ("2026-11-01", "2026-11-22")),
        (date(2026, 10, 5), None, ("2026-10-05", "2026-11-22")),
        (None, date(2026, 10, 5), ("2026-10-01", "2026-10-05")),
        (date(2026, 12, 5), None, ("2026-12-05", "2026-12-05")),
    ],
)
async def test_what_is_left_out_is_the_month_so_far(
    shop: Shop, first: date | None, last: date | None, span: tuple[str, str]
):
    found = await refund_reports.report(shop.ctx, shop.caller, first=first, last=last, by=GroupBy.DAY)
    assert (found.span.first.isoformat(), found.span.last.isoformat()) == span
