"""Webhooks understood: 200 a second, open loop, from each acknowledgement to the payment that shows captured.

Web and worker are one process. The moment of capture is that of the commit, as PostgreSQL noted it, on the same clock.
"""

import time
from typing import Final

from bench import client, webhooks
from bench.book import Book
from bench.client import Load
from bench.figures import Figure, median, percentile
from bench.running import Database, Ground
from bench.scale import Scale

RATE: Final = 200
CONNECTIONS: Final = 64
WAIT_S: Final = 60.0  # for the last of them

_CAPTURED: Final = """
    SELECT id, extract(epoch FROM pg_xact_commit_timestamp(xmin))::float8 AS at FROM payments WHERE status = 'captured'
"""


def measure(ground: Ground, book: Book, scale: Scale) -> list[Figure]:
    warm = int(RATE * scale.steady_warm_s)
    pages = book.pages[: warm + int(RATE * scale.steady_s)]
    with (
        ground.database(book.database) as database,
        ground.service("serve", env=ground.environment(database)) as server,
    ):
        before = server.cpu_s()
        load = Load(port=server.port, requests=webhooks.succeeded(pages), connections=CONNECTIONS, rate=RATE)
        result = client.run(load)
        _await_all(database, len(pages))
        spent = server.cpu_s() - before
        captured = {row["id"]: row["at"] for row in database.rows(_CAPTURED)}
    counted = [one for one in result.after(warm).sent if pages[one.number].payment_id in captured]
    lags = [(captured[pages[one.number].payment_id] - one.answered) * 1000 for one in counted]
    name = f"acknowledged → captured at {RATE} a second"
    return [
        Figure(what=f"{name}: p50", value=median(lags), unit="ms", at_most=20),
        Figure(what=f"{name}: p99", value=percentile(lags, 0.99), unit="ms", at_most=150),
        Figure(what=f"{name}: slowest", value=max(lags), unit="ms"),
        Figure(what=f"{name}: never captured", value=len(pages) - len(captured), at_most=0),
        Figure(
            what="processor for a webhook stored and understood", value=spent * 1000 / len(pages), unit="ms"
        ),
    ]


def _await_all(database: Database, count: int) -> None:
    """Wait until so many payments are captured, or it has taken too long."""
    end = time.monotonic() + WAIT_S
    while time.monotonic() < end:
        if database.value("SELECT count(*) FROM payments WHERE status = 'captured'") >= count:
            return
        time.sleep(0.2)
