"""Many payments that wait for their webhook: copies of one that was made through the API."""

import http.client
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

from bench.running import Database, Ground, Process

AMOUNT: Final = 10_000  # as in the sample event
CURRENCY: Final = "USD"

# The last eight of an id's 26 characters become the copy's number. The winner is set last, because it refers to the
# attempt; the next check is far off, because the gateway knows nothing of the copies.
_COPIES: Final = """
    WITH numbers AS (SELECT n, lpad(n::text, 8, '0') AS tail FROM generate_series(0, $1 - 1) n),
    paid AS (
        INSERT INTO payments
        SELECT copy.* FROM payments p, numbers, LATERAL jsonb_populate_record(p, jsonb_build_object(
            'id', left(p.id, -8) || tail, 'winner_attempt_id', NULL, 'next_check_at', $2::timestamptz)) copy
        RETURNING id
    )
    INSERT INTO attempts
    SELECT copy.* FROM attempts a, numbers, LATERAL jsonb_populate_record(a, jsonb_build_object(
        'id', left(a.id, -8) || tail, 'payment_id', left(a.payment_id, -8) || tail, 'ref', 'pi_3Bench' || tail)) copy
"""
_WINNERS: Final = """
    UPDATE payments p SET winner_attempt_id = a.id FROM attempts a
    WHERE a.payment_id = p.id AND p.winner_attempt_id IS NULL
"""
_PAGES: Final = """
    SELECT payment_id, id AS attempt_id, ref AS intent, 'ch_3Bench' || right(ref, 8) AS charge
    FROM attempts WHERE ref LIKE 'pi_3Bench%' ORDER BY ref
"""


@dataclass(frozen=True, slots=True)
class Page:
    """One payment that its gateway has not reported on yet."""

    payment_id: str
    attempt_id: str
    intent: str
    charge: str


@dataclass(frozen=True, slots=True)
class Book:
    """The payments, and the database that has them, which is copied for each case."""

    database: Database
    pages: Sequence[Page]


@contextmanager
def make_book(ground: Ground, copies: int) -> Iterator[Book]:
    """A book of so many pages."""
    with ground.database() as database:
        with ground.stub() as gateway:
            env = ground.environment(database, gateway.url)
            with ground.service("web", env=env) as service:
                _pay(service, ground.key)
        database.rows(_COPIES, copies, datetime.now(UTC) + timedelta(days=1))
        database.rows(_WINNERS)
        database.settle()
        yield Book(database, [Page(**row) for row in database.rows(_PAGES)])


def _pay(service: Process, key: str) -> None:
    """One payment that is confirmed, and of which the gateway says no more than that it is processing."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    body = {"amount": AMOUNT, "currency": CURRENCY, "payment_method": "pm_processing", "confirm": True}
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", "/api/payments", json.dumps(body), headers)
    answer = json.loads(connection.getresponse().read())
    connection.close()
    if answer["status"] != "pending":
        raise RuntimeError(f"the payment to copy is {answer}")
