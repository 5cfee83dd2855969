"""API keys: only their digests are here."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from counterfoil.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKey:
    id: str
    merchant_id: str
    mode: str
    name: str
    role: str
    digest: bytes = field(repr=False)
    last4: str
    created_by: str
    person: str  # who stands behind it: the key itself, or whoever made it with a key of theirs
    created_at: datetime
    revoked_at: datetime | None


_COLUMNS: Final = ", ".join(ApiKey.__dataclass_fields__)


async def insert(conn: Connection, key: ApiKey) -> None:
    await conn.execute(
        f"INSERT INTO api_keys ({_COLUMNS}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)",
        *(getattr(key, name) for name in ApiKey.__dataclass_fields__),
    )


async def by_digest(conn: Connection, digest: bytes) -> ApiKey | None:
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM api_keys WHERE digest = $1 AND revoked_at IS NULL", digest
    )
    return ApiKey(**row) if row else None


async def person_of(conn: Connection, key_id: str) -> str | None:
    """Who stands behind a key; None where it is no key."""
    person: str | None = await conn.fetchval("SELECT person FROM api_keys WHERE id = $1", key_id)
    return person


async def all_keys(conn: Connection, merchant_id: str) -> list[ApiKey]:
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM api_keys WHERE merchant_id = $1 ORDER BY id", merchant_id
    )
    return [ApiKey(**row) for row in rows]


async def revoke(conn: Connection, key_id: str, now: datetime) -> bool:
    """False where there is no such key, or it is revoked already."""
    done = await conn.fetchval(
        "UPDATE api_keys SET revoked_at = $2 WHERE id = $1 AND revoked_at IS NULL RETURNING id", key_id, now
    )
    return done is not None
