"""The demo's eyes: the service through its API, and a timeline printed as it grows."""

import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

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
        return ask(method, self.url + path, body, {"Authorization": f"Bearer {self.key}"})


def ask(
    method: str, url: str, body: dict[str, Any] | None = None, headers: Mapping[str, str] | None = None
) -> dict[str, Any]:
    request = urllib.request.Request(  # noqa: S310  our own addresses
        url,
        method=method,
        data=json.dumps(body).encode() if body is not None else None,
        headers={"Content-Type": "application/json", **(headers or {})},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as response:  # noqa: S310  the same
            answer: dict[str, Any] = json.loads(response.read() or b"{}")
            return answer
    except urllib.error.HTTPError as refused:
        said = json.loads(refused.read())
        raise ConfigurationError(f"{method} {url} was refused: {said.get('detail', said)}") from None


def watch(console: Console, service: Service, payment: dict[str, Any]) -> dict[str, Any]:
    """Print the timeline as it grows, until the payment is captured and nothing more comes."""
    shown: set[tuple[str, str]] = set()
    grew, end = time.monotonic(), time.monotonic() + SHOWN_S
    while time.monotonic() < end:
        lines = service.ask("GET", f"/api/payments/{payment['id']}/timeline")["data"]
        fresh = [line for line in lines if (line["kind"], line["id"]) not in shown and _is_whole(line)]
        for line in fresh:
            console.print(line_of(line), soft_wrap=True)
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


def line_of(line: dict[str, Any]) -> Text:
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
