"""What every service is given: the database, the clock, the gateways, and who we are."""

import secrets
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from counterfoil.courier import Courier
from counterfoil.documents.jail import Renderer
from counterfoil.domain import ids
from counterfoil.domain.clock import Clock
from counterfoil.gateways.texting import Texting
from counterfoil.postman import Postman
from counterfoil.services.accounts import Directory
from counterfoil.services.hands import Hands
from counterfoil.services.health import Health
from counterfoil.services.metrics import Metrics
from counterfoil.services.pen import Pen
from counterfoil.services.shelf import Shelf
from counterfoil.services.traffic import Traffic
from counterfoil.store.database import Database
from counterfoil.vault import Vault


@dataclass(frozen=True, slots=True)
class OnEvent:
    """A callback of whoever embeds the service, and the name under which is kept how far it has heard.

    It is awaited with each event as docs/events.md shows it (services/hearing.py says when and how often).
    """

    hear: Callable[[dict[str, Any]], Awaitable[None]]
    name: str = "embedded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    db: Database
    clock: Clock
    vault: Vault
    directory: Directory
    health: Health
    merchant_id: str
    public_url: str
    courier: Courier = field(repr=False)
    texting: Texting = field(repr=False)
    postman: Postman = field(default_factory=Postman, repr=False)
    renderer: Renderer = field(default_factory=Renderer, repr=False)  # of receipts
    shelf: Shelf = field(default_factory=Shelf, repr=False)
    pen: Pen = field(default_factory=Pen, repr=False)
    on_event: OnEvent | None = None
    live_obstacle: str | None = None  # why this process may not serve live mode
    chance: Callable[[int], bytes] = secrets.token_bytes
    metrics: Metrics = field(default_factory=Metrics, repr=False)
    traffic: Traffic = field(default_factory=Traffic, repr=False)
    hands: Hands = field(default_factory=Hands, repr=False)  # busy with deliveries

    @property
    def mode(self) -> str:
        """The mode of new payments, as the settings say."""
        return self.directory.mode

    @property
    def unfit(self) -> str | None:
        """Why this process may not work now: the settings went live elsewhere, and it lacks what live mode needs."""
        return self.live_obstacle if self.mode == "live" else None

    @property
    def merchant_name(self) -> str:
        """The name customers see."""
        name: str = self.directory.document["business"]["name"]
        return name

    def now(self) -> datetime:
        return self.clock.now()

    def new_id(self, noun: str) -> str:
        return ids.make(noun, self.now(), self.chance(10))


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """What a process needs to serve, work, or carry out one command."""

    context: Context
    metrics: Metrics
    direct_url: str  # for LISTEN
