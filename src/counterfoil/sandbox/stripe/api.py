"""How Stripe speaks: keys, idempotency, errors, headers; and how an endpoint is put behind it."""

import hashlib
from base64 import b64decode
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qsl

from starlette.routing import Route

from counterfoil.sandbox.calls import Answer, Dialect, Handler, Incoming, route
from counterfoil.sandbox.stripe import errors
from counterfoil.sandbox.stripe.expanding import expand
from counterfoil.sandbox.stripe.form import parse
from counterfoil.sandbox.stripe.params import Shape
from counterfoil.sandbox.stripe.session import API_VERSION, GATEWAY, Session
from counterfoil.sandbox.truth import Json, Kept
from counterfoil.sandbox.world import World

MAX_KEY: Final = 255
# What a web page of any origin may read; Stripe.js calls with the publishable key.
CORS: Final = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, POST, OPTIONS",
    "access-control-allow-headers": "authorization, content-type, idempotency-key, stripe-version",
    "access-control-max-age": "300",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An endpoint of the API: its name as the SDK says it, its parameters, and what it does."""

    name: str
    method: str
    path: str
    shape: Shape
    run: Callable[[Session, Json], Json | Answer]
    browser: bool = False  # a publishable key may call it


class Speech(Dialect):
    """Stripe's conventions (gateways' documentation: authentication, idempotent requests, errors)."""

    gateway = GATEWAY

    def __init__(self, browser: Iterable[str]) -> None:
        self._browser = frozenset(browser)

    def admit(self, world: World, call: Incoming) -> None:
        key = key_of(call)
        if not key:
            raise errors.invalid("You did not provide an API key.", status=401)
        if key == world.config.stripe_publishable_key:
            if call.name not in self._browser:
                raise errors.invalid(
                    "This API call cannot be made with a publishable API key.",
                    status=403,
                    code="secret_key_required",
                )
        elif key != world.config.stripe_secret_key:
            raise errors.invalid(f"Invalid API Key provided: {_masked(key)}", status=401)

    def key(self, call: Incoming) -> str | None:
        key = call.headers.get("idempotency-key")
        if key is None or call.method != "POST":
            return None
        if not 1 <= len(key) <= MAX_KEY:
            raise errors.invalid(f"An Idempotency-Key has 1 to {MAX_KEY} characters.")
        return key

    def fingerprint(self, call: Incoming) -> str:
        fields = sorted(parse_qsl(call.body.decode(errors="replace"), keep_blank_values=True))
        return hashlib.sha256(repr((call.method, call.path, fields)).encode()).hexdigest()

    def in_use(self, key: str) -> Answer:
        return errors.answer(
            409,
            f"There is another request in progress with the idempotency key {key!r}.",
            kind="idempotency_error",
            code="idempotency_key_in_use",
        )

    def mismatch(self, key: str) -> Answer:
        return errors.answer(
            400,
            f"The idempotency key {key!r} was first used with other parameters. Use another key for another request.",
            kind="idempotency_error",
        )

    def replay(self, kept: Kept) -> Answer:
        original = kept.headers["request-id"]
        headers = {**kept.headers, "idempotent-replayed": "true", "original-request": original}
        return Answer(kept.status, kept.body, headers)

    def failure(self, status: int, *, retry_after: float | None = None) -> Answer:
        if status == 429:
            refusal = errors.answer(status, "Too many requests", code="rate_limit")
        elif status >= 500:
            refusal = errors.answer(status, "An unknown error occurred", kind="api_error")
        else:
            refusal = errors.answer(status, _FAILURES.get(status, "The request was refused."))
        after = {} if retry_after is None else {"retry-after": f"{retry_after:g}"}
        return Answer(refusal.status, refusal.body, {**refusal.headers, **after})

    def finish(self, call: Incoming, answer: Answer) -> Answer:
        headers = {
            **answer.headers,
            "request-id": f"req_{call.nonce}",
            "stripe-version": _echo(call.headers.get("stripe-version")) or API_VERSION,
        }
        if key := _echo(call.headers.get("idempotency-key")):
            headers["idempotency-key"] = key
        return Answer(answer.status, answer.body, {**headers, **(CORS if call.name in self._browser else {})})


_FAILURES: Final = {
    401: "Invalid API Key provided.",
    403: "The provided key does not have the required permissions for this endpoint.",
    413: "The request is too large.",
}


def routes_of(world: World, endpoints: Iterable[Endpoint]) -> list[Route]:
    endpoints = list(endpoints)
    speech = Speech(one.name for one in endpoints if one.browser)
    return [route(world, speech, one.name, one.method, one.path, _handler(one)) for one in endpoints]


def _handler(endpoint: Endpoint) -> Handler:
    def handle(world: World, call: Incoming) -> Answer:
        params = endpoint.shape(_tree(call))
        session = Session(world, call, publishable=key_of(call) == world.config.stripe_publishable_key)
        done = endpoint.run(session, params)
        if isinstance(done, Answer):
            return done
        return Answer.json(expand(session, done, params.get("expand", [])))

    return handle


def _tree(call: Incoming) -> Json:
    if call.method != "POST":
        return parse(call.query)
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if call.body and kind != "application/x-www-form-urlencoded":
        raise errors.invalid("Send the parameters of a POST as application/x-www-form-urlencoded.")
    return parse(call.body)


def key_of(call: Incoming) -> str:
    """The API key: Bearer, or the user of Basic with an empty password; empty where there is none."""
    scheme, _, value = call.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return value.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return b64decode(value, validate=True).decode().partition(":")[0]
    except ValueError:
        return ""


def _masked(key: str) -> str:
    return f"{key[:8]}***{key[-4:]}" if len(key) > 16 else "***"


def _echo(value: str | None) -> str | None:
    """A header's value that can go into a header again."""
    return value if value and value.isascii() and value.isprintable() else None
