"""Our intents: the rows that are committed before a call leaves, and what became of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Final

import asyncpg

from counterfoil.domain.call import Settled, Verb
from counterfoil.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    id: str
    payment_id: str
    attempt_id: str
    verb: Verb
    key: str
    charge_ref: str | None
    amount: int | None
    started_at: datetime
    settled: Settled | None
    settled_at: datetime | None
    reads: int
    message: str | None


_COLUMNS: Final = ", ".join(Call.__dataclass_fields__)


class CallInFlightError(Exception):
    """This attempt has a call whose outcome is not known: one at a time."""


async def begin(conn: Connection, call: Call) -> None:
    """Write the intent. Raises CallInFlightError where the attempt has an unsettled call.

    The refusal is by a unique index inside a savepoint, so that the enclosing transaction stays usable.
    """
    try:
        async with conn.transaction():
            await conn.execute(
                """
                INSERT INTO calls (id, payment_id, attempt_id, verb, key, charge_ref, amount, started_at)
                VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
                """,
                call.id,
                call.payment_id,
                call.attempt_id,
                call.verb.value,
                call.key,
                call.charge_ref,
                call.amount,
                call.started_at,
            )
    except asyncpg.UniqueViolationError as taken:
        raise CallInFlightError(call.attempt_id) from taken


async def settle(
    conn: Connection,
    call_id: str,
    settled: Settled,
    *,
    message: str | None,
    answer: bytes | None,
    now: datetime,
) -> bool:
    """Write what became of the call. False where that was known already: the first word stands."""
    done = await conn.fetchval(
        """
        UPDATE calls SET settled = $2, settled_at = $3, message = $4, answer = coalesce($5, answer)
        WHERE id = $1 AND (settled IS NULL OR settled = 'unknown') RETURNING id
        """,
        call_id,
        settled.value,
        now,
        message,
        answer,
    )
    return done is not None


async def count_read(conn: Connection, call_id: str) -> int:
    """Count one more read that did not find the call's effect."""
    reads: int = await conn.fetchval(
        "UPDATE calls SET reads = reads + 1 WHERE id = $1 RETURNING reads", call_id
    )
    return reads


async def of_payment(conn: Connection, payment_id: str) -> list[Call]:
    rows = await conn.fetch(f"SELECT {_COLUMNS} FROM calls WHERE payment_id = $1 ORDER BY id", payment_id)
    return [_call(row) for row in rows]


async def unsettled(conn: Connection, payment_id: str) -> list[Call]:
    rows = await conn.fetch(
        f"SELECT {_COLUMNS} FROM calls WHERE payment_id = $1 AND (settled IS NULL OR settled = 'unknown') ORDER BY id",
        payment_id,
    )
    return [_call(row) for row in rows]


def _call(row: asyncpg.Record) -> Call:
    settled = Settled(row["settled"]) if row["settled"] else None
    return Call(**{**row, "verb": Verb(row["verb"]), "settled": settled})
