"""What the simulation stands on: a database emptied before each seed, and a house whose chance, time, turns and gateways
are those of the seed.
"""

import asyncio
import random
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import ExitStack, asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from unittest.mock import patch

import asyncpg
import structlog
from fastapi import FastAPI

from agreement import Stored, stored
from counterfoil import wiring
from counterfoil.domain.operator import Role
from counterfoil.gateways.base import Outcome
from counterfoil.gateways.http import Answer, Http, Lost, Request, Unsent, open_session
from counterfoil.sandbox.config import Config
from counterfoil.services import keys
from counterfoil.services.context import Context, House
from counterfoil.services.hands import Hands
from counterfoil.services.health import Health
from counterfoil.services.traffic import Traffic
from counterfoil.settings import Settings
from counterfoil.store import database
from counterfoil.store.database import Connection
from counterfoil.web import security
from counterfoil.web.app import create_app
from database import RELAXED, Database, Postgres, memory, postgres
from sandbox_by_hand import BEGINNING, Gateways
from simulation.turns import PROCESS, Process

# The same plan whatever ran before: PostgreSQL would otherwise choose another after some executions, and rows without
# an order would come in another.
PLANS = "plan_cache_mode=force_generic_plan"


# What is small goes back by itself, and of the rest somebody has to agree.
REFUNDS = {"automatedRefunds": True, "refundThreshold": {"USD": 5_000, "INR": 5_000}}


class FrozenLoop(asyncio.SelectorEventLoop):
    """Its time stands still, so that no timeout fires because the machine was busy."""

    def time(self) -> float:
        return 0.0


class Stepped(database.Database):
    """The database, used in turns."""

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        process = PROCESS.get()
        if process is None:
            async with super()._connection() as conn:
                yield conn
        else:
            async with process.turns.turn(process, "database"), super()._connection() as conn:
                yield conn


class Play:
    """What changes with the seed: time, chance, and who carries a call to a gateway."""

    def __init__(self) -> None:
        self.gateways: Gateways | None = None
        self.chance = random.Random(0)
        self.carry: Any = None

    def draw(self, count: int) -> bytes:
        return self.chance.randbytes(count)

    ahead = timedelta(0)  # nobody's clock is followed

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.gateways.now() if self.gateways else BEGINNING, UTC)


class Carried(Http):
    """The service's own client, whose requests the seed carries in the place of sockets."""

    play: Play

    async def _exchange(self, request: Request) -> Answer | Unsent | Lost:
        came: Answer | Unsent | Lost = await self.play.carry(request)
        return came


class Stage:
    """A house over a database of its own, and the means to begin anew."""

    def __init__(self, house: House, play: Play, admin: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.house, self.play, self._admin = house, play, admin
        self._asking = asyncio.Lock()
        self.app: FastAPI = create_app(house, work=False)
        # Making an application takes longer than a seed: the processes share one, and each brings its own context.
        self.app.dependency_overrides[security.context] = _of_process
        self.key = self.approver = ""
        self._clear = ""

    @property
    def context(self) -> Context:
        return self.house.context

    async def furnish(self) -> None:
        """Make the client's key, and remember how the database is now: every seed begins like this."""
        self.key = (await keys.create(self.context, name="client", role=Role.ADMIN, actor="simulation"))[1]
        approver = await keys.create(self.context, name="approver", role=Role.APPROVER, actor="simulation")
        self.approver = approver[1]
        await self.change_settings(refundProcessing=REFUNDS)
        tables = [
            row[0]
            for row in await self._admin.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        ]
        steps = [f"TRUNCATE {', '.join(tables)} RESTART IDENTITY"]
        for table in tables:
            if await self._admin.fetchval(f"SELECT EXISTS (SELECT FROM {table})"):
                await self._admin.execute(f"CREATE TABLE furnished_{table} AS TABLE {table}")
                steps.append(f"INSERT INTO {table} OVERRIDING SYSTEM VALUE TABLE furnished_{table}")
        counted = await self._admin.fetch(
            "SELECT table_name, column_name FROM information_schema.columns WHERE is_identity = 'YES'"
        )
        steps += [
            f"SELECT setval(pg_get_serial_sequence('{table}', '{column}'), max({column})) FROM {table}"
            for table, column in counted
        ]
        self._clear = "; ".join(steps)

    async def change_settings(self, **sections: Mapping[str, Any]) -> None:
        """Set fields of sections of the settings document, and let this process know at once."""
        async with self.context.db.transaction() as conn:
            document = await conn.fetchval("SELECT document FROM settings FOR UPDATE")
            for name, fields in sections.items():
                document[name] = {**document.get(name, {}), **fields}
            await conn.execute("UPDATE settings SET document = $1, version = version + 1", document)
        await self.context.directory.refresh()

    async def begin(self, gateways: Gateways, chance: random.Random, carry: Any) -> None:
        """Empty the database and take the seed's gateways, chance and carrier."""
        self.play.gateways, self.play.chance, self.play.carry = gateways, chance, carry
        await self._admin.execute(self._clear)

    def process(self) -> House:
        """The house as one more process has it: what it keeps in memory is its own."""
        ctx = self.context
        health = Health(ctx.db, ctx.clock, self.house.metrics, lambda: ctx.directory.routing.breaker)
        return replace(self.house, context=replace(ctx, health=health, traffic=Traffic(), hands=Hands()))

    async def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Read what is stored, past the service and its turns."""
        async with self._asking:  # one connection, and several tasks may ask at once
            return [dict(row) for row in await self._admin.fetch(sql, *values)]

    async def jobs(self) -> list[Any]:
        return await self._admin.fetch("SELECT id, entrypoint, payload FROM pgqueuer ORDER BY id")

    async def payments(self) -> list[str]:
        return [row[0] for row in await self._admin.fetch("SELECT id FROM payments ORDER BY id")]

    async def orders_of_the_past(self) -> set[str]:
        """The orders of payments that are paid, or that were given up."""
        rows = await self._admin.fetch(
            "SELECT a.ref FROM attempts a JOIN payments p ON p.id = a.payment_id"
            " WHERE p.status IN ('captured', 'failed', 'cancelled') AND a.gateway = 'razorpay' AND a.ref IS NOT NULL"
        )
        return {row[0] for row in rows}

    async def stored(self) -> Stored:
        return await stored(self._admin)


def _process() -> Process:
    process = PROCESS.get()
    if process is None:
        raise AssertionError("nobody does this")
    return process


def _told(account_id: str, outcome: Outcome) -> None:
    _process().context.health.told(account_id, outcome)


async def _of_process() -> Context:
    return _process().context


@asynccontextmanager
async def stage(server: Postgres, own: Database) -> AsyncIterator[Stage]:
    """A stage on this database of the server."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory(), cache_logger_on_first_use=False)
    with ExitStack() as held:
        folder = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="counterfoil-simulation-")))
        play = Play()
        held.enter_context(patch.object(wiring, "RealClock", lambda: play))
        held.enter_context(patch.object(database, "Database", Stepped))
        held.enter_context(patch("counterfoil.wiring.secrets.token_bytes", random.Random(0).randbytes))
        url = f"{own.app_url}?{PLANS}"
        admin = await asyncpg.connect(server.server.url("postgres", own.owner_url.rpartition("/")[2]))
        await admin.execute("SET session_replication_role = replica")
        async with open_session() as session:
            calls = Carried(session)
            calls.play = play
            addresses = wiring.Addresses(url=url, owner_url=own.owner_url, direct_url=url)
            async with wiring.open_house(_settings(folder), addresses, http=calls) as house:
                calls.told = _told
                context = replace(house.context, chance=play.draw)
                made = Stage(replace(house, context=context), play, admin)
                await made.furnish()
                yield made
        await admin.close()


def _settings(folder: Path) -> Settings:
    config = Config()
    return Settings(
        stripe_secret_key=config.stripe_secret_key,
        stripe_publishable_key=config.stripe_publishable_key,
        stripe_webhook_secret=config.stripe_webhook_secret,
        razorpay_key_id=config.razorpay_key_id,
        razorpay_key_secret=config.razorpay_key_secret,
        razorpay_webhook_secret=config.razorpay_webhook_secret,
        stripe_base_url="http://gateways/stripe",
        razorpay_base_url="http://gateways/razorpay",
        public_url="http://service",
        key_file=folder / "key",
    )


@contextmanager
def server() -> Iterator[Postgres]:
    """A PostgreSQL in memory, for as long as the block runs."""
    with postgres(memory(), RELAXED) as running:
        yield running
