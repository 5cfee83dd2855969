"""The sandbox without a will of its own: its clock moves and its webhooks leave only when somebody says so."""

from collections.abc import Sequence
from typing import Any

from starlette.applications import Starlette

from counterfoil.sandbox.app import routes_of
from counterfoil.sandbox.clock import Clock
from counterfoil.sandbox.config import Config
from counterfoil.sandbox.faults import Faults
from counterfoil.sandbox.ids import Ids
from counterfoil.sandbox.truth import Json, Truth
from counterfoil.sandbox.webhook_secrets import Secrets
from counterfoil.sandbox.webhooks import Deliverer, Delivery, Target, Try
from counterfoil.sandbox.world import World

# 2026-11-22 12:00 UTC: where every run begins, so that two runs of one seed say the same.
BEGINNING = 1_795_348_800.0


class StillClock(Clock):
    """Time that stands still between jumps."""

    def now(self) -> float:
        return BEGINNING + self.offset if self._frozen is None else self._frozen


class Postbox(Deliverer):
    """Webhooks that wait to be taken; what came of each is recorded as if it had been posted."""

    def waiting(self) -> list[Delivery]:
        """What is due, oldest first."""
        rows = self._truth.sql.execute(
            "SELECT id, gateway, event, endpoint, created, tries FROM deliveries"
            " WHERE state = 'pending' AND next_at <= ? ORDER BY id",
            (self._clock.now(),),
        ).fetchall()
        return [Delivery(*row) for row in rows]

    def letter(self, delivery: Delivery) -> Target | None:
        """What is posted: address, signed headers, body."""
        return self._carriers[delivery.gateway].target(delivery)

    def tried(self, delivery: Delivery, status: int | None) -> None:
        """The post was answered so, or (None) not at all; what failed is due again when the gateway would try again."""
        with self._truth.transaction():
            self._record(delivery, Try(self._clock.now(), status, 0, None))

    def lose(self, delivery: Delivery) -> None:
        """It is never posted."""
        with self._truth.transaction():
            self._move(delivery, "dropped")


class Gateways:
    """Both gateways: the application to call, and the hands on their clock, post and faults."""

    def __init__(self, *, seed: int, deliver_to: str = "http://service") -> None:
        config = Config(seed=seed, deliver_to=deliver_to)
        truth = Truth(None)
        clock, faults = StillClock(truth), Faults()
        secrets = Secrets(
            truth, {"stripe": config.stripe_webhook_secret, "razorpay": config.razorpay_webhook_secret}
        )
        self.post = Postbox(truth, clock, faults, jump_pause_ms=0)
        self.world = World(config, truth, clock, Ids(config.seed), faults, secrets, self.post)
        self.app = Starlette(routes=routes_of(self.world))

    @property
    def config(self) -> Config:
        return self.world.config

    def now(self) -> float:
        """Unix seconds."""
        return self.world.clock.now()

    def advance(self, seconds: float) -> None:
        """Let time pass; what becomes due at the gateways has happened when this returns."""
        self.world.clock.advance(seconds)

    def truth(self) -> dict[str, dict[str, Sequence[Json]]]:
        """What both say of money, as /_sandbox/truth shows it."""
        both = {"refunds": "refund", "disputes": "dispute"}
        shown: dict[str, dict[str, Any]] = {
            "stripe": {"payment_intents": "payment_intent", "charges": "charge"} | both,
            "razorpay": {"orders": "order", "payments": "payment"} | both,
        }
        return {
            gateway: {name: self.world.truth.all(gateway, kind) for name, kind in kinds.items()}
            for gateway, kinds in shown.items()
        }
