"""The merchant's own templates of receipts: versions that stay as they came, and which of them is published."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from counterfoil.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """A template: its newest version, and the one that is published, if any."""

    name: str
    last: int
    published: int | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Version:
    """One version, without its files."""

    version: int
    note: str | None
    created_by: str
    created_at: datetime
    files: Mapping[str, int]  # bytes of each, by name


async def next_version(conn: Connection, merchant_id: str, name: str, now: datetime) -> int:
    """The number of a version that is being added; the template is made with its first."""
    taken: int = await conn.fetchval(
        """
        INSERT INTO receipt_templates AS t (merchant_id, name, last, created_at) VALUES ($1, $2, 1, $3)
        ON CONFLICT (merchant_id, name) DO UPDATE SET last = t.last + 1 RETURNING last
        """,
        merchant_id,
        name,
        now,
    )
    return taken


async def insert_version(
    conn: Connection,
    merchant_id: str,
    name: str,
    version: int,
    files: Mapping[str, bytes],
    *,
    note: str | None,
    actor: str,
    now: datetime,
) -> None:
    await conn.execute(
        "INSERT INTO receipt_template_versions (merchant_id, name, version, note, created_by, created_at)"
        " VALUES ($1, $2, $3, $4, $5, $6)",
        merchant_id,
        name,
        version,
        note,
        actor,
        now,
    )
    await conn.executemany(
        "INSERT INTO receipt_template_files (merchant_id, name, version, path, body) VALUES ($1, $2, $3, $4, $5)",
        [(merchant_id, name, version, path, body) for path, body in files.items()],
    )


async def publish(conn: Connection, merchant_id: str, name: str, version: int | None) -> None:
    """Draw new receipts by this version; None: by no version of it."""
    await conn.execute(
        "UPDATE receipt_templates SET published = $3 WHERE merchant_id = $1 AND name = $2",
        merchant_id,
        name,
        version,
    )


async def published(conn: Connection, merchant_id: str, names: Collection[str]) -> dict[str, int]:
    """The published version of each of these that has one."""
    rows = await conn.fetch(
        "SELECT name, published FROM receipt_templates"
        " WHERE merchant_id = $1 AND name = ANY($2::text[]) AND published IS NOT NULL",
        merchant_id,
        list(names),
    )
    return {row["name"]: row["published"] for row in rows}


async def every(conn: Connection, merchant_id: str) -> list[Stored]:
    """All templates, by name."""
    rows = await conn.fetch(
        "SELECT name, last, published, created_at FROM receipt_templates WHERE merchant_id = $1 ORDER BY name",
        merchant_id,
    )
    return [Stored(**dict(row)) for row in rows]


async def get(conn: Connection, merchant_id: str, name: str, *, locked: bool = False) -> Stored:
    """The template. Raises LookupError where there is none of that name."""
    row = await conn.fetchrow(
        "SELECT name, last, published, created_at FROM receipt_templates WHERE merchant_id = $1 AND name = $2"
        f"{' FOR UPDATE' if locked else ''}",
        merchant_id,
        name,
    )
    if row is None:
        raise LookupError(name)
    return Stored(**dict(row))


async def versions(conn: Connection, merchant_id: str, name: str) -> list[Version]:
    """All versions, the newest first."""
    rows = await conn.fetch(
        """
        SELECT v.version, v.note, v.created_by, v.created_at, jsonb_object_agg(f.path, length(f.body)) AS files
        FROM receipt_template_versions v JOIN receipt_template_files f USING (merchant_id, name, version)
        WHERE v.merchant_id = $1 AND v.name = $2
        GROUP BY v.version, v.note, v.created_by, v.created_at ORDER BY v.version DESC
        """,
        merchant_id,
        name,
    )
    return [Version(**dict(row)) for row in rows]


async def files(conn: Connection, merchant_id: str, name: str, version: int) -> dict[str, bytes]:
    """The files of a version, by name. Raises LookupError where there is no such version."""
    rows = await conn.fetch(
        "SELECT path, body FROM receipt_template_files"
        " WHERE merchant_id = $1 AND name = $2 AND version = $3 ORDER BY path",
        merchant_id,
        name,
        version,
    )
    if not rows:
        raise LookupError(f"{name}@{version}")
    return {row["path"]: row["body"] for row in rows}
