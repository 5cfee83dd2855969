"""What refunds and captured payments come to, added up by PostgreSQL."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from counterfoil.domain.refund_report import FATES, PERIODS, GroupBy, Line, Spread, Sum
from counterfoil.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Whose refunds of which time. `periods` are names and beginnings, where they are grouped by these."""

    merchant_id: str
    mode: str
    start: datetime
    end: datetime
    by: GroupBy | None  # None: all of them together
    periods: Sequence[tuple[str, datetime]] = ()


_ALL: Final = "NULL::text"
_PERIOD: Final = "($5::text[])[width_bucket({at}, $6::timestamptz[])]"
_KEYS: Final[Mapping[GroupBy | None, str]] = {
    None: _ALL,
    GroupBy.REASON: "r.reason",
    GroupBy.GATEWAY: "a.gateway",
    GroupBy.REQUESTER: "r.person",
    GroupBy.APPROVER: "p.person",
    **dict.fromkeys(PERIODS, _PERIOD.format(at="r.requested_at")),
}
# What captured payments can be told apart by; by anything else all of them count.
_CAPTURED_KEYS: Final[Mapping[GroupBy | None, str]] = {
    GroupBy.GATEWAY: "a.gateway",
    **dict.fromkeys(PERIODS, _PERIOD.format(at="c.made_at")),
}
_TIMES: Final = {
    "approve": ("approved_at", "r.needed > 0 AND r.approved_at IS NOT NULL"),
    "customer": ("ended_at", "r.state = 'succeeded' AND r.source <> 'gateway'"),
}


def _sums() -> str:
    """The figures of a line: counts and amounts by fate, and how long things took."""
    fates = {name: ", ".join(f"'{state.value}'" for state in states) for name, states in FATES.items()}
    sums = [
        f"{figure} FILTER (WHERE r.state IN ({states})) AS {name}_{column}"
        for name, states in fates.items()
        for column, figure in (("count", "count(*)"), ("amount", "sum(r.amount)"))
    ]
    times = [
        f"round(percentile_cont({share}) WITHIN GROUP (ORDER BY extract(epoch FROM r.{until} - r.requested_at)::float8)"
        f" FILTER (WHERE {which}))::bigint AS {name}_{column}"
        for name, (until, which) in _TIMES.items()
        for column, share in (("median", "0.5"), ("p90", "0.9"))
    ]
    return ", ".join([*sums, *times])


async def refunds(conn: Connection, asked: Question) -> list[Line]:
    """The lines of what was asked for in that time, without the payments that they are held against."""
    approvals = "LEFT JOIN refund_approvals p ON p.refund_id = r.id" if asked.by is GroupBy.APPROVER else ""
    rows = await conn.fetch(
        f"""
        SELECT {_KEYS[asked.by]} AS key, r.currency, count(*) AS count, sum(r.amount) AS amount, {_sums()}
        FROM refunds r JOIN gateway_accounts a ON a.id = r.account_id {approvals}
        WHERE r.merchant_id = $1 AND r.mode = $2 AND r.requested_at >= $3 AND r.requested_at < $4
        GROUP BY 1, 2
        """,
        *_values(asked),
    )
    return [_line(row) for row in rows]


def _line(row: Any) -> Line:
    return Line(
        group=row["key"],
        currency=row["currency"],
        requested=Sum(row["count"], int(row["amount"])),
        fates={name: Sum(row[f"{name}_count"], int(row[f"{name}_amount"] or 0)) for name in FATES},
        to_approve=_spread(row, "approve"),
        to_customer=_spread(row, "customer"),
    )


def _spread(row: Any, name: str) -> Spread | None:
    median, p90 = row[f"{name}_median"], row[f"{name}_p90"]
    return None if median is None else Spread(median, p90)


async def captured(conn: Connection, asked: Question) -> dict[tuple[str | None, str], Sum]:
    """The payments that were made and captured in that time, by group (None: over all) and currency."""
    rows = await conn.fetch(
        f"""
        SELECT {_CAPTURED_KEYS.get(asked.by, _ALL)} AS key, c.currency, count(*) AS count, sum(c.captured) AS amount
        FROM charges c JOIN payments p ON p.id = c.payment_id JOIN gateway_accounts a ON a.id = c.account_id
        WHERE p.merchant_id = $1 AND p.mode = $2 AND c.made_at >= $3 AND c.made_at < $4
          AND c.captured > 0 AND NOT c.surplus
        GROUP BY 1, 2
        """,
        *_values(asked),
    )
    return {(row["key"], row["currency"]): Sum(row["count"], int(row["amount"])) for row in rows}


def _values(asked: Question) -> list[object]:
    values: list[object] = [asked.merchant_id, asked.mode, asked.start, asked.end]
    if asked.by in PERIODS:
        values += [[name for name, _ in asked.periods], [at for _, at in asked.periods]]
    return values
