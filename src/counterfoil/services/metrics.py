"""What /metrics shows: counters of what happened here, and gauges read from the database when asked."""

from collections.abc import Mapping

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from counterfoil.store import inbox, queue
from counterfoil.store.database import Database


class Metrics:
    """One registry an application, so that two in one process do not meet."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.webhooks = Counter(
            "counterfoil_webhooks_total",
            "Webhooks received, by gateway and result.",
            ["gateway", "result"],
            registry=self.registry,
        )
        self.webhook_secrets = Counter(
            "counterfoil_webhook_secret_uses_total",
            "Webhooks verified, by the secret that vouched for them: an old one should fall silent.",
            ["gateway", "secret"],
            registry=self.registry,
        )
        self.gateway_calls = Histogram(
            "counterfoil_gateway_call_seconds",
            "Calls to gateways, by call and outcome.",
            ["gateway", "call", "outcome"],
            registry=self.registry,
        )
        self._inbox = Gauge(
            "counterfoil_inbox", "Webhooks in each status.", ["gateway", "status"], registry=self.registry
        )
        self._queue = Gauge(
            "counterfoil_queue_depth", "Jobs waiting.", ["entrypoint"], registry=self.registry
        )

        self._breakers = Gauge(
            "counterfoil_breaker",
            "Breakers of gateway accounts, by method: 0 closed, 1 half open, 2 open; * is the whole gateway.",
            ["account", "method"],
            registry=self.registry,
        )
        self._database_up = Gauge(
            "counterfoil_database_up", "Whether the database answered just now.", registry=self.registry
        )

    def observe_call(self, gateway: str, call: str, outcome: str, seconds: float) -> None:
        self.gateway_calls.labels(gateway, call, outcome).observe(seconds)

    def breakers(self, states: Mapping[tuple[str, str], int]) -> None:
        """Set how gateways fare: 0 closed, 1 half open, 2 open."""
        self._breakers.clear()
        for (account, method), state in states.items():
            self._breakers.labels(account, method).set(state)

    async def read(self, db: Database) -> None:
        """Set the gauges to what the database says now."""
        async with db.reading() as conn:
            letters, jobs = await inbox.counts(conn), await queue.depth(conn)
        self._inbox.clear()
        self._queue.clear()
        for (gateway, status), count in letters.items():
            self._inbox.labels(gateway, status).set(count)
        for entrypoint, count in jobs.items():
            self._queue.labels(entrypoint).set(count)
        self._database_up.set(1)

    def away(self) -> None:
        """The database cannot be asked: old gauges would lie."""
        self._inbox.clear()
        self._queue.clear()
        self._database_up.set(0)

    def page(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)
