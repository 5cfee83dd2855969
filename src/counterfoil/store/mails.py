"""The outbox of mails and texts: a row a recipient, written with what it tells of, and sent until gone or given up."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from counterfoil.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    """One mail to one recipient. `occasion` is told once to each; `about` is the id of what is told.

    `answers` counts the tries whose outcome is known: a try more than those may have arrived.
    """

    id: str
    merchant_id: str
    mode: str
    kind: str
    occasion: str
    about: str
    recipient: str
    tries: int
    next_check_at: datetime | None
    outcome: str | None
    error: str | None
    created_at: datetime
    ended_at: datetime | None
    channel: str = "email"  # or sms, in_app
    asked_by: str | None = None  # None: by itself
    answers: int = 0


_COLUMNS: Final = list(Mail.__dataclass_fields__)
_INSERT: Final = f"""
    INSERT INTO mails ({", ".join(_COLUMNS)}) VALUES ({", ".join(f"${n}" for n in range(1, len(_COLUMNS) + 1))})
    ON CONFLICT (occasion, recipient, channel) WHERE outcome IS DISTINCT FROM 'withdrawn' DO NOTHING RETURNING id
"""


async def insert(conn: Connection, mail: Mail) -> bool:
    """Queue a mail. False where the occasion was told to this recipient by this channel before, or is about to be."""
    return await conn.fetchval(_INSERT, *(getattr(mail, name) for name in _COLUMNS)) is not None


async def any_due(conn: Connection, now: datetime) -> bool:
    found: bool = await conn.fetchval("SELECT EXISTS (SELECT FROM mails WHERE next_check_at <= $1)", now)
    return found


async def take_due(conn: Connection, *, now: datetime, until: datetime, limit: int) -> list[Mail]:
    """Mails whose time has come, each counted as tried and pushed on, so that no other sweeper takes it too."""
    rows = await conn.fetch(
        f"""
        UPDATE mails SET tries = tries + 1, next_check_at = $2 WHERE id IN (
            SELECT id FROM mails WHERE next_check_at <= $1 ORDER BY next_check_at LIMIT $3 FOR UPDATE SKIP LOCKED
        ) RETURNING {", ".join(_COLUMNS)}
        """,
        now,
        until,
        limit,
    )
    return [Mail(**dict(row)) for row in rows]


async def of_payment(conn: Connection, payment_id: str) -> list[Mail]:
    """All that was written about a payment, in the order of writing; what is past its keeping is gone."""
    rows = await conn.fetch(
        f"SELECT {', '.join(_COLUMNS)} FROM mails WHERE about = $1 ORDER BY id", payment_id
    )
    return [Mail(**dict(row)) for row in rows]


async def end(conn: Connection, mail_id: str, *, outcome: str, error: str | None, now: datetime) -> None:
    await conn.execute(
        "UPDATE mails SET outcome = $2, error = $3, ended_at = $4, next_check_at = NULL"
        " WHERE id = $1 AND outcome IS NULL",
        mail_id,
        outcome,
        error,
        now,
    )


async def wait(conn: Connection, mail_id: str, *, until: datetime) -> None:
    """It is due then; what was taken now was no try."""
    await conn.execute(
        "UPDATE mails SET tries = tries - 1, next_check_at = $2 WHERE id = $1 AND outcome IS NULL",
        mail_id,
        until,
    )


async def put_off(conn: Connection, mail_id: str, *, until: datetime, error: str | None) -> None:
    await conn.execute(
        "UPDATE mails SET next_check_at = $2, error = $3, answers = tries WHERE id = $1 AND outcome IS NULL",
        mail_id,
        until,
        error,
    )


async def troubles(conn: Connection) -> tuple[int, str | None]:
    """How many mails were tried in vain and wait for their next try, and what the last of them came to."""
    row = await conn.fetchrow(
        "SELECT count(*) AS n, (array_agg(error ORDER BY id DESC))[1] AS error FROM mails"
        " WHERE next_check_at IS NOT NULL AND error IS NOT NULL"
    )
    return (row["n"], row["error"]) if row else (0, None)


async def prune(conn: Connection, ended_before: datetime) -> None:
    await conn.execute("DELETE FROM mails WHERE ended_at < $1", ended_before)
