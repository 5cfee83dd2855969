"""How far the gateways' own lists were read: a row a list of an account."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from counterfoil.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """Where the reading of a list stands.

    The next window begins at `next_from` and is at most `step` long. Up to `read_to` all has been seen that was to be
    seen. `recovered` counts what was found here before any webhook brought it.
    """

    account_id: str
    list: str
    next_from: datetime
    read_to: datetime
    step: timedelta
    next_check_at: datetime
    failures: int
    error: str | None
    recovered: int


_CURSOR: Final = ", ".join(Cursor.__dataclass_fields__)


async def enlist(
    conn: Connection, lists: Sequence[tuple[str, str, datetime]], *, step: timedelta, first_at: datetime
) -> None:
    """Begin a row for every (account, list, since when) that has none."""
    await conn.execute(
        """
        INSERT INTO recovery (account_id, list, next_from, read_to, step, next_check_at)
        SELECT account_id, list, since, since, $4, $5 FROM unnest($1::text[], $2::text[], $3::timestamptz[])
             AS l (account_id, list, since)
        ON CONFLICT (account_id, list) DO NOTHING
        """,
        *([row[n] for row in lists] for n in range(3)),
        step,
        first_at,
    )


async def take_due(
    conn: Connection, lists: Sequence[tuple[str, str]], *, now: datetime, until: datetime, limit: int
) -> list[Cursor]:
    """Of these lists the ones whose time has come, each pushed to `until` so that no other sweeper takes it too."""
    rows = await conn.fetch(
        f"""
        UPDATE recovery SET next_check_at = $4 WHERE (account_id, list) IN (
            SELECT account_id, list FROM recovery
            WHERE next_check_at <= $3 AND (account_id, list) IN (SELECT * FROM unnest($1::text[], $2::text[]))
            ORDER BY next_check_at LIMIT $5 FOR UPDATE SKIP LOCKED
        ) RETURNING {_CURSOR}
        """,
        *([row[n] for row in lists] for n in range(2)),
        now,
        until,
        limit,
    )
    return [Cursor(**row) for row in rows]


async def write(conn: Connection, after: Cursor, *, new: int = 0) -> None:
    """Where the reading stands now, with so much more recovered.

    Of two who read the same list at once the last one counts, which is right: what either has passed, it has read.
    """
    await conn.execute(
        """
        UPDATE recovery SET next_from = $3, read_to = greatest(read_to, $4), step = $5, next_check_at = $6,
               failures = $7, error = $8, recovered = recovered + $9
        WHERE account_id = $1 AND list = $2
        """,
        after.account_id,
        after.list,
        after.next_from,
        after.read_to,
        after.step,
        after.next_check_at,
        after.failures,
        after.error,
        new,
    )


async def cursors(conn: Connection) -> list[Cursor]:
    rows = await conn.fetch(f"SELECT {_CURSOR} FROM recovery ORDER BY account_id, list")
    return [Cursor(**row) for row in rows]


async def recovered(conn: Connection) -> list[dict[str, Any]]:
    """How much was found before any webhook brought it, by gateway and account."""
    rows = await conn.fetch(
        "SELECT a.gateway, a.id AS account, sum(r.recovered)::bigint AS n"
        " FROM recovery r JOIN gateway_accounts a ON a.id = r.account_id GROUP BY a.gateway, a.id"
    )
    return [dict(row) for row in rows]
