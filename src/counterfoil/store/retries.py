"""Further tries in the database. They are read with their payment's family (store/payments.py)."""

from datetime import datetime
from typing import Any, Final

from counterfoil.domain.retry import Retry
from counterfoil.store.database import Connection

_COLUMNS: Final = list(Retry.__dataclass_fields__)
_INSERT: Final = (
    f"INSERT INTO retries ({', '.join(_COLUMNS)})"
    f" VALUES ({', '.join(f'${n}' for n in range(1, len(_COLUMNS) + 1))})"
)


async def insert(conn: Connection, retry: Retry) -> None:
    await conn.execute(_INSERT, *(getattr(retry, name) for name in _COLUMNS))


async def update(conn: Connection, retry: Retry, **changes: Any) -> None:
    """Set the named columns, whose names come from our own code."""
    settings = ", ".join(f"{column} = ${n}" for n, column in enumerate(changes, start=3))
    await conn.execute(
        f"UPDATE retries SET {settings} WHERE payment_id = $1 AND number = $2",
        retry.payment_id,
        retry.number,
        *changes.values(),
    )


async def take_due(conn: Connection, *, now: datetime, until: datetime, limit: int) -> list[str]:
    """The payments whose planned try is due, each pushed on, so that no other sweeper takes it too."""
    rows = await conn.fetch(
        """
        UPDATE retries SET next_check_at = $2 WHERE (payment_id, number) IN (
            SELECT payment_id, number FROM retries WHERE state = 'planned' AND next_check_at <= $1
            ORDER BY next_check_at LIMIT $3 FOR UPDATE SKIP LOCKED
        ) RETURNING payment_id
        """,
        now,
        until,
        limit,
    )
    return [row["payment_id"] for row in rows]
