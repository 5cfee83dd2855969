"""Stripe's webhooks as they arrive: signed events about payments that the service knows."""

import time
from collections.abc import Sequence
from hashlib import sha256
from hmac import digest
from pathlib import Path
from typing import Final

from bench.book import Page
from bench.running import WEBHOOK_SECRET

# An event of full size whose ids are replaced by ours.
SAMPLE: Final = (
    Path(__file__).parent.parent / "tests/data/stripe/events_scenario/04_payment_intent.succeeded.json"
)
_HEAD: Final = (
    "POST {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUser-Agent: Stripe/1.0 (+https://stripe.com/docs/webhooks)\r\n"
    "Accept: */*; q=0.5, application/xml\r\nCache-Control: no-cache\r\n"
    "Content-Type: application/json; charset=utf-8\r\nContent-Length: {length}\r\n"
    "Stripe-Signature: t={at},v1={signature}\r\n\r\n"
)


def succeeded(pages: Sequence[Page], path: str = "/webhooks/stripe") -> list[bytes]:
    """A request a page: its payment_intent.succeeded, with an event id of its own, signed now."""
    sample = SAMPLE.read_text()
    return [_request(path, _event(sample, page)) for page in pages]


def _event(sample: str, page: Page) -> bytes:
    for old, new in (
        ("evt_3TestVec0000000000000004", page.intent.replace("pi_", "evt_")),
        ("pi_3TestVec0000000000000001", page.intent),
        ("ch_3TestVec0000000000000001", page.charge),
        ('"order_id": "A1"', f'"counterfoil_attempt": "{page.attempt_id}"'),
    ):
        sample = sample.replace(old, new)
    return sample.encode()


def _request(path: str, body: bytes) -> bytes:
    at = int(time.time())
    signature = digest(WEBHOOK_SECRET.encode(), f"{at}.".encode() + body, sha256).hex()
    return _HEAD.format(path=path, length=len(body), at=at, signature=signature).encode() + body
