"""The tour of the demo: what a newcomer would do by API, shown as it happens."""

import json
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from typing import Any, Final

import click
from rich.console import Console
from rich.text import Text

from counterfoil.domain.errors import ConfigurationError
from counterfoil.domain.money import Money

SHOWN_S: Final = 30.0  # long past any webhook of a sandbox on the same machine
QUIET_S: Final = 1.0  # a timeline that has not grown for this long is whole
COLOURS: Final = {
    "decision": "magenta",
    "call": "blue",
    "webhook": "yellow",
    "fact": "green",
    "journal": "cyan",
}


@dataclass(frozen=True, slots=True)
class Service:
    """The running service, seen through its API."""

    url: str
    key: str = field(repr=False)

    def ask(self, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
        return _json(method, self.url + path, body, {"Authorization": f"Bearer {self.key}"})


def _json(method: str, url: str, body: dict[str, Any] | None, headers: dict[str, str]) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310  our own addresses
        url,
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Content-Type": "application/json", **headers},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  the same
            answer: dict[str, Any] = json.loads(response.read())
            return answer
    except urllib.error.HTTPError as refused:
        said = json.loads(refused.read())
        raise ConfigurationError(f"{method} {url} was refused: {said.get('detail', said)}") from None


def tour(web: str, sandbox: str, key: str, *, began: float) -> None:
    """Take a payment on each side, show how each came about, and say how to go on by hand."""
    console, service = Console(highlight=False), Service(web, key)
    console.print(f"Ready after {time.monotonic() - began:.1f} s.\n")
    by_card = _by_card(console, service, began)
    by_upi = _by_upi(console, service, sandbox)
    if {by_card["status"], by_upi["status"]} != {"captured"}:
        raise ConfigurationError(
            "A payment of the tour was not captured; the timelines above show where it stopped."
        )
    _go_on(console, service, sandbox)


def _by_card(console: Console, service: Service, began: float) -> dict[str, Any]:
    console.rule("[bold]A card, through Stripe[/]", align="left")
    payment = service.ask(
        "POST",
        "/api/payments",
        {
            "amount": 2450,
            "currency": "USD",
            "gateway": "stripe",
            "reference": "order-1001",
            "description": "Two loaves and a cake",
            "payment_method": "pm_card_visa",
            "confirm": True,
        },
    )
    console.print(f"Answered as {payment['status']} {time.monotonic() - began:.1f} s after the start.")
    return _watch(console, service, payment)


def _by_upi(console: Console, service: Service, sandbox: str) -> dict[str, Any]:
    console.rule("[bold]UPI, through Razorpay[/]", align="left")
    payment = service.ask(
        "POST",
        "/api/payments",
        {"amount": 49900, "currency": "INR", "reference": "order-1002", "description": "A month of bread"},
    )
    browser = payment["checkout"]["razorpay"]
    console.print(
        f"The customer pays order {browser['order_id']} in Razorpay's checkout, by UPI …", soft_wrap=True
    )
    paid = {
        "key": browser["key_id"],
        "order_id": browser["order_id"],
        "method": "upi",
        "vpa": "success@razorpay",
    }
    _json("POST", f"{sandbox}/razorpay/checkout/pay", paid, {})
    return _watch(console, service, payment)


def _watch(console: Console, service: Service, payment: dict[str, Any]) -> dict[str, Any]:
    """Print the timeline as it grows, until the payment is captured and nothing more comes."""
    shown: set[tuple[str, str]] = set()
    grew, end = time.monotonic(), time.monotonic() + SHOWN_S
    while time.monotonic() < end:
        lines = service.ask("GET", f"/api/payments/{payment['id']}/timeline")["data"]
        fresh = [line for line in lines if (line["kind"], line["id"]) not in shown and _is_whole(line)]
        for line in fresh:
            console.print(_line(line), soft_wrap=True)
        if fresh:
            shown |= {(line["kind"], line["id"]) for line in fresh}
            grew = time.monotonic()
        payment = service.ask("GET", f"/api/payments/{payment['id']}")
        heard = any(kind == "webhook" for kind, _ in shown)
        if payment["status"] == "captured" and heard and time.monotonic() - grew > QUIET_S:
            break
        time.sleep(0.1)
    money = Money(payment["amount_captured"], payment["currency"])
    console.print(Text(f"{payment['id']} is {payment['status']}: {money}\n", style="bold"), soft_wrap=True)
    return payment


def _is_whole(line: dict[str, Any]) -> bool:
    """A call under way or a webhook not understood yet is printed once its end is known."""
    return bool(line["detail"].get("outcome") != "under way" and line["detail"].get("status") != "received")


def _line(line: dict[str, Any]) -> Text:
    """One moment: when, what kind, what, and the part of its detail that a person looks for."""
    detail = line["detail"]
    tells = ("object", "outcome", "status", "reason", "source", "gateway", "message")
    told = [
        str(detail[name]) for name in tells if detail.get(name) and not isinstance(detail[name], dict | list)
    ]
    if line["kind"] == "journal":
        told = [f"{entry['account']} {entry['amount']:+d}" for entry in detail["entries"]]
    text = Text(f"  {line['at'][11:23]}  ")
    text.append(f"{line['kind']:<9}", style=COLOURS.get(line["kind"], ""))
    text.append(f" {line['what']:<34} ")
    text.append(" · ".join(told), style="dim")
    return text


def _go_on(console: Console, service: Service, sandbox: str) -> None:
    """What to try by hand, with an unpaid payment ready to be paid in a browser."""
    unpaid = [
        service.ask(
            "POST",
            "/api/payments",
            {"amount": amount, "currency": currency, "description": "Try it yourself"},
        )
        for amount, currency in ((1999, "USD"), (19900, "INR"))
    ]
    console.rule("[bold]Go on by hand[/]", align="left")
    rows = [
        ("API and its documentation", f"{service.url}/docs"),
        ("Pay by card (Stripe)", unpaid[0]["checkout"]["url"]),
        ("Pay by UPI (Razorpay)", unpaid[1]["checkout"]["url"]),
        ("The sandbox: test cards, faults, truth", f"{sandbox}/_sandbox/"),
        ("API key (admin)", service.key),
    ]
    for name, value in rows:
        click.echo(f"  {name:<40} {value}")
    click.echo(f'\n  curl -H "Authorization: Bearer {service.key}" {service.url}/api/payments\n')
