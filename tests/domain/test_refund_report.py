"""The report of refunds: its periods, its sums and its shapes."""

from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.money import Money
from counterfoil.domain.refund import State
from counterfoil.domain.refund_report import (
    FATES,
    GroupBy,
    Line,
    Report,
    Share,
    Span,
    Spread,
    Sum,
    columns,
    periods,
    rate,
    rows,
    shown,
    this_month,
)

KOLKATA, BERLIN = ZoneInfo("Asia/Kolkata"), ZoneInfo("Europe/Berlin")
PERIODS = [GroupBy.DAY, GroupBy.WEEK, GroupBy.MONTH]


def test_a_span_begins_and_ends_at_midnight_where_the_business_is():
    span = Span(date(2026, 11, 1), date(2026, 11, 30), KOLKATA)
    assert span.start == datetime(2026, 10, 31, 18, 30, tzinfo=UTC)
    assert span.end == datetime(2026, 11, 30, 18, 30, tzinfo=UTC)


def test_a_day_on_which_the_clock_changes_has_its_own_length():
    """In UTC: two moments of one zone are told apart by what their clocks show."""
    span = Span(date(2026, 10, 25), date(2026, 10, 25), BERLIN)
    assert (span.end.astimezone(UTC) - span.start.astimezone(UTC)).total_seconds() == 25 * 3600


def test_the_month_so_far_is_that_of_the_business():
    late = datetime(2026, 10, 31, 20, 0, tzinfo=UTC)
    assert this_month(late, KOLKATA) == Span(date(2026, 11, 1), date(2026, 11, 1), KOLKATA)
    assert this_month(late, BERLIN) == Span(date(2026, 10, 1), date(2026, 10, 31), BERLIN)


@pytest.mark.parametrize(
    ("first", "last", "sentence"),
    [
        (date(2026, 11, 2), date(2026, 11, 1), "to is before from."),
        (date(2016, 1, 1), date(2026, 1, 8), "A report is of 3660 days at most."),
        (date.max, date.max, "to is too far away."),
    ],
)
def test_a_span_that_cannot_be_is_refused(first: date, last: date, sentence: str):
    with pytest.raises(InvalidRequestError) as refused:
        Span(first, last, BERLIN)
    assert refused.value.detail == sentence


def test_ten_years_are_not_too_long():
    assert len(periods(Span(date(2016, 1, 1), date(2026, 1, 7), BERLIN), GroupBy.DAY)) == 3_660


def test_periods_are_called_as_people_call_them():
    span = Span(date(2026, 12, 31), date(2027, 1, 4), BERLIN)
    assert [name for name, _ in periods(span, GroupBy.DAY)] == [
        "2026-12-31",
        "2027-01-01",
        "2027-01-02",
        "2027-01-03",
        "2027-01-04",
    ]
    # ISO 8601: the first days of January may belong to the last week of the year before.
    assert [name for name, _ in periods(span, GroupBy.WEEK)] == ["2026-W53", "2027-W01"]
    assert [name for name, _ in periods(span, GroupBy.MONTH)] == ["2026-12", "2027-01"]


@given(
    st.dates(date(2020, 1, 1), date(2030, 1, 1)),
    st.integers(0, 400),
    st.sampled_from(PERIODS),
    st.sampled_from([KOLKATA, BERLIN, ZoneInfo("America/New_York"), ZoneInfo("UTC")]),
)
def test_periods_follow_one_another_without_a_gap(first: date, days: int, by: GroupBy, zone: ZoneInfo):
    span = Span(first, date.fromordinal(first.toordinal() + days), zone)
    found = periods(span, by)
    beginnings = [at.astimezone(UTC) for _, at in found]
    assert beginnings[0] == span.start
    assert beginnings == sorted(beginnings)
    assert beginnings[-1] < span.end.astimezone(UTC)
    assert len({name for name, _ in found}) == len(found)


def test_every_state_of_a_refund_is_one_fate():
    states = [state for states in FATES.values() for state in states]
    assert sorted(states) == sorted(State)


def test_a_rate_is_of_something():
    assert [rate(part, 3) for part in (0, 1, 2, 3, 7)] == [
        Share(ppm) for ppm in (0, 333_333, 666_667, 1_000_000, 2_333_333)
    ]
    assert rate(2, 0) is None
    assert [str(rate(part, 80)) for part in (1, 80, 200)] == ["0.012500", "1.000000", "2.500000"]


LINE = Line(
    group="2026-11",
    currency="USD",
    requested=Sum(3, 1_500),
    fates={"succeeded": Sum(2, 1_000), "failed": Sum(1, 500)},
    captured=Sum(40, 100_000),
    to_approve=Spread(60, 90),
)
REPORT = Report(
    mode="sandbox",
    span=Span(date(2026, 11, 1), date(2026, 11, 30), KOLKATA),
    by=GroupBy.MONTH,
    made_at=datetime(2026, 11, 22, tzinfo=UTC),
    lines=[LINE, Line(group=None, currency="JPY")],
    totals=[Line(group=None, currency="USD", requested=Sum(3, 1_500))],
)


def test_as_json_it_says_minor_units_beside_their_currency():
    told = shown(REPORT)
    assert {name: told[name] for name in ("from", "to", "time_zone", "group_by", "mode")} == {
        "from": "2026-11-01",
        "to": "2026-11-30",
        "time_zone": "Asia/Kolkata",
        "group_by": "month",
        "mode": "sandbox",
    }
    nothing = {"count": 0, "amount": 0}
    assert told["data"][0] == {
        "group": "2026-11",
        "currency": "USD",
        "requested": {"count": 3, "amount": 1_500},
        "succeeded": {"count": 2, "amount": 1_000},
        "failed": {"count": 1, "amount": 500},
        "rejected": nothing,
        "cancelled": nothing,
        "open": nothing,
        "captured": {"count": 40, "amount": 100_000},
        "rate_ppm": {"count": 50_000, "amount": 10_000},
        "seconds_to_approve": {"median": 60, "p90": 90},
        "seconds_to_customer": None,
    }
    assert told["data"][1]["rate_ppm"] == {"count": None, "amount": None}
    assert [line["group"] for line in told["totals"]] == [None]


def test_as_a_table_every_cell_has_its_column():
    table = [dict(zip(columns(REPORT.by), row, strict=True)) for row in rows(REPORT)]
    assert [(row["month"], row["currency"]) for row in table] == [
        ("2026-11", "USD"),
        ("(none)", "JPY"),
        ("total", "USD"),
    ]
    first = table[0]
    assert (first["requested count"], first["requested amount"]) == (3, Money(1_500, "USD"))
    assert (first["failed amount"], first["captured amount"]) == (Money(500, "USD"), Money(100_000, "USD"))
    assert (first["rate by count"], first["rate by amount"]) == (Share(50_000), Share(10_000))
    assert (first["median seconds to approve"], first["p90 seconds to approve"]) == (60, 90)
    assert first["median seconds to customer"] is None
