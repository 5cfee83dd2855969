"""A merchant at the sandbox's Stripe: the official SDK, bare HTTP, and an endpoint for webhooks."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import stripe

from sandbox_server import Endpoint, Sandbox

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


@contextmanager
def receive(sandbox: Sandbox) -> Iterator[Endpoint]:
    """An endpoint that the sandbox delivers to."""
    with closing(Endpoint()) as endpoint:
        sandbox.webhooks(deliver_to=endpoint.url)
        yield endpoint


def fixture(name: str) -> dict[str, Any]:
    """Stripe's own default shape of an object."""
    return json.loads((DATA / "fixtures" / f"{name}.json").read_text())
