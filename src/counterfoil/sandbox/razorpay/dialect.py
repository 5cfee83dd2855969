"""How Razorpay speaks: HTTP Basic, idempotency for refunds alone, errors of one shape."""

import base64
import binascii
import hashlib
import re
from typing import Final
from urllib.parse import parse_qsl

import msgspec

from counterfoil.sandbox.calls import Answer, Dialect, Incoming, RefusedError
from counterfoil.sandbox.razorpay.errors import authentication_failed, failure, plain
from counterfoil.sandbox.truth import Kept
from counterfoil.sandbox.world import World

GATEWAY: Final = "razorpay"
# The calls that know X-Refund-Idempotency; nothing else at Razorpay has idempotency keys.
KEYED: Final = ("payments.refund", "refunds.create")
LEAST_KEY: Final = 10
_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


class RazorpayDialect(Dialect):
    """The server's side: the API."""

    gateway = GATEWAY
    replays_failures = False

    def admit(self, world: World, call: Incoming) -> None:
        """HTTP Basic with key id and secret; the scheme word is exactly `Basic`."""
        scheme, _, credentials = call.headers.get("authorization", "").partition(" ")
        wanted = f"{world.config.razorpay_key_id}:{world.config.razorpay_key_secret}".encode()
        if scheme != "Basic" or _decoded(credentials) != wanted:
            raise authentication_failed()

    def key(self, call: Incoming) -> str | None:
        key = call.headers.get("x-refund-idempotency")
        if key is None or call.name not in KEYED:
            return None
        if len(key) < LEAST_KEY:
            raise RefusedError(plain(f"The idempotency key must be at least {LEAST_KEY} characters long."))
        if not _KEY.fullmatch(key):
            raise RefusedError(
                plain("The idempotency key may only hold letters, digits, underscores and hyphens.")
            )
        return key

    def fingerprint(self, call: Incoming) -> str:
        """The path and the body, whatever the order and the spaces of its JSON."""
        try:
            body = msgspec.json.encode(msgspec.json.decode(call.body or b"{}"), order="deterministic")
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            body = call.body
        return hashlib.sha256(call.path.encode() + b"\0" + body).hexdigest()

    def in_use(self, key: str) -> Answer:  # noqa: ARG002  Razorpay does not repeat the key
        return plain("Another request with the same idempotency key is still in progress.", 409)

    def mismatch(self, key: str) -> Answer:  # noqa: ARG002  Razorpay does not repeat the key
        return plain("Different request with the same idempotency key has already been processed.", 409)

    def replay(self, kept: Kept) -> Answer:
        """The first answer, unmarked: a client cannot tell it from a fresh one."""
        return Answer(kept.status, kept.body, kept.headers)

    def failure(self, status: int, *, retry_after: float | None = None) -> Answer:
        answer = failure(status)
        if retry_after is None:
            return answer
        return Answer(status, answer.body, {**answer.headers, "retry-after": f"{retry_after:g}"})

    def finish(self, call: Incoming, answer: Answer) -> Answer:  # noqa: ARG002  the same for all calls
        """No header is common to all answers."""
        return answer


class CheckoutDialect(RazorpayDialect):
    """The customer's side: any page may call; the key id in the request is the only credential."""

    def admit(self, world: World, call: Incoming) -> None:
        """Everyone; the handler looks at the key id."""

    def finish(self, call: Incoming, answer: Answer) -> Answer:  # noqa: ARG002  the same for all calls
        return Answer(answer.status, answer.body, {**answer.headers, "access-control-allow-origin": "*"})


def query_of(call: Incoming) -> dict[str, str]:
    """The query's parameters; the last one of a name counts."""
    return dict(_pairs(call))


def expands(call: Incoming) -> list[str]:
    """What the caller wants expanded: every `expand[]`."""
    return [value for name, value in _pairs(call) if name == "expand[]"]


def _pairs(call: Incoming) -> list[tuple[str, str]]:
    return parse_qsl(call.query.decode("latin-1"), keep_blank_values=True, errors="replace")


def _decoded(credentials: str) -> bytes:
    try:
        return base64.b64decode(credentials, validate=True)
    except (binascii.Error, ValueError):
        return b""
