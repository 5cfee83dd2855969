"""Exports of receipts, and their files in parts."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, Final

import asyncpg

from counterfoil.domain.receipt_export import Export, State
from counterfoil.store.database import Connection

PART_BYTES: Final = 1 << 20  # as much as a reader holds at once

_COLUMNS: Final = list(Export.__dataclass_fields__)
_INSERT: Final = (
    f"INSERT INTO receipt_exports ({', '.join(_COLUMNS)})"
    f" VALUES ({', '.join(f'${n}' for n in range(1, len(_COLUMNS) + 1))})"
)
_SELECT: Final = f"SELECT {', '.join(_COLUMNS)} FROM receipt_exports"


def _export(row: asyncpg.Record) -> Export:
    values = dict(row)
    return Export(**values | {"state": State(values["state"])})


async def insert(conn: Connection, export: Export) -> None:
    await conn.execute(_INSERT, *(getattr(export, name) for name in _COLUMNS))


async def get(
    conn: Connection, export_id: str, merchant_id: str, mode: str, *, locked: bool = False
) -> Export:
    """The export. Raises LookupError where there is none of this merchant and mode."""
    how = "FOR UPDATE" if locked else ""
    row = await conn.fetchrow(
        f"{_SELECT} WHERE id = $1 AND merchant_id = $2 AND mode = $3 {how}", export_id, merchant_id, mode
    )
    if row is None:
        raise LookupError("no such export")
    return _export(row)


async def page(
    conn: Connection, merchant_id: str, mode: str, *, limit: int, before: str | None
) -> list[Export]:
    """The newest exports before a given id, newest first."""
    rows = await conn.fetch(
        f"{_SELECT} WHERE merchant_id = $1 AND mode = $2 AND ($3::text IS NULL OR id < $3) ORDER BY id DESC LIMIT $4",
        merchant_id,
        mode,
        before,
        limit,
    )
    return [_export(row) for row in rows]


async def kept(conn: Connection, merchant_id: str, mode: str) -> int:
    """How many are being made, or have a file that can be fetched."""
    found: int = await conn.fetchval(
        "SELECT count(*) FROM receipt_exports WHERE merchant_id = $1 AND mode = $2"
        " AND state IN ('waiting', 'running', 'ready')",
        merchant_id,
        mode,
    )
    return found


async def any_due(conn: Connection, now: datetime) -> bool:
    found: bool = await conn.fetchval(
        "SELECT EXISTS (SELECT FROM receipt_exports WHERE next_check_at <= $1)", now
    )
    return found


async def take_due(conn: Connection, *, now: datetime, until: datetime) -> Export | None:
    """One that nobody is at, the longest waiting first: counted as tried, and pushed on so that nobody else takes it."""
    row = await conn.fetchrow(
        f"""
        UPDATE receipt_exports
        SET state = 'running', tries = tries + 1, started_at = coalesce(started_at, $1), next_check_at = $2
        WHERE id = (
            SELECT id FROM receipt_exports WHERE next_check_at <= $1 ORDER BY next_check_at LIMIT 1 FOR UPDATE SKIP LOCKED
        ) RETURNING {", ".join(_COLUMNS)}
        """,
        now,
        until,
    )
    return _export(row) if row else None


async def hold(conn: Connection, export: Export) -> bool:
    """Lock it, as it was taken. False where it was cancelled, or taken by another since."""
    held = await conn.fetchval(
        "SELECT true FROM receipt_exports WHERE id = $1 AND state = 'running' AND next_check_at = $2 FOR UPDATE",
        export.id,
        export.next_check_at,
    )
    return held is not None


async def update(conn: Connection, export_id: str, **changes: Any) -> None:
    """Set the named columns, whose names come from our own code."""
    settings = ", ".join(f"{column} = ${n}" for n, column in enumerate(changes, start=2))
    await conn.execute(f"UPDATE receipt_exports SET {settings} WHERE id = $1", export_id, *changes.values())


async def add(
    conn: Connection, export_id: str, at: int, chunks: Iterable[bytes], *, listed: bool = False
) -> int:
    """Keep bytes of its file from there on, or of the list of its files; where they end."""
    for chunk in chunks:
        for first in range(0, len(chunk), PART_BYTES):
            part = chunk[first : first + PART_BYTES]
            await conn.execute(
                "INSERT INTO receipt_export_parts (export_id, listed, at, bytes) VALUES ($1, $2, $3, $4)",
                export_id,
                listed,
                at,
                part,
            )
            at += len(part)
    return at


async def close_list(conn: Connection, export_id: str, at: int) -> None:
    """Put the list of its files behind them, from there on."""
    await conn.execute(
        "UPDATE receipt_export_parts SET listed = false, at = at + $2 WHERE export_id = $1 AND listed",
        export_id,
        at,
    )


async def part(conn: Connection, export_id: str, at: int) -> tuple[int, bytes] | None:
    """The part of its file in which this byte stands, and where it begins; None where it is no more."""
    row = await conn.fetchrow(
        "SELECT at, bytes FROM receipt_export_parts WHERE export_id = $1 AND NOT listed AND at <= $2"
        " ORDER BY at DESC LIMIT 1",
        export_id,
        at,
    )
    return (row["at"], row["bytes"]) if row else None


async def expire(conn: Connection, now: datetime) -> None:
    """Nobody begins to fetch what has had its time."""
    await conn.execute(
        "UPDATE receipt_exports SET state = 'expired' WHERE state = 'ready' AND expires_at <= $1", now
    )


async def prune_parts(conn: Connection, now: datetime, limit: int) -> int:
    """Forget parts of files that have had their time; how many."""
    done: str = await conn.execute(
        """
        DELETE FROM receipt_export_parts WHERE (export_id, listed, at) IN (
            SELECT p.export_id, p.listed, p.at FROM receipt_exports e JOIN receipt_export_parts p ON p.export_id = e.id
            WHERE e.expires_at <= $1 LIMIT $2)
        """,
        now,
        limit,
    )
    return int(done.rpartition(" ")[2])


async def prune(conn: Connection, ended_before: datetime) -> None:
    """Forget exports that ended before this, and have no part any more."""
    await conn.execute(
        "DELETE FROM receipt_exports e WHERE ended_at < $1"
        " AND NOT EXISTS (SELECT FROM receipt_export_parts p WHERE p.export_id = e.id)",
        ended_before,
    )


async def open_ones(conn: Connection) -> tuple[int, datetime | None]:
    """How many are being made or wait for it, and since when the oldest of them does."""
    row = await conn.fetchrow(
        "SELECT count(*) AS n, min(created_at) AS oldest FROM receipt_exports WHERE next_check_at IS NOT NULL"
    )
    return (row["n"], row["oldest"]) if row else (0, None)
