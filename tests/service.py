"""The whole service behind a real port: uvicorn, worker, PostgreSQL, and the sandbox for gateways."""

import asyncio
import http.client
import json
import os
import subprocess
import sys
import tempfile
import threading
from base64 import b64encode
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractContextManager, asynccontextmanager, closing, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from queue import Queue
from typing import Any, NamedTuple, Self, TypeVar
from urllib.parse import urlencode, urlsplit

import structlog
import uvicorn
import uvloop

from counterfoil import wiring
from counterfoil.domain.breaker import BreakerPolicy
from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.domain.operator import Role
from counterfoil.gateways.http import Http, Timeouts, open_session
from counterfoil.services import keys
from counterfoil.services.context import Context, House
from counterfoil.settings import Settings
from counterfoil.store.database import Hook
from counterfoil.web.app import create_app
from counterfoil.web.server import listen, make_server
from database import Database, Postgres
from sandbox_server import Sandbox, eventually, run_sandbox

T = TypeVar("T")

# Tests jump in time all day: the service looks at the sandbox's clock more often than people need it to, so that the
# sandbox's webhooks need not wait for it so long.
wiring.CLOCK_EVERY_S = 0.05  # type: ignore[misc]  of this process alone
JUMP_PAUSE_MS = 500

# A customer who pays by UPI, where nothing else is said.
BY_UPI = {"method": "upi", "vpa": "success@razorpay"}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def call(
    url: str,
    method: str,
    path: str,
    body: Any = None,
    *,
    headers: Mapping[str, str] | None = None,
    timeout: float = 40,
) -> Answer:
    """One HTTP exchange on a connection of its own; bytes are sent as they are, anything else but None as JSON."""
    raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
    sent = {"content-type": "application/json"} if raw is not None else {}
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=timeout)
    try:
        connection.request(method, path, raw, {**sent, **(headers or {})})
        response = connection.getresponse()
        got = {name.lower(): value for name, value in response.getheaders()}
        return Answer(response.status, got, response.read())
    finally:
        connection.close()


@dataclass
class Service:
    """A running service. Requests go out with an admin's key unless another is named; `key=""` sends none."""

    url: str
    house: House
    sandbox: Sandbox
    database_url: str
    owner_url: str
    server: uvicorn.Server = field(repr=False)
    loop: asyncio.AbstractEventLoop = field(repr=False)
    _keys: dict[tuple[str, str], str] = field(default_factory=dict, repr=False)

    @property
    def context(self) -> Context:
        return self.house.context

    def key(self, role: str = "admin", mode: str = "sandbox") -> str:
        """The text of an API key of this role and mode, made once."""
        if (role, mode) not in self._keys:
            making = keys.create(self.context, name=f"the {role}", role=Role(role), actor="tests", mode=mode)
            self._keys[role, mode] = self.run(making)[1]
        return self._keys[role, mode]

    def call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        idempotency_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = 40,
    ) -> Answer:
        bearer = self.key() if key is None else key
        sent = {"authorization": f"Bearer {bearer}"} if bearer else {}
        if idempotency_key is not None:
            sent["idempotency-key"] = idempotency_key
        return call(self.url, method, path, body, headers={**sent, **(headers or {})}, timeout=timeout)

    def get(self, path: str, *, key: str | None = None, **query: Any) -> Answer:
        return self.call("GET", f"{path}?{urlencode(query)}" if query else path, key=key)

    def post(self, path: str, body: Any = None, **more: Any) -> Answer:
        return self.call("POST", path, body, **more)

    def create(self, amount: int = 10_000, currency: str = "USD", *, status: int = 201, **asked: Any) -> Any:
        """A payment created by the API; `headers`, `key` and `idempotency_key` are the request's own."""
        of_request = {n: asked.pop(n) for n in ("headers", "key", "idempotency_key") if n in asked}
        answer = self.post("/api/payments", {"amount": amount, "currency": currency, **asked}, **of_request)
        assert answer.status == status, answer
        return answer.json

    def payment(self, payment_id: str) -> Any:
        answer = self.get(f"/api/payments/{payment_id}")
        assert answer.status == 200, answer
        return answer.json

    def until(self, payment_id: str, status: str, *, seconds: float = 10.0) -> Any:
        """The payment, once it has this status."""
        seen: list[Any] = [None]

        def there() -> Any:
            seen[0] = self.payment(payment_id)
            return seen[0] if seen[0]["status"] == status else None

        try:
            return eventually(there, seconds=seconds)
        except AssertionError:
            raise AssertionError(f"{payment_id} never was {status}, but {seen[0]}") from None

    def eventually(self, check: Callable[[], T], *, seconds: float = 10.0) -> T:
        return eventually(check, seconds=seconds)

    def pay_razorpay(self, order_id: str, **chosen: Any) -> Any:
        """The customer pays an order in Razorpay's checkout, by UPI unless told otherwise; what the browser gets."""
        by = chosen if "method" in chosen else {**BY_UPI, **chosen}
        asked = {"key": self.sandbox.config.razorpay_key_id, "order_id": order_id, **by}
        return call(self.sandbox.url, "POST", "/razorpay/checkout/pay", asked).json

    def capture_in_dashboard(self, pay_id: str, amount: int, currency: str = "INR") -> None:
        """A person captures the payment in Razorpay's dashboard, past us."""
        config = self.sandbox.config
        key = b64encode(f"{config.razorpay_key_id}:{config.razorpay_key_secret}".encode()).decode()
        path, asked = f"/razorpay/v1/payments/{pay_id}/capture", {"amount": amount, "currency": currency}
        headers = {"authorization": f"Basic {key}"}
        answer = call(self.sandbox.url, "POST", path, asked, headers=headers)
        assert answer.status == 200, answer

    def confirmation_token(self, number: str = "4242424242424242") -> str:
        """What Stripe's fields make in the browser of a card that the customer typed in."""
        card = {"number": number, "exp_month": 12, "exp_year": 2034, "cvc": "123"}
        form = {f"payment_method_data[card][{name}]": value for name, value in card.items()}
        headers = {
            "authorization": f"Bearer {self.sandbox.config.stripe_publishable_key}",
            "content-type": "application/x-www-form-urlencoded",
        }
        body = urlencode({"payment_method_data[type]": "card", **form}).encode()
        return call(self.sandbox.url, "POST", "/stripe/v1/confirmation_tokens", body, headers=headers).json[
            "id"
        ]

    def authenticate(self, payment_intent: str, outcome: str = "succeed") -> str:
        """What the customer does on their bank's page; the intent's new status."""
        asked = {"payment_intent": payment_intent, "outcome": outcome}
        return self.sandbox.control("POST", "stripe/authenticate", asked)["status"]

    def advance(self, seconds: float) -> None:
        """Move the sandbox's clock, and wait until the service follows."""
        offset = self.sandbox.advance(seconds)["offset"]
        clock: Any = self.context.clock
        eventually(lambda: abs(clock.ahead.total_seconds() - offset) < 0.01)

    def change_settings(self, sections: Mapping[str, Mapping[str, Any]]) -> None:
        """Set fields of sections of the settings document, past the API, and let this process know at once."""

        async def write() -> None:
            async with self.context.db.transaction() as conn:
                document = await conn.fetchval("SELECT document FROM settings FOR UPDATE")
                for name, fields in sections.items():
                    document.setdefault(name, {}).update(fields)
                await conn.execute("UPDATE settings SET document = $1, version = version + 1", document)
            await self.context.directory.refresh()

        self.run(write())

    def rows(self, sql: str, *values: Any) -> list[dict[str, Any]]:
        """Read the database as the service's own role sees it."""

        async def read() -> list[dict[str, Any]]:
            async with self.context.db.reading() as conn:
                return [dict(row) for row in await conn.fetch(sql, *values)]

        return self.run(read())

    def run(self, coroutine: Coroutine[Any, Any, T], *, seconds: float = 30) -> T:
        """Carry out a coroutine on the service's own loop."""
        return asyncio.run_coroutine_threadsafe(coroutine, self.loop).result(seconds)


class Weak:
    """An `on_commit` that loses the database at the n-th commit from when it is told: as if the process died there."""

    def __init__(self) -> None:
        self.left: int | None = None

    async def __call__(self, moment: str) -> None:
        if moment == "before commit" and self.left is not None:
            self.left -= 1
            if self.left == 0:
                self.left = None
                raise DatabaseAwayError("The database was lost.")


@contextmanager
def running_service(
    database_url: str,
    owner_url: str | None = None,
    sandbox: Sandbox | None = None,
    *,
    work: bool = True,
    timeouts: Timeouts | None = None,
    on_commit: Hook | None = None,
    change: Callable[[House], House] = lambda house: house,
    patience: int = 1_000,
    **settings: Any,
) -> Iterator[Service]:
    """Run the service on a free port in a thread of its own, over a migrated database.

    Without a sandbox it brings its own; either way the sandbox's webhooks reach the service, and the service follows
    its clock. `patience` is how often a gateway may fail in a row before its breaker opens: tests of other things make
    it fail all the time. `timeouts` are those of calls to gateways; `change` may exchange parts of the house before it opens its
    doors; further keywords are fields of Settings.
    """
    structlog.configure(
        processors=[structlog.processors.format_exc_info, structlog.processors.KeyValueRenderer()]
    )
    own_sandbox = run_sandbox(jump_pause_ms=JUMP_PAUSE_MS)
    gateways: AbstractContextManager[Sandbox] = nullcontext(sandbox) if sandbox else own_sandbox
    with gateways as there, _folder() as folder, closing(listen("127.0.0.1", 0)) as bound:
        url = f"http://127.0.0.1:{bound.getsockname()[1]}"
        own = {"public_url": url, "key_file": folder / "key", "clock_url": _clock(there)}
        chosen = Settings(**of_sandbox(there) | own | settings)
        owner = owner_url or database_url
        addresses = wiring.Addresses(url=database_url, owner_url=owner, direct_url=database_url)

        async def serve(opened: Callable[[Service], None]) -> None:
            async with (
                _calls(timeouts) as calls,
                wiring.open_house(chosen, addresses, http=calls, on_commit=on_commit) as house,
            ):
                house.context.health.policy = lambda: BreakerPolicy(failures=patience)
                changed, loop = change(house), asyncio.get_running_loop()
                server = make_server(create_app(changed, work=work), host="127.0.0.1", port=0)
                opened(Service(url, changed, there, database_url, owner, server, loop))
                await server.serve(sockets=[bound])

        with _in_a_thread(serve) as service:
            there.webhooks(deliver_to=url)
            yield service


@contextmanager
def _in_a_thread(
    serve: Callable[[Callable[[Service], None]], Coroutine[Any, Any, None]],
) -> Iterator[Service]:
    """Serve on a loop of its own; what fails there, at the start or at the end, is raised here."""
    said: Queue[Service | BaseException] = Queue()

    def run() -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(serve(said.put))
        except BaseException as error:  # noqa: BLE001  told to whoever waits for the service
            said.put(error)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    service = said.get(timeout=20)
    if isinstance(service, BaseException):
        raise service
    try:
        eventually(lambda: service.server.started or not thread.is_alive(), seconds=20)
        yield service
    finally:
        service.server.should_exit = True
        thread.join(40)
    ended = None if said.empty() else said.get()
    if isinstance(ended, BaseException):
        raise ended


@contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="counterfoil-service-") as path:
        yield Path(path)


@contextmanager
def serving(postgres: Postgres, sandbox: Sandbox | None = None, **options: Any) -> Iterator[Service]:
    """A running service with a database of its own: for fixtures of a whole module."""
    with postgres.database() as database, running_service(*_urls(database), sandbox, **options) as service:
        yield service


def of_sandbox(sandbox: Sandbox) -> dict[str, Any]:
    """The settings that make the sandbox both gateways."""
    names = (
        "stripe_secret_key",
        "stripe_publishable_key",
        "stripe_webhook_secret",
        "razorpay_key_id",
        "razorpay_key_secret",
        "razorpay_webhook_secret",
    )
    secrets = {name: getattr(sandbox.config, name) for name in names}
    return {**secrets, "stripe_base_url": sandbox.stripe, "razorpay_base_url": sandbox.razorpay}


def environment(sandbox: Sandbox, database_url: str, key_file: Path, **more: str) -> dict[str, str]:
    """What a process of its own needs to serve or to run a command over the same database and sandbox."""
    settings = of_sandbox(sandbox) | {"clock_url": _clock(sandbox), "key_file": key_file} | more
    named = {f"COUNTERFOIL_{name.upper()}": str(value) for name, value in settings.items()}
    kept = {name: value for name, value in os.environ.items() if not name.startswith("COUNTERFOIL_")}
    return {**kept, **named, "COUNTERFOIL_DATABASE_URL": database_url}


def counterfoil(*arguments: str) -> list[str]:
    """The command line, as it was installed beside the interpreter of these tests."""
    return [str(Path(sys.executable).with_name("counterfoil")), *arguments]


class Process:
    """`counterfoil serve` in a process of its own, that can be killed and started again on the same port."""

    def __init__(
        self, sandbox: Sandbox, database_url: str, key_file: Path, *, command: str = "serve"
    ) -> None:
        self._bound = listen("127.0.0.1", 0)  # holds the port while nothing serves on it
        self.port: int = self._bound.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._command = counterfoil(command, "--port", str(self.port))
        self._environment = environment(sandbox, database_url, key_file, public_url=self.url)
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._bound.close()
        self._running = subprocess.Popen(self._command, env=self._environment, stderr=subprocess.DEVNULL)
        eventually(self._ready, seconds=20)

    def _ready(self) -> bool:
        try:
            return call(self.url, "GET", "/readyz").status == 200
        except OSError:
            return False

    def kill(self) -> None:
        """End it with SIGKILL: not a line more of it runs."""
        if self._running is not None:
            self._running.kill()
            self._running.wait()
            self._running = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()


def _clock(sandbox: Sandbox) -> str:
    return f"{sandbox.url}/_sandbox/clock"


def _urls(database: Database) -> tuple[str, str]:
    return database.app_url, database.owner_url


@asynccontextmanager
async def _calls(timeouts: Timeouts | None) -> Any:
    """A client with other timeouts than the service's own; None where those are right."""
    if timeouts is None:
        yield None
        return
    async with open_session() as session:
        yield Http(session, timeouts=timeouts)
