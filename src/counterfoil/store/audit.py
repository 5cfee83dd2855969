"""The audit log, written in the transaction of the act; and exceptions, which wait for a person."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from counterfoil.store.database import Connection


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
        "INSERT INTO audit (merchant_id, mode, at, actor, action, object_id, detail) VALUES ($1, $2, $3, $4, $5, $6, $7)",
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
        """
        INSERT INTO audit (merchant_id, mode, at, actor, action, object_id, detail)
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


async def open_exception(
    conn: Connection,
    *,
    id_: str,
    merchant_id: str,
    mode: str,
    kind: str,
    subject: str,
    payment_id: str | None,
    sentence: str,
    now: datetime,
) -> bool:
    """Call a person, once for this kind and subject. False where one was called before."""
    opened = await conn.fetchval(
        """
        INSERT INTO exceptions (id, merchant_id, mode, kind, subject, payment_id, sentence, opened_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (kind, subject) DO NOTHING RETURNING id
        """,
        id_,
        merchant_id,
        mode,
        kind,
        subject,
        payment_id,
        sentence,
        now,
    )
    return opened is not None


async def resolve_exceptions(conn: Connection, *, kind: str, about: str, now: datetime) -> None:
    """Close the open ones of this kind whose subject begins with what they are about, and a stroke."""
    await conn.execute(
        "UPDATE exceptions SET resolved_at = $3"
        " WHERE resolved_at IS NULL AND kind = $1 AND starts_with(subject, $2 || '/')",
        kind,
        about,
        now,
    )


async def open_exceptions(conn: Connection, merchant_id: str, mode: str) -> list[dict[str, Any]]:
    rows = await conn.fetch(
        "SELECT id, kind, subject, payment_id, sentence, opened_at FROM exceptions"
        " WHERE merchant_id = $1 AND mode = $2 AND resolved_at IS NULL ORDER BY opened_at",
        merchant_id,
        mode,
    )
    return [dict(row) for row in rows]
