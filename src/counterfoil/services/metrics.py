"""What /metrics shows: counters of what happened here, and gauges read from the database when asked."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from counterfoil.store import deliveries, endpoints, inbox, queue, receipt_exports, recovery, silence
from counterfoil.store.database import Database
from counterfoil.store.silence import Hearing

# What is still to be understood, or looked at by a person.
WAITING: Final = frozenset({"received", "parked", "dead"})


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
        self._oldest = Gauge(
            "counterfoil_inbox_oldest_seconds",
            "Age of the oldest webhook in each status that is not an end.",
            ["gateway", "status"],
            registry=self.registry,
        )
        self._silence = Gauge(
            "counterfoil_webhook_silence_seconds",
            "Since an account's last webhook.",
            ["gateway", "account"],
            registry=self.registry,
        )
        self._untold = Gauge(
            "counterfoil_webhook_untold_seconds",
            "Since an account's gateway first did something of which no webhook has told; 0 where all was told.",
            ["gateway", "account"],
            registry=self.registry,
        )
        self._recovered = Gauge(
            "counterfoil_webhooks_recovered",
            "What was found on the gateway's own lists before any webhook brought it, ever.",
            ["gateway", "account"],
            registry=self.registry,
        )
        self.deliveries = Counter(
            "counterfoil_deliveries_total",
            "Tries to tell the merchant's own backend, by outcome: delivered, put_off until a next try, or failed.",
            ["outcome"],
            registry=self.registry,
        )
        self._endpoints = Gauge(
            "counterfoil_endpoints",
            "Endpoints of the merchant's own backend, by state: enabled, failing, disabled.",
            ["state"],
            registry=self.registry,
        )
        self._undelivered = Gauge(
            "counterfoil_undelivered", "Deliveries that wait, for endpoints that are not disabled.",
            registry=self.registry,
        )  # fmt: skip
        self._undelivered_for = Gauge(
            "counterfoil_undelivered_oldest_seconds",
            "Age of the oldest event that waits for an endpoint that is not disabled; 0 where none does.",
            registry=self.registry,
        )
        self._exports = Gauge(
            "counterfoil_receipt_exports",
            "Exports of receipts that are made or wait for it.",
            registry=self.registry,
        )
        self._exports_for = Gauge(
            "counterfoil_receipt_exports_oldest_seconds",
            "Since the oldest of these was asked for; 0 where there is none.",
            registry=self.registry,
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

    async def read(self, db: Database, now: datetime) -> None:
        """Set the gauges to what the database says now."""
        async with db.reading() as conn:
            letters, jobs = await inbox.counts(conn), await queue.depth(conn)
            heard, recovered = await silence.of_accounts(conn), await recovery.recovered(conn)
            states, waiting = await endpoints.states(conn), await deliveries.waiting(conn)
            exports, asked = await receipt_exports.open_ones(conn)
        self._forget()
        for state, many in states.items():
            self._endpoints.labels(state).set(many)
        self._undelivered.set(waiting.count)
        self._undelivered_for.set((now - waiting.oldest).total_seconds() if waiting.oldest else 0)
        self._exports.set(exports)
        self._exports_for.set((now - asked).total_seconds() if asked else 0)
        for count in letters:
            self._inbox.labels(count.gateway, count.status).set(count.letters)
            if count.status in WAITING:
                self._oldest.labels(count.gateway, count.status).set((now - count.oldest).total_seconds())
        for entrypoint, depth in jobs.items():
            self._queue.labels(entrypoint).set(depth)
        for account in heard:
            self._hear(account, now)
        for row in recovered:
            self._recovered.labels(row["gateway"], row["account"]).set(row["n"])
        self._database_up.set(1)

    def _hear(self, account: Hearing, now: datetime) -> None:
        labels = account.gateway, account.account_id
        if account.heard_at is not None:
            self._silence.labels(*labels).set((now - account.heard_at).total_seconds())
        since = account.untold_since
        self._untold.labels(*labels).set((now - since).total_seconds() if since else 0)

    def _forget(self) -> None:
        for gauge in (
            self._inbox, self._oldest, self._queue, self._silence, self._untold, self._recovered,
            self._endpoints,
        ):  # fmt: skip
            gauge.clear()

    def away(self) -> None:
        """The database cannot be asked: old gauges would lie."""
        self._forget()
        self._database_up.set(0)

    def page(self) -> bytes:
        """The exposition text."""
        return generate_latest(self.registry)
