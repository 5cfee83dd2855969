"""Everything a handler works with."""

from dataclasses import dataclass, field

from counterfoil.sandbox.clock import Clock
from counterfoil.sandbox.config import Config
from counterfoil.sandbox.faults import Faults
from counterfoil.sandbox.ids import Ids
from counterfoil.sandbox.truth import Truth
from counterfoil.sandbox.webhook_secrets import Secrets
from counterfoil.sandbox.webhooks import Deliverer


@dataclass(slots=True)
class World:
    """One sandbox."""

    config: Config
    truth: Truth
    clock: Clock
    ids: Ids
    faults: Faults
    secrets: Secrets
    deliverer: Deliverer
    busy: set[tuple[str, str]] = field(
        default_factory=set
    )  # (gateway, idempotency key) of calls that are running

    @property
    def deliver_to(self) -> str | None:
        """The base URL of the service, as configured or as changed since."""
        found = self.truth.setting("deliver_to", self.config.deliver_to)
        return found.rstrip("/") if isinstance(found, str) else None


def make_world(config: Config) -> World:
    """Open the truth and build a world on it."""
    truth = Truth(config.data)
    clock, faults = Clock(truth), Faults()
    secrets = Secrets(
        truth, {"stripe": config.stripe_webhook_secret, "razorpay": config.razorpay_webhook_secret}
    )
    deliverer = Deliverer(truth, clock, faults, jump_pause_ms=config.jump_pause_ms)
    return World(config, truth, clock, Ids(config.seed, truth.count()), faults, secrets, deliverer)
