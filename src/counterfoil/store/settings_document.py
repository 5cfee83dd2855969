"""The settings document: one row, with a version that grows with every change."""

from datetime import datetime
from typing import Any

from counterfoil.store.database import Connection


async def current(conn: Connection) -> dict[str, Any] | None:
    document: dict[str, Any] | None = await conn.fetchval("SELECT document FROM settings LIMIT 1")
    return document


async def insert(conn: Connection, merchant_id: str, document: dict[str, Any], now: datetime) -> None:
    await conn.execute(
        "INSERT INTO settings (merchant_id, version, document, updated_at) VALUES ($1, 1, $2, $3)",
        merchant_id,
        document,
        now,
    )
