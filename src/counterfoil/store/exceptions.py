"""Exceptions: what waits for a person, one at a time for each kind and subject, and how it was settled."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from counterfoil.store.database import Connection


class Again(StrEnum):
    """Whether what a person has settled opens again when it is told again. What ended by itself always does."""

    ALWAYS = "always"  # told only when it happens: each telling is a new happening
    IF_NEWS = "if_news"  # told at every look: only what says something else than what was settled is one
    NEVER = (
        "never"  # told at every look, and of one happening that is named by its subject and cannot come twice
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Exceptional:
    """Something that needs a person: why (`kind`), what it is about (`subject`), in a sentence. Resolved by nobody where
    it ended by itself.
    """

    id: str
    merchant_id: str
    mode: str
    kind: str
    subject: str
    payment_id: str | None
    sentence: str
    opened_at: datetime
    resolved_at: datetime | None = None
    resolved_by: str | None = None
    note: str | None = None


_COLUMNS: Final = ", ".join(Exceptional.__dataclass_fields__)


async def insert(conn: Connection, one: Exceptional, again: Again = Again.ALWAYS) -> bool:
    """Call a person. False where one is called already for this kind and subject, or was and it is not to open again."""
    opened = await conn.fetchval(
        """
        INSERT INTO exceptions (id, merchant_id, mode, kind, subject, payment_id, sentence, opened_at)
        SELECT $1, $2, $3, $4, $5, $6, $7, $8
        WHERE $9 = 'always' OR NOT EXISTS (
            SELECT FROM exceptions
            WHERE kind = $4 AND subject = $5 AND resolved_by IS NOT NULL AND ($9 = 'never' OR sentence = $7))
        ON CONFLICT (kind, subject) WHERE resolved_at IS NULL DO NOTHING RETURNING id
        """,
        one.id,
        one.merchant_id,
        one.mode,
        one.kind,
        one.subject,
        one.payment_id,
        one.sentence,
        one.opened_at,
        again,
    )
    return opened is not None


async def end(conn: Connection, *, kind: str, about: str, now: datetime) -> None:
    """Close the open ones of this kind whose subject begins with what they are about, and a stroke."""
    await conn.execute(
        "UPDATE exceptions SET resolved_at = $3"
        " WHERE resolved_at IS NULL AND kind = $1 AND starts_with(subject, $2 || '/')",
        kind,
        about,
        now,
    )


async def end_each(conn: Connection, *, kind: str, subjects: Sequence[str], now: datetime) -> None:
    """Close the open ones of this kind with one of these subjects."""
    await conn.execute(
        "UPDATE exceptions SET resolved_at = $3 WHERE resolved_at IS NULL AND kind = $1 AND subject = ANY($2::text[])",
        kind,
        subjects,
        now,
    )


async def resolve(conn: Connection, exception_id: str, *, by: str, note: str, now: datetime) -> None:
    """It is settled, and how."""
    await conn.execute(
        "UPDATE exceptions SET resolved_at = $2, resolved_by = $3, note = $4 WHERE id = $1",
        exception_id,
        now,
        by,
        note,
    )


async def lock(conn: Connection, merchant_id: str, mode: str, exception_id: str) -> Exceptional:
    """The exception, for this transaction alone. Raises LookupError where there is none of this merchant and mode."""
    row = await conn.fetchrow(
        f"SELECT {_COLUMNS} FROM exceptions WHERE id = $1 AND merchant_id = $2 AND mode = $3 FOR UPDATE",
        exception_id,
        merchant_id,
        mode,
    )
    if row is None:
        raise LookupError(exception_id)
    return Exceptional(**dict(row))


async def page(
    conn: Connection, merchant_id: str, mode: str, *, settled: bool, kind: str | None, after: str, limit: int
) -> list[Exceptional]:
    """Those behind a given id, the longest waiting first; the settled too where they are wanted."""
    rows = await conn.fetch(
        f"""
        SELECT {_COLUMNS} FROM exceptions
        WHERE merchant_id = $1 AND mode = $2 AND ($3 OR resolved_at IS NULL) AND ($4::text IS NULL OR kind = $4)
          AND id > $5
        ORDER BY id LIMIT $6
        """,
        merchant_id,
        mode,
        settled,
        kind,
        after,
        limit,
    )
    return [Exceptional(**dict(row)) for row in rows]
