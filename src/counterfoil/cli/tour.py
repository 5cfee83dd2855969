"""The tour of the demo: what a newcomer would do by API, shown as it happens."""

import time
from typing import Any

import click
from rich.console import Console

from counterfoil.cli import outage
from counterfoil.cli.watching import Service, ask, watch
from counterfoil.domain.errors import ConfigurationError


def tour(web: str, sandbox: str, key: str, razorpay: tuple[str, str], *, began: float) -> None:
    """Take a payment on each side, then lose a gateway; show how each came about, and say how to go on by hand."""
    console, service = Console(highlight=False, soft_wrap=True), Service(web, key)
    console.print(f"Ready after {time.monotonic() - began:.1f} s.\n")
    by_card = _by_card(console, service, began)
    by_upi = _by_upi(console, service, sandbox)
    if {by_card["status"], by_upi["status"]} != {"captured"}:
        raise ConfigurationError(
            "A payment of the tour was not captured; the timelines above show where it stopped."
        )
    outage.play(console, service, sandbox, razorpay)
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
    return watch(console, service, payment)


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
    ask("POST", f"{sandbox}/razorpay/checkout/pay", paid)
    return watch(console, service, payment)


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
