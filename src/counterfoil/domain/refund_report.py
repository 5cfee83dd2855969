"""What refunds come to, by period, reason, gateway, requester or approver: every currency for itself, never mixed.

Days, weeks (ISO 8601, from Monday) and months are those of the business. A refund belongs to when it was asked for, a
captured payment to when it was made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.money import Money
from counterfoil.domain.refund import State

# Ten years of days are as many lines as anybody reads, for each currency.
MOST_DAYS: Final = 3_660
_MILLION: Final = 1_000_000


class GroupBy(StrEnum):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    REASON = "reason"
    GATEWAY = "gateway"
    REQUESTER = "requester"
    APPROVER = "approver"


PERIODS: Final = frozenset({GroupBy.DAY, GroupBy.WEEK, GroupBy.MONTH})

# How a refund ended, or that it has not: which states each of them is.
FATES: Final[Mapping[str, tuple[State, ...]]] = {
    "succeeded": (State.SUCCEEDED,),
    "failed": (State.FAILED,),
    "rejected": (State.REJECTED,),
    "cancelled": (State.CANCELLED,),
    "open": (State.PENDING_APPROVAL, State.APPROVED, State.PROCESSING),
}


@dataclass(frozen=True, slots=True)
class Span:
    """From the beginning of the first day to the end of the last, where the business is."""

    first: date
    last: date
    zone: ZoneInfo

    def __post_init__(self) -> None:
        if self.last < self.first:
            raise InvalidRequestError("to is before from.", field="to")
        if (self.last - self.first).days >= MOST_DAYS:
            raise InvalidRequestError(f"A report is of {MOST_DAYS} days at most.", field="from")
        if self.last == date.max:
            raise InvalidRequestError("to is too far away.", field="to")

    @property
    def start(self) -> datetime:
        return _midnight(self.first, self.zone)

    @property
    def end(self) -> datetime:
        """The first moment that is no more of it."""
        return _midnight(self.last + timedelta(days=1), self.zone)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone)


def this_month(now: datetime, zone: ZoneInfo) -> Span:
    """The month so far, today included."""
    today = now.astimezone(zone).date()
    return Span(today.replace(day=1), today, zone)


def periods(span: Span, by: GroupBy) -> list[tuple[str, datetime]]:
    """The periods of a span: what each is called, and when it begins. The first and the last may be cut off."""
    found: dict[str, datetime] = {}
    for number in range((span.last - span.first).days + 1):
        day = span.first + timedelta(days=number)
        found.setdefault(_called(day, by), _midnight(day, span.zone))
    return list(found.items())


def _called(day: date, by: GroupBy) -> str:
    if by is GroupBy.DAY:
        return day.isoformat()
    if by is GroupBy.WEEK:
        year, week, _ = day.isocalendar()
        return f"{year}-W{week:02}"
    return f"{day:%Y-%m}"


@dataclass(frozen=True, slots=True)
class Sum:
    """How many, and how much together in minor units."""

    count: int = 0
    amount: int = 0


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a whole, in millionths."""

    ppm: int

    def __str__(self) -> str:
        """As a decimal fraction: 0.012500 is one and a quarter per cent."""
        return f"{self.ppm // _MILLION}.{self.ppm % _MILLION:06}"


@dataclass(frozen=True, slots=True)
class Spread:
    """Of so many seconds: half took no longer than `median`, nine in ten no longer than `p90`."""

    median: int
    p90: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """One group in one currency. `group` None: all of it, or, among groups, what belongs to none of them.

    `captured` are the payments that the refunds are held against: those of the same period or gateway, else all.
    `to_approve` is from request to approval, of what needed one; `to_customer` from request to success. Refunds that were
    made in a gateway's own dashboard are in neither: nobody knows when they were asked for.
    """

    group: str | None
    currency: str
    requested: Sum = Sum()
    fates: Mapping[str, Sum] = field(default_factory=dict)
    captured: Sum = Sum()
    to_approve: Spread | None = None
    to_customer: Spread | None = None

    def fate(self, name: str) -> Sum:
        return self.fates.get(name, Sum())

    @property
    def rate_count(self) -> "Share | None":
        """Refunds that succeeded, for each payment captured; None where none was."""
        return rate(self.fate("succeeded").count, self.captured.count)

    @property
    def rate_amount(self) -> "Share | None":
        """The same by amount."""
        return rate(self.fate("succeeded").amount, self.captured.amount)


def rate(part: int, of: int) -> "Share | None":
    """The part as a share, to the nearest millionth."""
    return Share((2 * part * _MILLION + of) // (2 * of)) if of else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """The lines of each group and currency, and those of each currency over all. An approver's lines may add up to more
    than the totals: two may have approved one refund.
    """

    mode: str
    span: Span
    by: GroupBy
    made_at: datetime
    lines: Sequence[Line]
    totals: Sequence[Line]


# As a table, for people: amounts in major units, rates as shares, times in seconds.

Cell: TypeAlias = str | int | Share | Money | None


def columns(by: GroupBy) -> list[str]:
    """The names of the table's columns."""
    return [
        by.value,
        "currency",
        *(f"{name} {figure}" for name in ("requested", *FATES, "captured") for figure in ("count", "amount")),
        "rate by count",
        "rate by amount",
        *(f"{share} seconds to {end}" for end in ("approve", "customer") for share in ("median", "p90")),
    ]


def rows(report: Report) -> list[list[Cell]]:
    """A row for each line, then one for each currency over all."""
    return [
        *(_row(line, line.group or "(none)") for line in report.lines),
        *(_row(line, "total") for line in report.totals),
    ]


def _row(line: Line, called: str) -> list[Cell]:
    sums = (line.requested, *(line.fate(name) for name in FATES), line.captured)
    figures: list[Cell] = [cell for one in sums for cell in (one.count, Money(one.amount, line.currency))]
    return [
        called,
        line.currency,
        *figures,
        line.rate_count,
        line.rate_amount,
        *_seconds(line.to_approve),
        *_seconds(line.to_customer),
    ]


def _seconds(spread: Spread | None) -> tuple[int | None, int | None]:
    return (spread.median, spread.p90) if spread else (None, None)


def shown(report: Report) -> dict[str, Any]:
    """The report as plain values for JSON: amounts in minor units beside their currency."""
    return {
        "object": "refund_report",
        "mode": report.mode,
        "from": report.span.first.isoformat(),
        "to": report.span.last.isoformat(),
        "time_zone": report.span.zone.key,
        "group_by": report.by.value,
        "data": [_shown(line) for line in report.lines],
        "totals": [_shown(line) for line in report.totals],
    }


def _shown(line: Line) -> dict[str, Any]:
    return {
        "group": line.group,
        "currency": line.currency,
        "requested": _sum(line.requested),
        **{name: _sum(line.fate(name)) for name in FATES},
        "captured": _sum(line.captured),
        "rate_ppm": {"count": _ppm(line.rate_count), "amount": _ppm(line.rate_amount)},
        "seconds_to_approve": _spread(line.to_approve),
        "seconds_to_customer": _spread(line.to_customer),
    }


def _sum(one: Sum) -> dict[str, int]:
    return {"count": one.count, "amount": one.amount}


def _ppm(share: Share | None) -> int | None:
    return share.ppm if share else None


def _spread(spread: Spread | None) -> dict[str, int] | None:
    return {"median": spread.median, "p90": spread.p90} if spread else None
