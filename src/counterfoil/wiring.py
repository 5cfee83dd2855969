"""Configuration becomes a running house: pools, gateways, services. The only place that constructs things, and the
only one that names a concrete gateway.
"""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from counterfoil import vault
from counterfoil.courier import Courier
from counterfoil.documents.jail import Renderer
from counterfoil.domain.errors import ConfigurationError
from counterfoil.gateways.base import Gateway, Speak
from counterfoil.gateways.http import Answer, Http, Request, open_session
from counterfoil.gateways.razorpay import gateway as razorpay
from counterfoil.gateways.razorpay import speak as razorpay_speak
from counterfoil.gateways.stripe import gateway as stripe
from counterfoil.gateways.stripe import speak as stripe_speak
from counterfoil.gateways.texting import Texting
from counterfoil.services import accounts, hearing
from counterfoil.services.accounts import Connect, Directory
from counterfoil.services.context import Context, House, OnEvent
from counterfoil.services.health import Health
from counterfoil.services.metrics import Metrics
from counterfoil.settings import Settings, gateway_url, live_obstacle
from counterfoil.store import database, embedded, migrate
from counterfoil.store.accounts import Account

CLOCK_EVERY_S: Final = 0.5  # the sandbox holds its webhooks for longer after a jump

log = structlog.get_logger()


class RealClock:
    """The machine's clock, moved by what the sandbox's clock is ahead, where one is followed."""

    def __init__(self) -> None:
        self.ahead = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.ahead


@dataclass(frozen=True, slots=True, kw_only=True)
class Addresses:
    """Where the database is: for the service's role, for migrations, and for LISTEN."""

    url: str
    owner_url: str
    direct_url: str


@contextmanager
def find_database(settings: Settings, *, supervise: bool) -> Iterator[Addresses]:
    """The database of the settings: a foreign one by its address, or our own.

    `supervise` owns our own for as long as the block runs and stops it last; other commands attach to what runs, or
    start it for their own duration.
    """
    if settings.database_url:
        direct = settings.database_direct_url or settings.database_url
        yield Addresses(url=settings.database_url, owner_url=direct, direct_url=direct)
        return
    data = settings.data or embedded.default_data()
    with embedded.supervise(data) if supervise else embedded.attach(data) as server:
        url = server.url("app")
        yield Addresses(url=url, owner_url=server.url("owner"), direct_url=url)


def bring_up_to_date(addresses: Addresses) -> list[str]:
    """Run the migrations that are missing; two processes at once run them once. Returns what was applied."""
    return migrate.migrate(addresses.owner_url)


def expect_up_to_date(addresses: Addresses) -> None:
    """Raise ConfigurationError where a migration is missing: this process leaves that to `counterfoil migrate`."""
    if migrate.pending(addresses.owner_url):
        raise ConfigurationError(
            "The database lacks migrations. Run `counterfoil migrate` once, then start again."
        )


def open_vault(settings: Settings) -> vault.Vault:
    """The vault of the configured key file, or, in sandbox mode, of one made beside the data."""
    path = settings.key_file or key_file_of(settings)
    return vault.load(path, make=settings.mode == "sandbox")


def key_file_of(settings: Settings) -> Path:
    return (settings.data or embedded.default_data()) / "key-encryption.key"


@asynccontextmanager
async def open_house(
    settings: Settings,
    addresses: Addresses,
    *,
    on_commit: database.Hook | None = None,
    http: Http | None = None,
    on_event: OnEvent | None = None,
) -> AsyncIterator[House]:
    """Connect everything. The merchant and the accounts of the environment are made where there are none.

    `on_event` is a callback of whoever embeds the service: it hears of every event (services/hearing.py).
    """
    clock, sealed, metrics = RealClock(), open_vault(settings), Metrics()
    pooled = settings.database_direct_url is not None
    db = await database.connect(addresses.url, pooled=pooled, on_commit=on_commit)
    # How gateways fare is written beside the payments: it waits for none of their connections, and is none of their steps.
    aside = await database.connect(addresses.url, size=1, pooled=pooled)
    session = open_session()
    courier, renderer = Courier(allow_loopback=settings.allow_loopback_endpoints), Renderer()
    calls = http or Http(session, observe=metrics.observe_call)
    if settings.clock_url:
        await _read_clock(settings.clock_url, clock, calls)
    keeping = None
    following = asyncio.create_task(_follow(settings, clock, calls), name="follow the clock")
    try:
        merchant_id = await accounts.seed(db, sealed, settings, clock=clock, chance=secrets.token_bytes)
        directory = Directory(db, sealed, clock, _connectors(settings, calls), _speakers())
        await directory.refresh()
        _expect_fit(settings, directory)
        health = Health(aside, clock, metrics, lambda: directory.routing.breaker)
        await health.refresh()
        calls.told = health.told
        keeping = asyncio.create_task(health.keep(), name="keep health")
        for name in accounts.differing(directory, settings):
            log.warning("the environment differs from the stored settings, which are in force", variable=name)
        context = Context(
            db=db,
            clock=clock,
            vault=sealed,
            directory=directory,
            health=health,
            merchant_id=merchant_id,
            public_url=settings.public_url,
            courier=courier,
            texting=Texting(calls),
            renderer=renderer,
            on_event=on_event,
            live_obstacle=live_obstacle(settings),
            metrics=metrics,
        )
        await hearing.register(context)
        yield House(context=context, metrics=metrics, direct_url=addresses.direct_url)
    finally:
        tasks = [task for task in (following, keeping) if task]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        renderer.close()
        await courier.close()
        await session.close()
        await aside.close()
        await db.close()


def _expect_fit(settings: Settings, directory: Directory) -> None:
    """Raise ConfigurationError where the settings say live mode, and this environment is fit for sandbox mode alone."""
    obstacle = live_obstacle(settings) if directory.mode == "live" else None
    if obstacle:
        raise ConfigurationError(
            f"The stored settings say live mode, for which this process is not fit. {obstacle}"
        )


def _speakers() -> dict[str, Speak]:
    return {"stripe": stripe_speak, "razorpay": razorpay_speak}


def _connectors(settings: Settings, http: Http) -> dict[str, Connect]:
    """How an account of each gateway becomes one that can be called, in the order of preference."""

    def to_stripe(account: Account, secret_key: str) -> Gateway:
        return stripe.connect(
            http,
            account_id=account.id,
            mode=account.mode,
            base_url=gateway_url(settings, "stripe", account.mode),
            secret_key=secret_key,
            publishable_key=account.public_key,
        )

    def to_razorpay(account: Account, secret_key: str) -> Gateway:
        return razorpay.connect(
            http,
            account_id=account.id,
            mode=account.mode,
            base_url=gateway_url(settings, "razorpay", account.mode),
            key_id=account.public_key,
            key_secret=secret_key,
        )

    return {"stripe": to_stripe, "razorpay": to_razorpay}


async def _follow(settings: Settings, clock: RealClock, http: Http) -> None:
    """Keep up with the sandbox's clock; where it cannot be read, the last known distance stands."""
    while settings.clock_url:
        await _read_clock(settings.clock_url, clock, http)
        await asyncio.sleep(CLOCK_EVERY_S)


async def _read_clock(url: str, clock: RealClock, http: Http) -> None:
    came = await http.send(Request(gateway="sandbox", call="clock", method="GET", url=url, headers={}))
    try:
        if isinstance(came, Answer):
            clock.ahead = timedelta(seconds=round(float(json.loads(came.body)["offset"]), 3))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        log.warning("the sandbox's clock cannot be read", error=type(error).__name__)
