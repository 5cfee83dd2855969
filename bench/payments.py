"""Payments: create and confirm at a gateway that takes 150 ms a call, 64 under way.

What the service adds to the gateway's own 300 ms, and the processor time it spends, beside the two bare calls; and the
rows that prove that nothing was switched off. One request of ours makes both calls.
"""

import json
from collections.abc import Iterator
from typing import Final

from bench import bare, client
from bench.client import Load, Result
from bench.figures import Figure, median, percentile
from bench.running import Database, Ground
from bench.scale import Scale

IN_FLIGHT: Final = 64
BURST: Final = 2 * IN_FLIGHT  # answers until the first moment's requests are spread out
CALL_MS: Final = 150
GATEWAY_MS: Final = 2 * CALL_MS

_HEAD: Final = (
    "POST /api/payments HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nIdempotency-Key: {reference}\r\n"
    "Content-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
)
# Transactions that wrote something: all numbers given to transactions in the range, those of savepoints too, less
# savepoints, which carry their transaction's commit time.
_COMMITS: Final = """
    SELECT count(DISTINCT pg_xact_commit_timestamp(x::text::xid)) FROM generate_series($1::bigint, $2::bigint - 1) x
"""
_NEXT_TRANSACTION: Final = "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint"
# What one payment leaves behind, and the fewest rows of it that a paid one may have.
_ROWS: Final = {
    "captured payments": ("SELECT count(*) FROM payments WHERE status = 'captured'", 1),
    "idempotency records with their answer": ("SELECT count(*) FROM idempotency WHERE answer IS NOT NULL", 1),
    "audit rows": ("SELECT count(*) FROM audit WHERE action LIKE 'payment.%'", 2),
    "intents written before their call, and settled": (
        "SELECT count(*) FROM calls WHERE settled = 'accepted'",
        2,
    ),
    "facts": ("SELECT count(*) FROM facts", 1),
    "ledger journals": ("SELECT count(*) FROM journals", 1),
    "ledger entries": ("SELECT count(*) FROM entries", 2),
}


def order(reference: str) -> bytes:
    """The body of a request that creates and confirms at once."""
    return json.dumps(
        {
            "amount": 10_000,
            "currency": "USD",
            "reference": reference,
            "description": "Two tickets",
            "customer": {"id": "customer-1", "email": "jenny@example.com"},
            "payment_method": "pm_card_visa",
            "confirm": True,
        }
    ).encode()


def orders(count: int, key: str, name: str) -> list[bytes]:
    """A request a payment, under an idempotency key of its own, which is its reference too."""
    return [_request(key, f"{name}-{number}") for number in range(count)]


def _request(key: str, reference: str) -> bytes:
    body = order(reference)
    return _HEAD.format(key=key, reference=reference, length=len(body)).encode() + body


def measure(ground: Ground, scale: Scale) -> list[Figure]:
    with ground.stub(CALL_MS) as gateway, ground.database() as database:
        env = ground.environment(database, gateway.url)
        floor = bare.run(gateway.port, scale.payments, IN_FLIGHT)
        with ground.service("serve", env=env) as server:

            def pay(name: str, count: int, in_flight: int) -> Result:
                return client.run(
                    Load(port=server.port, requests=orders(count, ground.key, name), connections=in_flight)
                )

            pay("warm", IN_FLIGHT, IN_FLIGHT)
            database.settle()
            first, before = database.value(_NEXT_TRANSACTION), server.cpu_s()
            busy = pay("busy", scale.payments, IN_FLIGHT)
            last, spent = database.value(_NEXT_TRANSACTION), server.cpu_s() - before
            alone = pay("alone", scale.payments_alone, 1)
            commits = database.value(_COMMITS, first, last)
            paid = IN_FLIGHT + scale.payments + scale.payments_alone
            rows = list(_rows(database, paid))
    refused = busy.refused() + alone.refused()
    # All connections send their first request at the same moment: a burst, told apart from what follows it.
    burst, steady = busy.latencies_ms()[:IN_FLIGHT], busy.after(BURST)
    return [
        Figure(what=f"payments, {IN_FLIGHT} under way", value=steady.rate(), unit="/s"),
        *_overhead(f"added to the gateway's {GATEWAY_MS} ms, {IN_FLIGHT} under way", steady, at_most=100),
        Figure(
            what=f"added to the slowest of {IN_FLIGHT} at one moment",
            value=max(burst) - GATEWAY_MS,
            unit="ms",
        ),
        *_overhead("the same of the two bare calls", floor.after(BURST)),
        *_overhead(f"added to the gateway's {GATEWAY_MS} ms, one after the other", alone),
        *_processor(spent / scale.payments, floor.cpu_s / scale.payments),
        Figure(what="answered by anything but 201", value=refused, at_most=0),
        Figure(what="a payment: commits that wrote", value=commits / scale.payments),
        *rows,
    ]


def _overhead(name: str, result: Result, at_most: float | None = None) -> Iterator[Figure]:
    added = [taken - GATEWAY_MS for taken in result.latencies_ms()]
    yield Figure(what=f"{name}: p50", value=median(added), unit="ms")
    yield Figure(what=f"{name}: p99", value=percentile(added, 0.99), unit="ms", at_most=at_most)


def _processor(ours_s: float, floor_s: float) -> Iterator[Figure]:
    yield Figure(what="processor, a payment", value=ours_s * 1000, unit="ms")
    yield Figure(what="processor, the two bare aiohttp calls", value=floor_s * 1000, unit="ms")
    yield Figure(what="processor, ours ÷ the bare calls", value=ours_s / floor_s, unit="×", at_most=5)


def _rows(database: Database, payments: int) -> Iterator[Figure]:
    for name, (count, fewest) in _ROWS.items():
        yield Figure(what=f"a payment: {name}", value=database.value(count) / payments, at_least=fewest)
