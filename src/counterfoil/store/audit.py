"""The audit log, written in the transaction of the act."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from counterfoil.store.database import Connection

# For statements that carry the act out as well.
INTO: Final = "INSERT INTO audit (merchant_id, mode, at, actor, action, object_id, detail)"


async def record(
    conn: Connection,
    *,
    merchant_id: str,
    mode: str,
    at: datetime,
    actor: str,
    action: str,
    object_id: str,
    detail: Mapping[str, Any] | None = None,
) -> None:
    await conn.execute(
        f"{INTO} VALUES ($1, $2, $3, $4, $5, $6, $7)",
        merchant_id,
        mode,
        at,
        actor,
        action,
        object_id,
        dict(detail or {}),
    )


async def of_account(
    conn: Connection, account_id: str, *, at: datetime, action: str, detail: Mapping[str, Any]
) -> None:
    """Record what the service decided about a gateway account."""
    await conn.execute(
        f"""
        {INTO}
        SELECT merchant_id, mode, $2, 'service', $3, id, $4 FROM gateway_accounts WHERE id = $1
        """,
        account_id,
        at,
        action,
        dict(detail),
    )


async def of_object(
    conn: Connection, merchant_id: str, object_id: str, action: str, *, limit: int
) -> list[dict[str, Any]]:
    """Who did this to it and when, newest first."""
    rows = await conn.fetch(
        "SELECT at, actor, detail FROM audit WHERE merchant_id = $1 AND object_id = $2 AND action = $3"
        " ORDER BY id DESC LIMIT $4",
        merchant_id,
        object_id,
        action,
        limit,
    )
    return [dict(row) for row in rows]
