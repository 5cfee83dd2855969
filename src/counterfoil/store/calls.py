"""Our intents: the rows that are committed before a call leaves, and what became of it."""

from datetime import datetime

from counterfoil.domain.call import FIRST_CHECK, Call, Settled
from counterfoil.store.database import Connection


class CallInFlightError(Exception):
    """This attempt has a call whose outcome is not known: one at a time."""


async def begin(conn: Connection, call: Call) -> None:
    """Write the intent. Raises CallInFlightError where the attempt has an unsettled call.

    A unique index refuses; the enclosing transaction stays usable. The payment is asked about soon from now on, however
    long it has waited between two checks, in case nobody lives to write the outcome.
    """
    begun = await conn.fetchval(
        """
        WITH soon AS (
            UPDATE payments SET next_check_at = $8::timestamptz + $9::interval, checks = 0
            WHERE id = $2 AND (next_check_at IS NULL OR next_check_at > $8::timestamptz + $9::interval)
        )
        INSERT INTO calls (id, payment_id, attempt_id, verb, key, charge_ref, amount, started_at, refund_id,
                           dispute_id)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $10, $11)
        ON CONFLICT (attempt_id) WHERE settled IS NULL OR settled = 'unknown' DO NOTHING RETURNING id
        """,
        call.id,
        call.payment_id,
        call.attempt_id,
        call.verb.value,
        call.key,
        call.charge_ref,
        call.amount,
        call.started_at,
        FIRST_CHECK,
        call.refund_id,
        call.dispute_id,
    )
    if begun is None:
        raise CallInFlightError(call.attempt_id)


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
