"""A gateway that does next to nothing, in a process of its own: Stripe's answers to create and confirm after a pause.

`python -m bench.stub PORT LATENCY_MS`. The answers have the size and the fields of real ones. The payment method
`pm_processing` leaves an intent processing; any other is charged.
"""

import asyncio
import itertools
import json
import sys
import time
from pathlib import Path
from typing import Any, Final
from urllib.parse import parse_qsl

import uvloop

SAMPLES: Final = Path(__file__).parent.parent / "tests/data/stripe/events_scenario"
_HEAD: Final = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n"


def _sample(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((SAMPLES / name).read_text())["data"]["object"]
    return found


class Stripe:
    """The intents made so far."""

    def __init__(self) -> None:
        self._numbers = itertools.count(1)
        self._intents: dict[str, dict[str, Any]] = {}
        self._intent = _sample("01_payment_intent.created.json")
        self._charge = _sample("03_charge.succeeded.json")

    def answer(self, path: str, form: dict[str, str]) -> dict[str, Any]:
        """POST /v1/payment_intents, or /v1/payment_intents/{id}/confirm."""
        match path.split("/")[3:]:
            case [id_, "confirm"]:
                return self._confirm(id_, form)
            case _:
                return self._create(form)

    def _create(self, form: dict[str, str]) -> dict[str, Any]:
        id_ = f"pi_3Stub{next(self._numbers):012d}"
        self._intents[id_] = self._intent | {
            "id": id_,
            "amount": int(form["amount"]),
            "currency": form["currency"],
            "created": int(time.time()),
            "metadata": {name[9:-1]: text for name, text in form.items() if name.startswith("metadata[")},
        }
        return self._intents[id_]

    def _confirm(self, id_: str, form: dict[str, str]) -> dict[str, Any]:
        intent = self._intents.pop(id_)
        if form["payment_method"] == "pm_processing":
            return intent | {"status": "processing", "latest_charge": id_.replace("pi_3Stub", "ch_3Stub")}
        amount = intent["amount"]
        charge = self._charge | {
            "id": id_.replace("pi_3Stub", "ch_3Stub"),
            "payment_intent": id_,
            "metadata": intent["metadata"],
            "currency": intent["currency"],
            "created": int(time.time()),
            "amount": amount,
            "amount_captured": amount,
        }
        return intent | {"status": "succeeded", "amount_received": amount, "latest_charge": charge}


class Connection(asyncio.Protocol):
    """One kept connection, one request at a time."""

    def __init__(self, stripe: Stripe, latency_s: float) -> None:
        self._stripe, self._latency_s = stripe, latency_s
        self._got = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # TCP's
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, found, body = self._got.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
        if not found or len(body) < int(length):
            return
        self._got = b""
        asyncio.get_running_loop().call_later(self._latency_s, self._answer, head, body)

    def _answer(self, head: bytes, body: bytes) -> None:
        path = head.split(b" ", 2)[1].decode()
        said = self._stripe.answer(path, dict(parse_qsl(body.decode())))
        answer = json.dumps(said).encode()
        self._transport.write(_HEAD.format(len(answer)).encode() + answer)


async def serve(port: int, latency_s: float) -> None:
    stripe = Stripe()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(stripe, latency_s), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), float(sys.argv[2]) / 1000))
