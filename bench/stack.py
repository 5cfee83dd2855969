"""Many receipts of captured payments: copies of one that was paid through the API, with all that belongs to it."""

import http.client
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from bench.running import Database, Ground, Process

# The last eight of an id's 26 characters become the copy's number, as in a book of payments. Numbers begin at two: the
# original has the first. Every receipt is issued a second after the one before, so that a period holds so many.
_NUMBERS: Final = "(SELECT n, lpad(n::text, 8, '0') AS tail FROM generate_series(2, $1) n) numbers"
_CHANGED: Final = {
    "payments": "'id', left(id, -8) || tail, 'winner_attempt_id', NULL",
    "attempts": "'id', left(id, -8) || tail, 'payment_id', left(payment_id, -8) || tail, 'ref', 'pi_3Bench' || tail",
    "charges": (
        "'id', left(id, -8) || tail, 'payment_id', left(payment_id, -8) || tail,"
        " 'attempt_id', left(attempt_id, -8) || tail, 'ref', 'ch_3Bench' || tail"
    ),
    "calls": (
        "'id', left(id, -8) || tail, 'payment_id', left(payment_id, -8) || tail,"
        " 'attempt_id', left(attempt_id, -8) || tail, 'key', key || tail"
    ),
    "facts": (
        "'id', id + 1000000 + n * 100, 'payment_id', left(payment_id, -8) || tail,"
        " 'attempt_id', left(attempt_id, -8) || tail, 'object_id', object_id || tail"
    ),
    "receipts": (
        "'id', left(id, -8) || tail, 'payment_id', left(payment_id, -8) || tail, 'sequence', n,"
        " 'number', left(number, -6) || lpad(n::text, 6, '0'), 'issued_at', issued_at + n * interval '1 second',"
        " 'document', document || jsonb_build_object('id', left(id, -8) || tail,"
        " 'number', left(number, -6) || lpad(n::text, 6, '0'))"
    ),
}
_WINNERS: Final = """
    UPDATE payments p SET winner_attempt_id = a.id FROM attempts a
    WHERE a.payment_id = p.id AND p.winner_attempt_id IS NULL
"""
_BOUGHT: Final = {
    "amount": 11_900,
    "currency": "USD",
    "description": "Two tickets",
    "customer": {"name": "Asha Raman", "email": "asha@example.com", "country": "IN"},
    "line_items": [
        {"name": "Ticket, first row", "quantity": 2, "amount": 5_000},
        {"name": "Programme", "quantity": 1, "amount": 1_900},
    ],
    "payment_method": "pm_card_visa",
    "confirm": True,
}


@dataclass(frozen=True, slots=True)
class Stack:
    """The receipts, issued a second apart from `first` on, and the database that has them."""

    database: Database
    first: datetime

    def until(self, count: int) -> datetime:
        """The moment before which so many were issued."""
        return self.first + timedelta(seconds=count + 0.5)


@contextmanager
def make_stack(ground: Ground, count: int) -> Iterator[Stack]:
    """So many receipts."""
    with ground.database() as database:
        with ground.stub() as gateway:
            env = ground.environment(database, gateway.url)
            with ground.service("web", env=env) as service:
                _pay(service, ground.key)
        for table, changed in _CHANGED.items():
            database.rows(_copies(table, changed), count)
        database.rows(_WINNERS)
        database.settle()
        there, first = database.rows("SELECT count(*), min(issued_at) FROM receipts")[0]
        if there != count:
            raise RuntimeError(f"{there} receipts instead of {count}")
        yield Stack(database, first)


def _copies(table: str, changed: str) -> str:
    own = " OVERRIDING SYSTEM VALUE" if table == "facts" else ""
    return (
        f"INSERT INTO {table}{own} SELECT copy.* FROM {table} one, {_NUMBERS},"
        f" LATERAL jsonb_populate_record(one, jsonb_build_object({changed})) copy"
    )


def _pay(service: Process, key: str) -> None:
    """One payment that is captured, and so has its receipt."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=30)
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    connection.request("POST", "/api/payments", json.dumps(_BOUGHT), headers)
    answer: dict[str, Any] = json.loads(connection.getresponse().read())
    connection.close()
    if answer.get("status") != "captured":
        raise RuntimeError(f"the payment to copy is {answer}")
