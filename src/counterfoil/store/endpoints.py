"""Endpoints and the secrets they are signed with (sealed: this room cannot read them)."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from counterfoil.domain.endpoint import Endpoint
from counterfoil.store.database import Connection

_ENDPOINT: Final = ", ".join(Endpoint.__dataclass_fields__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Secret:
    id: str
    endpoint_id: str
    secret: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime | None


_SECRET: Final = ", ".join(Secret.__dataclass_fields__)


async def count(conn: Connection, merchant_id: str, mode: str) -> int:
    """How many there are; two who make one at the same time count one after the other."""
    await conn.execute("SELECT FROM merchants WHERE id = $1 FOR NO KEY UPDATE", merchant_id)
    found: int = await conn.fetchval(
        "SELECT count(*) FROM endpoints WHERE merchant_id = $1 AND mode = $2 AND deleted_at IS NULL",
        merchant_id,
        mode,
    )
    return found


async def insert(conn: Connection, endpoint: Endpoint) -> None:
    places = ", ".join(f"${n}" for n in range(1, len(Endpoint.__dataclass_fields__) + 1))
    await conn.execute(
        f"INSERT INTO endpoints ({_ENDPOINT}) VALUES ({places})",
        *(getattr(endpoint, name) for name in Endpoint.__dataclass_fields__),
    )


async def get(
    conn: Connection, endpoint_id: str, merchant_id: str, mode: str, *, locked: bool = False
) -> Endpoint:
    """Raises LookupError where there is none of this merchant and mode."""
    row = await conn.fetchrow(
        f"SELECT {_ENDPOINT} FROM endpoints WHERE id = $1 AND merchant_id = $2 AND mode = $3 AND deleted_at IS NULL"
        f"{' FOR UPDATE' if locked else ''}",
        endpoint_id,
        merchant_id,
        mode,
    )
    if row is None:
        raise LookupError(endpoint_id)
    return Endpoint(**row)


async def listing(conn: Connection, merchant_id: str, mode: str) -> list[Endpoint]:
    rows = await conn.fetch(
        f"SELECT {_ENDPOINT} FROM endpoints WHERE merchant_id = $1 AND mode = $2 AND deleted_at IS NULL ORDER BY id",
        merchant_id,
        mode,
    )
    return [Endpoint(**row) for row in rows]


async def update(conn: Connection, endpoint_id: str, **changes: Any) -> Endpoint:
    """Set the named columns, whose names come from our own code. Raises LookupError."""
    settings = ", ".join(f"{column} = ${n}" for n, column in enumerate(changes, start=2))
    row = await conn.fetchrow(
        f"UPDATE endpoints SET {settings} WHERE id = $1 RETURNING {_ENDPOINT}", endpoint_id, *changes.values()
    )
    if row is None:
        raise LookupError(endpoint_id)
    return Endpoint(**row)


async def delete(conn: Connection, endpoint_id: str, now: datetime) -> None:
    """Its secrets go now; the row and its log when they are pruned."""
    await conn.execute("UPDATE endpoints SET deleted_at = $2 WHERE id = $1", endpoint_id, now)
    await conn.execute("DELETE FROM endpoint_secrets WHERE endpoint_id = $1", endpoint_id)


async def failing(conn: Connection, endpoint_id: str, now: datetime) -> Endpoint | None:
    """The endpoint, locked, failing since now unless it was before; None where it is disabled or gone."""
    row = await conn.fetchrow(
        "UPDATE endpoints SET failing_since = coalesce(failing_since, $2)"
        f" WHERE id = $1 AND disabled_at IS NULL AND deleted_at IS NULL RETURNING {_ENDPOINT}",
        endpoint_id,
        now,
    )
    return Endpoint(**row) if row else None


async def insert_secret(conn: Connection, secret: Secret) -> None:
    await conn.execute(
        f"INSERT INTO endpoint_secrets ({_SECRET}) VALUES ($1, $2, $3, $4, $5)",
        *(getattr(secret, name) for name in Secret.__dataclass_fields__),
    )


async def expire_secret(conn: Connection, endpoint_id: str, at: datetime) -> None:
    """The current secret signs until then, and there is room for a new one."""
    await conn.execute(
        "UPDATE endpoint_secrets SET expires_at = $2 WHERE endpoint_id = $1 AND expires_at IS NULL",
        endpoint_id,
        at,
    )


async def secrets(conn: Connection, endpoint_ids: Sequence[str], now: datetime) -> dict[str, list[Secret]]:
    """The secrets that sign now, the newest first, by endpoint."""
    rows = await conn.fetch(
        f"SELECT {_SECRET} FROM endpoint_secrets WHERE endpoint_id = ANY($1)"
        " AND (expires_at IS NULL OR expires_at > $2) ORDER BY expires_at DESC NULLS FIRST",
        endpoint_ids,
        now,
    )
    found: dict[str, list[Secret]] = {}
    for row in rows:
        found.setdefault(row["endpoint_id"], []).append(Secret(**row))
    return found


async def prune(conn: Connection, *, deleted_before: datetime, now: datetime) -> None:
    """Forget deleted endpoints whose log has had its time, and secrets that no longer sign."""
    await conn.execute("DELETE FROM endpoints WHERE deleted_at < $1", deleted_before)
    await conn.execute("DELETE FROM endpoint_secrets WHERE expires_at < $1", now)


async def states(conn: Connection) -> dict[str, int]:
    """How many endpoints are enabled, failing and disabled."""
    row = await conn.fetchrow(
        """
        SELECT count(*) FILTER (WHERE disabled_at IS NULL AND failing_since IS NULL) AS enabled,
               count(*) FILTER (WHERE disabled_at IS NULL AND failing_since IS NOT NULL) AS failing,
               count(*) FILTER (WHERE disabled_at IS NOT NULL) AS disabled
        FROM endpoints WHERE deleted_at IS NULL
        """
    )
    return dict(row or {})
