"""What every service is given: the database, the clock, the gateways, and who we are."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

from counterfoil.domain import ids
from counterfoil.domain.clock import Clock
from counterfoil.services.accounts import Directory
from counterfoil.services.metrics import Metrics
from counterfoil.services.traffic import Traffic
from counterfoil.store.database import Database
from counterfoil.vault import Vault


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    db: Database
    clock: Clock
    vault: Vault
    directory: Directory
    mode: str  # of new payments
    merchant_id: str
    merchant_name: str
    public_url: str
    chance: Callable[[int], bytes] = secrets.token_bytes
    traffic: Traffic = field(default_factory=Traffic, repr=False)

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
