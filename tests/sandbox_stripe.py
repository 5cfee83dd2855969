"""A merchant at the sandbox's Stripe: the official SDK, bare HTTP, and a webhook endpoint."""

import http.client
import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, NamedTuple

import stripe

from sandbox_server import Sandbox, eventually

stripe.enable_telemetry = False

DATA = Path(__file__).parent / "data" / "stripe"
RETURN = "https://shop.example/return"
FORM = {"content-type": "application/x-www-form-urlencoded"}


class Answer(NamedTuple):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, Any]:
        return self.json["error"]


class Merchant:
    """Calls the API with the secret key."""

    def __init__(self, sandbox: Sandbox, *, retries: int = 0) -> None:
        self.sandbox = sandbox
        self.session = stripe.RequestsClient(timeout=20)
        self.client = stripe.StripeClient(
            sandbox.config.stripe_secret_key,
            base_addresses={"api": sandbox.stripe},
            max_network_retries=retries,
            http_client=self.session,
        )
        self.v1 = self.client.v1

    def intent(self, amount: int = 10000, currency: str = "usd", **more: Any) -> stripe.PaymentIntent:
        return self.v1.payment_intents.create({"amount": amount, "currency": currency, **more})

    def confirm(
        self, intent: stripe.PaymentIntent, method: str = "pm_card_visa", **more: Any
    ) -> stripe.PaymentIntent:
        return self.v1.payment_intents.confirm(
            intent.id, {"payment_method": method, "return_url": RETURN, **more}
        )

    def paid(self, amount: int = 10000, method: str = "pm_card_visa", **more: Any) -> stripe.PaymentIntent:
        return self.confirm(self.intent(amount, **more), method)

    def charge(self, intent: stripe.PaymentIntent, *expand: str) -> stripe.Charge:
        """The intent's newest charge, as it is now."""
        latest = self.v1.payment_intents.retrieve(intent.id).latest_charge
        return self.v1.charges.retrieve(str(latest), {"expand": list(expand)})

    def again(self, intent: stripe.PaymentIntent) -> stripe.PaymentIntent:
        return self.v1.payment_intents.retrieve(intent.id)

    def authenticate(self, intent: stripe.PaymentIntent, outcome: str = "succeed") -> str:
        """What the customer does on the bank's page; the intent's new status."""
        asked = {"payment_intent": intent.id, "outcome": outcome}
        return self.sandbox.control("POST", "stripe/authenticate", asked)["status"]

    def events(self) -> list[dict[str, Any]]:
        """Every event, oldest first."""
        return self.sandbox.truth()["stripe"]["events"]

    def types(self) -> list[str]:
        return [event["type"] for event in self.events()]

    def call(
        self,
        method: str,
        path: str,
        body: bytes | str | None = None,
        *,
        key: str | None = None,
        **headers: str,
    ) -> Answer:
        """Bare HTTP with the secret key, or another, or none for ""."""
        given = self.sandbox.config.stripe_secret_key if key is None else key
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if given:
            sent.setdefault("authorization", f"Bearer {given}")
        if body is not None:
            sent = {**FORM, **sent}
        with closing(http.client.HTTPConnection("127.0.0.1", self.sandbox.port, timeout=10)) as connection:
            connection.request(method, f"/stripe{path}", body, sent)
            response = connection.getresponse()
            got = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, got, response.read())


class Receiver:
    """A webhook endpoint that keeps what it gets and answers `status`, after `seconds`."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 200
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                headers = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append(({**headers, ":path": self.path}, body))
                self.send_response(receiver.status)
                self.send_header("content-length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def events(self) -> list[dict[str, Any]]:
        return [json.loads(body) for _, body in list(self.got)]

    def types(self) -> list[str]:
        return [event["type"] for event in self.events()]

    def expect(self, *types: str) -> None:
        """Wait until exactly these have come, in any order."""
        try:
            eventually(lambda: sorted(self.types()) == sorted(types))
        except AssertionError:
            raise AssertionError(f"expected {sorted(types)}, got {sorted(self.types())}") from None


@contextmanager
def receive(sandbox: Sandbox) -> Iterator[Receiver]:
    """An endpoint that the sandbox delivers to."""
    with closing(Receiver()) as receiver:
        sandbox.webhooks(deliver_to=receiver.url)
        yield receiver


def fixture(name: str) -> dict[str, Any]:
    """Stripe's own default shape of an object."""
    return json.loads((DATA / "fixtures" / f"{name}.json").read_text())
