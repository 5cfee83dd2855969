"""The settings document: one row, with a version that grows with every change."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from counterfoil.store.database import Connection


@dataclass(frozen=True, slots=True)
class Stored:
    """The document as it is stored, and its version."""

    version: int
    document: dict[str, Any]
    updated_at: datetime


async def current(conn: Connection) -> dict[str, Any] | None:
    document: dict[str, Any] | None = await conn.fetchval("SELECT document FROM settings LIMIT 1")
    return document


async def get(conn: Connection, merchant_id: str, *, locked: bool = False) -> Stored:
    """The document with its version; `locked` keeps it from others to the end of the transaction.

    Raises LookupError before the merchant's first start, which makes it.
    """
    row = await conn.fetchrow(
        "SELECT version, document, updated_at FROM settings WHERE merchant_id = $1"
        f"{' FOR UPDATE' if locked else ''}",
        merchant_id,
    )
    if row is None:
        raise LookupError(merchant_id)
    return Stored(**dict(row))


async def replace(
    conn: Connection, merchant_id: str, version: int, document: dict[str, Any], now: datetime
) -> None:
    """Write the next version of a locked document."""
    await conn.execute(
        "UPDATE settings SET version = $2, document = $3, updated_at = $4 WHERE merchant_id = $1",
        merchant_id,
        version,
        document,
        now,
    )


async def insert(conn: Connection, merchant_id: str, document: dict[str, Any], now: datetime) -> None:
    await conn.execute(
        "INSERT INTO settings (merchant_id, version, document, updated_at) VALUES ($1, 1, $2, $3)",
        merchant_id,
        document,
        now,
    )
