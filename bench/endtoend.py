"""End to end: the same payments through the sandbox, which takes as long and then sends its webhooks.

64 under way. A payment is through when the webhook that says it was captured has been understood, which is when
PostgreSQL committed it.
"""

import time
from typing import Final

from bench import client
from bench.client import Load
from bench.figures import Figure, median, percentile
from bench.payments import CALL_MS, IN_FLIGHT, orders
from bench.running import Database, Ground, free_port
from bench.scale import Scale

WAIT_S: Final = 60.0  # for the last webhook
_UNDERSTOOD: Final = """
    SELECT p.reference, min(extract(epoch FROM pg_xact_commit_timestamp(i.xmin)))::float8 AS at
    FROM inbox i JOIN payments p ON p.id = i.payment_id
    WHERE i.status = 'processed' AND i.type = 'payment_intent.succeeded' AND p.reference LIKE 'busy-%'
    GROUP BY p.reference
"""


def measure(ground: Ground, scale: Scale) -> list[Figure]:
    port, sandbox_port = free_port(), free_port()
    with ground.database() as database:
        env = ground.environment(database, f"http://127.0.0.1:{sandbox_port}/stripe")
        sandbox = ("sandbox", f"--deliver-to=http://127.0.0.1:{port}", f"--latency-ms={CALL_MS}")
        with (
            ground.service(*sandbox, env=env, port=sandbox_port),
            ground.service("serve", env=env, port=port),
        ):
            client.run(Load(port=port, requests=orders(IN_FLIGHT, ground.key, "warm"), connections=IN_FLIGHT))
            database.settle()
            load = Load(port=port, requests=orders(scale.payments, ground.key, "busy"), connections=IN_FLIGHT)
            result = client.run(load)
            understood = _await_all(database, scale.payments)
    through = [
        (understood[f"busy-{one.number}"] - one.due) * 1000
        for one in result.sent
        if f"busy-{one.number}" in understood
    ]
    answered = result.latencies_ms()
    return [
        Figure(what=f"payments through the sandbox, {IN_FLIGHT} under way", value=result.rate(), unit="/s"),
        Figure(what="asked → answered: p50", value=median(answered), unit="ms"),
        Figure(what="asked → answered: p99", value=percentile(answered, 0.99), unit="ms"),
        Figure(what="asked → captured and its webhook understood: p50", value=median(through), unit="ms"),
        Figure(
            what="asked → captured and its webhook understood: p99",
            value=percentile(through, 0.99),
            unit="ms",
            at_most=2_000,
        ),
        Figure(what="never understood", value=scale.payments - len(through), at_most=0),
        Figure(what="answered by anything but 201", value=result.refused(), at_most=0),
    ]


def _await_all(database: Database, count: int) -> dict[str, float]:
    """When the webhook of each payment was understood, by reference, once all were or it has taken too long."""
    end = time.monotonic() + WAIT_S
    while True:
        found = {row["reference"]: row["at"] for row in database.rows(_UNDERSTOOD)}
        if len(found) >= count or time.monotonic() > end:
            return found
        time.sleep(0.2)
