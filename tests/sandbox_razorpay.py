"""A merchant at the sandbox's Razorpay: the official SDK, a customer, and an endpoint for webhooks."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import razorpay
import requests

from sandbox_server import Endpoint, Sandbox, run_sandbox

DATA = Path(__file__).parent / "data" / "razorpay"
GOOD_CARD = {"number": "4100 2800 0000 1007", "expiry": "12/39", "cvv": "123", "name": "A Buyer"}


class PatientSession(requests.Session):
    """The SDK has no timeout of its own."""

    def request(self, *args: Any, **kwargs: Any) -> requests.Response:
        kwargs.setdefault("timeout", 5)
        return super().request(*args, **kwargs)


class Shop:
    """A merchant with a customer at hand."""

    def __init__(self, sandbox: Sandbox, endpoint: Endpoint) -> None:
        self.sandbox = sandbox
        self.endpoint = endpoint
        self.session = PatientSession()
        self.auth = (sandbox.config.razorpay_key_id, sandbox.config.razorpay_key_secret)
        self.client = razorpay.Client(session=self.session, auth=self.auth, base_url=sandbox.razorpay)

    def order(self, amount: int = 50000, *, capture: str = "manual", **more: Any) -> dict[str, Any]:
        options = {"automatic_expiry_period": 12} if capture == "automatic" else {}
        options |= more.pop("options", {})
        rule = {"capture": capture, "capture_options": options}
        return self.client.order.create({"amount": amount, "currency": "INR", "payment": rule, **more})

    def call(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> tuple[int, Any]:
        """A bare HTTP call; bytes are sent as they are, anything else as JSON."""
        raw = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        with closing(http.client.HTTPConnection("127.0.0.1", self.sandbox.port, timeout=10)) as connection:
            connection.request(method, path, raw, headers or {})
            response = connection.getresponse()
            return response.status, json.loads(response.read())

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """A bare HTTP call of the API, with the right credentials."""
        given = requests.auth._basic_auth_str(*self.auth)
        return self.call(method, f"/razorpay/v1/{path}", body, {"authorization": given, **headers})

    def pay(self, order: dict[str, Any], **chosen: Any) -> tuple[int, dict[str, Any]]:
        """The customer pays, by UPI unless told otherwise: HTTP status and answer of the checkout stub."""
        by = chosen if "method" in chosen else {"method": "upi", "vpa": "success@razorpay", **chosen}
        body = {"key": self.auth[0], "order_id": order["id"], **by}
        return self.call("POST", "/razorpay/checkout/pay", body)

    def paid(self, order: dict[str, Any], **chosen: Any) -> dict[str, Any]:
        """A payment that went well, as the API shows it."""
        status, answer = self.pay(order, **chosen)
        assert status == 200, answer
        return self.payment(answer["razorpay_payment_id"])

    def payment(self, payment_id: str) -> dict[str, Any]:
        return self.client.payment.fetch(payment_id)

    def captured(self, amount: int = 50000, **chosen: Any) -> dict[str, Any]:
        """A captured payment of this many paise."""
        return self.paid(self.order(amount, capture="automatic"), **chosen)

    def act(self, path: str = "", **given: Any) -> Any:
        """The gateway's own control API."""
        return self.sandbox.control("POST", f"razorpay{path and '/'}{path}", given)


@contextmanager
def open_shop(**config: Any) -> Iterator[Shop]:
    """A sandbox that delivers to an endpoint, and a merchant in front of it."""
    with (
        closing(Endpoint()) as endpoint,
        run_sandbox(deliver_to=endpoint.url, jump_pause_ms=50, **config) as sandbox,
    ):
        shop = Shop(sandbox, endpoint)
        with shop.session:
            yield shop


@contextmanager
def fresh(shop: Shop) -> Iterator[Shop]:
    """The same shop, emptied, with an endpoint of its own: what is still under way to an earlier one goes nowhere."""
    shop.sandbox.reset()
    with closing(Endpoint()) as shop.endpoint:
        shop.sandbox.webhooks(deliver_to=shop.endpoint.url)
        yield shop
