"""Breakers and downtimes: how gateways fare, shared by all processes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from counterfoil.domain.breaker import Breaker
from counterfoil.store.database import Connection

_COLUMNS: Final = ", ".join(Breaker.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Downtime:
    """Trouble that a gateway tells of: one bank, network or handle, or with an empty instrument the whole method."""

    account_id: str
    id: str
    method: str
    instrument: dict[str, Any]
    severity: str
    began_at: datetime
    ended_at: datetime | None
    said_at: datetime


async def all_breakers(conn: Connection) -> list[Breaker]:
    rows = await conn.fetch(f"SELECT {_COLUMNS} FROM breakers")
    return [Breaker(**dict(row)) for row in rows]


async def lock(conn: Connection, account_id: str, method: str) -> Breaker:
    """The row, locked; made where there is none, so that two processes count the same failures."""
    row = await conn.fetchrow(
        f"""
        INSERT INTO breakers (account_id, method, failures, openings, updated_at) VALUES ($1, $2, 0, 0, 'epoch')
        ON CONFLICT (account_id, method) DO UPDATE SET failures = breakers.failures RETURNING {_COLUMNS}
        """,
        account_id,
        method,
    )
    assert row is not None  # noqa: S101  an upsert answers its row
    return Breaker(**dict(row))


async def save(conn: Connection, breaker: Breaker, now: datetime) -> None:
    await conn.execute(
        """
        UPDATE breakers SET failures = $3, openings = $4, opened_at = $5, retry_at = $6, probe_until = $7, reason = $8,
               updated_at = $9
        WHERE account_id = $1 AND method = $2
        """,
        breaker.account_id,
        breaker.method,
        breaker.failures,
        breaker.openings,
        breaker.opened_at,
        breaker.retry_at,
        breaker.probe_until,
        breaker.reason,
        now,
    )


async def keep_downtime(conn: Connection, said: Downtime) -> None:
    """Keep what was said last: reports come in any order, and carry the gateway's own time."""
    await conn.execute(
        """
        INSERT INTO downtimes (account_id, id, method, instrument, severity, began_at, ended_at, said_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
        ON CONFLICT (account_id, id) DO UPDATE SET
            method = excluded.method, instrument = excluded.instrument, severity = excluded.severity,
            began_at = excluded.began_at, ended_at = excluded.ended_at, said_at = excluded.said_at
        WHERE downtimes.said_at <= excluded.said_at
        """,
        said.account_id,
        said.id,
        said.method,
        said.instrument,
        said.severity,
        said.began_at,
        said.ended_at,
        said.said_at,
    )


async def downtimes_now(conn: Connection) -> Sequence[Downtime]:
    rows = await conn.fetch(
        "SELECT account_id, id, method, instrument, severity, began_at, ended_at, said_at FROM downtimes"
        " WHERE ended_at IS NULL"
    )
    return [Downtime(**dict(row)) for row in rows]
