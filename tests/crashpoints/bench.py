"""Where scenarios are run: gateways behind a port, a database for each run, and the process that takes its turn."""

import asyncio
import multiprocessing
import signal
import tempfile
import threading
from base64 import b64encode
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, Final

import asyncpg
import uvicorn
from starlette.types import Receive, Scope, Send

from agreement import Verdict, compare, stored
from asgi import Said
from counterfoil import wiring
from counterfoil.domain.operator import Role
from counterfoil.sandbox.config import Config
from counterfoil.sandbox.wire import SandboxProtocol
from counterfoil.services import keys
from counterfoil.settings import Settings
from crashpoints.child import Life, live
from crashpoints.scenarios import Client as Asks
from database import Database, Postgres
from desk import Job, sweeps
from sandbox_by_hand import Gateways
from sandbox_server import eventually
from service import call

# Forks a warmed process at each start: the imports of the service alone take a second.
FORKING: Final = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload(["crashpoints.child"])
TRIES: Final = 8  # of one request
LEASE_S: Final = 31.0  # after which the request of a dead process is taken up again
# Past every deadline there is: absence, retries, expiry, authorisation, refund.
AFTERWARDS: Final = (31.0, 61.0, 121.0, 3_700.0, 7_300.0, 25 * 3600.0, 3 * 86400.0, 5 * 86400.0)
ROUNDS: Final = 20


class GoneError(Exception):
    """The client did not come back for its answer."""


class DiedError(Exception):
    """The process ended before it answered."""


@dataclass
class Room:
    """What the runs of one bench have in common."""

    postgres: Postgres
    template: str
    key_file: Path
    key: str
    approver: str  # another person's key
    url: str  # of the gateways
    put: Callable[[Gateways], None]  # these are behind the port from now on


@dataclass
class Ran:
    """One run of a scenario: the points it passed, and whether the process ended where it should."""

    verdict: Verdict
    points: list[str] = field(default_factory=list)
    ended: bool = False


class Run:
    """One run of a scenario: the client, and everything it needs."""

    def __init__(self, room: Room, own: Database, *, ends_at: int | None, without: str | None) -> None:
        self.gateways = Gateways(seed=1)
        room.put(self.gateways)
        self.patient = True
        self.points: list[str] = []
        self.deaths = 0
        self._room, self._own, self._without = room, own, without
        self._counting = True
        self._keys = 0
        self._start(ends_at)

    # The client.

    def create(self, currency: str, **asked: Any) -> Any:
        return self.post(
            "/api/payments", {"amount": 12_300, "currency": currency, "reference": "order 1", **asked}
        )

    def post(self, path: str, asked: Any = None) -> Any:
        return self._ask("POST", path, asked)

    def settings(self, **sections: Any) -> None:
        """The operator changes these fields of the settings."""
        self._ask("PATCH", "/api/payments/settings", sections)

    def approve(self, path: str, asked: Any = None) -> Any:
        """Ask as somebody who may agree to what the client asked for."""
        return self._ask("POST", path, asked, self._room.approver)

    def _ask(self, method: str, path: str, asked: Any, bearer: str = "") -> Any:
        """Ask until there is an answer, with one idempotency key."""
        self._keys += 1
        headers = {
            "authorization": f"Bearer {bearer or self._room.key}",
            "idempotency-key": f"key {self._keys}",
        }
        for _ in range(TRIES):
            try:
                said: Said = self._do("request", method, path, asked or {}, headers)
            except DiedError:
                if not self.patient:
                    raise GoneError from None
                self.gateways.advance(LEASE_S)
                continue
            if said.status < 500 and "in_flight" not in said.body.decode():
                return said.json
            self.gateways.advance(LEASE_S)
        raise AssertionError(f"{path} was never answered")

    def pay_razorpay(self, payment: Any, **by: Any) -> None:
        """The customer pays in the browser, by UPI unless told otherwise; where it was done, it brings the signature
        back.
        """
        chosen = {"method": "upi", "vpa": "success@razorpay", **by}
        if chosen["method"] != "upi":
            del chosen["vpa"]
        asked = {"order_id": payment["attempts"][-1]["gateway_reference"], **chosen}
        paid = call(self._room.url, "POST", "/_sandbox/razorpay/pay", asked).json
        if "razorpay_signature" in paid:
            self.post(f"/api/payments/{payment['id']}/confirm", paid)

    def say_yes_at_the_bank(self, payment: Any) -> None:
        """What the customer confirms there counts only where the intent still lives."""
        asked = {"payment_intent": payment["attempts"][0]["gateway_reference"], "outcome": "succeed"}
        call(self._room.url, "POST", "/_sandbox/stripe/authenticate", asked)

    def save_card(self, *, declined: str) -> dict[str, Any]:
        """A customer's card that is kept at Stripe, and that the bank declines once: what charges it."""
        customer = self._at_stripe("customers", b"")["id"]
        card = self._at_stripe("payment_methods/pm_card_visa/attach", f"customer={customer}".encode())["id"]
        asked = {"payment_method": card, "times": 1, "decline": declined}
        call(self._room.url, "POST", "/_sandbox/stripe/decline", asked)
        return {"stripe_customer": customer, "payment_method": card, "off_session": True, "confirm": True}

    def _at_stripe(self, path: str, form: bytes) -> Any:
        headers = {
            "authorization": f"Bearer {self.gateways.config.stripe_secret_key}",
            "content-type": "application/x-www-form-urlencoded",
        }
        return call(self._room.url, "POST", f"/stripe/v1/{path}", form, headers=headers).json

    def pass_by(self, seconds: float) -> None:
        """Time goes by, and whatever is due is done."""
        self.gateways.advance(seconds)
        self._sweep()
        self._rest()

    def at_gateway(self, path: str, **asked: Any) -> None:
        """What a person or a bank does there."""
        done = call(self._room.url, "POST", f"/_sandbox/{path}", asked)
        if done.status != 200:
            raise AssertionError(done)

    def capture_by_hand(self) -> None:
        """The bank says yes to what was pending, and somebody captures it in Razorpay's dashboard."""
        (late,) = self.gateways.truth()["razorpay"]["payments"]
        call(self._room.url, "POST", "/_sandbox/razorpay/late_authorize", {"payment_id": late["id"]})
        config = self.gateways.config
        key = b64encode(f"{config.razorpay_key_id}:{config.razorpay_key_secret}".encode()).decode()
        asked = {"amount": late["amount"], "currency": late["currency"]}
        path, headers = f"/razorpay/v1/payments/{late['id']}/capture", {"authorization": f"Basic {key}"}
        done = call(self._room.url, "POST", path, asked, headers=headers)
        if done.status != 200:
            raise AssertionError(done)

    # What comes after.

    def settle(self) -> Verdict:
        """The webhooks come, jobs are done and sweeps run, at once and as time passes; then the two are compared."""
        self.gateways.world.faults.clear()
        self._rest()
        self._sweep()
        self._counting = False
        for seconds in AFTERWARDS:
            self.gateways.advance(seconds)
            self._sweep()
            self._rest()
        self._pipe.send(None)
        self._process.join()
        return compare(self.gateways.truth(), asyncio.run(_stored(self._own)))

    def _rest(self) -> None:
        """Letters and jobs, one after the other, until there are none."""
        for _ in range(ROUNDS):
            letters = self.gateways.post.waiting()
            for letter in letters:
                target = self.gateways.post.letter(letter)
                self.gateways.post.tried(letter, self._again("webhook", target, once=True))
            jobs: list[Job] = self._again("jobs")
            for job in jobs:
                self._again("work", job)
            if not letters and not jobs:
                return

    def _sweep(self) -> None:
        for name in sweeps():
            self._again("sweep", name)

    def _again(self, what: str, *arguments: Any, once: bool = False) -> Any:
        """Have it done; by the next process where this one ends, or not at all where nobody asks twice."""
        try:
            return self._do(what, *arguments)
        except DiedError:
            return None if once else self._do(what, *arguments)

    # The process.

    def _start(self, ends_at: int | None) -> None:
        self._pipe, theirs = FORKING.Pipe()
        life = Life(_settings(self._room), _addresses(self._own), ends_at, self._without)
        self._process = FORKING.Process(target=live, args=(theirs, life), daemon=True)
        self._process.start()
        theirs.close()
        if self._pipe.recv() != "ready":
            raise AssertionError("the process did not start")

    def _do(self, what: str, *arguments: Any) -> Any:
        """Have the process do it. Where it ends meanwhile, another takes its place, and DiedError is raised."""
        pipe: Connection = self._pipe
        try:
            pipe.send((self.gateways.now(), self._counting and not self.deaths, what, arguments))
            answer, passed = pipe.recv()
        except (EOFError, OSError):
            self._process.join()
            if self._process.exitcode != -signal.SIGKILL:
                raise AssertionError(f"the process broke over {what}: {self._process.exitcode}") from None
            self.deaths += 1
            self._start(None)
            raise DiedError(what) from None
        if not self.deaths:
            self.points = passed
        return answer


def run(
    room: Room, scenario: Callable[[Asks], None], *, ends_at: int | None = None, without: str | None = None
) -> Ran:
    """One run of a scenario, ended at a point or at none."""
    with room.postgres.database(template=room.template) as own:
        one = Run(room, own, ends_at=ends_at, without=without)
        with suppress(GoneError):
            scenario(one)
        return Ran(one.settle(), one.points, one.deaths > 0)


async def _stored(own: Database) -> Any:
    conn = await asyncpg.connect(own.owner_url)
    try:
        return await stored(conn)
    finally:
        await conn.close()


def _addresses(own: Database) -> wiring.Addresses:
    return wiring.Addresses(url=own.app_url, owner_url=own.owner_url, direct_url=own.app_url)


def _settings(room: Room) -> Settings:
    config = Config()
    return Settings(
        stripe_secret_key=config.stripe_secret_key,
        stripe_publishable_key=config.stripe_publishable_key,
        stripe_webhook_secret=config.stripe_webhook_secret,
        razorpay_key_id=config.razorpay_key_id,
        razorpay_key_secret=config.razorpay_key_secret,
        razorpay_webhook_secret=config.razorpay_webhook_secret,
        stripe_base_url=f"{room.url}/stripe",
        razorpay_base_url=f"{room.url}/razorpay",
        public_url="http://service",
        key_file=room.key_file,
    )


@contextmanager
def room(postgres: Postgres) -> Iterator[Room]:
    """A database to copy from, with accounts and the client's key in it, and the gateways' port."""
    with (
        postgres.database() as furnished,
        tempfile.TemporaryDirectory(prefix="counterfoil-crash-") as folder,
        _port() as (url, put),
    ):
        made = Room(postgres, furnished.owner_url.rpartition("/")[2], Path(folder) / "key", "", "", url, put)
        made.key, made.approver = asyncio.run(_furnish(made, furnished))
        yield made


async def _furnish(made: Room, furnished: Database) -> tuple[str, str]:
    async with wiring.open_house(_settings(made), _addresses(furnished)) as house:
        client = await keys.create(house.context, name="client", role=Role.ADMIN, actor="tests")
        approver = await keys.create(house.context, name="approver", role=Role.APPROVER, actor="tests")
        return client[1], approver[1]


@contextmanager
def _port() -> Iterator[tuple[str, Callable[[Gateways], None]]]:
    """A server whose gateways are exchanged for each run."""
    behind: list[Gateways] = []

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await behind[-1].app(scope, receive, send)

    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, http=SandboxProtocol, access_log=False, log_level="warning", lifespan="off",
        timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        eventually(lambda: server.started, seconds=10)
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}", behind.append
    finally:
        server.should_exit = True
        thread.join(10)
