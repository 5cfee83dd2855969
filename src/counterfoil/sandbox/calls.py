"""One API call: read it, break it where asked, admit it, carry it out in one transaction, answer."""

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any, Final, Self

import msgspec
from starlette.datastructures import Headers
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from counterfoil.sandbox.faults import Fault
from counterfoil.sandbox.truth import Kept
from counterfoil.sandbox.wire import until_gone, wire_of
from counterfoil.sandbox.world import World

log = logging.getLogger(__name__)

# Both gateways take a few kilobytes; a megabyte is an attack or a mistake.
MAX_BODY: Final = 1_048_576
# Both gateways keep the answer of an idempotency key for a day at least; Stripe prunes after it.
KEY_LIFE_S: Final = 24 * 3600
GARBAGE: Final = b"\x00<<< this is no JSON >>>\xff"


@dataclass(frozen=True, slots=True)
class Incoming:
    """A call as it came in, wholly read."""

    name: str  # as the SDK says it: payment_intents.confirm
    method: str
    path: str  # with the mount, as the client sees it
    ids: Mapping[str, str]  # the parameters of the path
    headers: Headers
    query: bytes
    body: bytes
    nonce: str  # fourteen letters and digits, for a gateway that numbers its requests


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes back."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def json(cls, value: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Self:
        return cls(
            status, msgspec.json.encode(value), {"content-type": "application/json", **(headers or {})}
        )


class RefusedError(Exception):
    """Raised by a handler: nothing of what it did remains, and this is the answer.

    `kept` says whether the answer is stored under the idempotency key: yes once execution had begun, no for
    parameters that were not valid.
    """

    def __init__(self, answer: Answer, *, kept: bool = False) -> None:
        super().__init__(answer.status)
        self.answer = answer
        self.kept = kept


Handler = Callable[[World, Incoming], Answer]


class Dialect(ABC):
    """How one gateway speaks: what all of its calls have in common."""

    gateway: str
    # Whether a server error that was told after execution is what the idempotency key gives again.
    replays_failures = True

    @abstractmethod
    def admit(self, world: World, call: Incoming) -> None:
        """Check the credentials. Raises RefusedError."""

    @abstractmethod
    def key(self, call: Incoming) -> str | None:
        """The idempotency key of this call, with its scope; None where it has none. Raises RefusedError for a bad one."""

    @abstractmethod
    def fingerprint(self, call: Incoming) -> str:
        """The same for two calls exactly if they ask for the same thing."""

    @abstractmethod
    def in_use(self, key: str) -> Answer:
        """The key's first request is still running."""

    @abstractmethod
    def mismatch(self, key: str) -> Answer:
        """The key belongs to a request that asked for something else."""

    @abstractmethod
    def replay(self, kept: Kept) -> Answer:
        """The stored answer, marked as the gateway marks it."""

    @abstractmethod
    def failure(self, status: int, *, retry_after: float | None = None) -> Answer:
        """The gateway's own error for an HTTP status of 400 and above: faults, and bodies too big to read."""

    @abstractmethod
    def finish(self, call: Incoming, answer: Answer) -> Answer:
        """The answer with the headers that every answer of the gateway has; twice is the same as once."""


class Call:
    """The ASGI application of one API endpoint."""

    def __init__(self, world: World, dialect: Dialect, name: str, handler: Handler) -> None:
        self._world = world
        self._dialect = dialect
        self._name = name
        self._handler = handler

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        fault = self._world.faults.take(self._dialect.gateway, self._name)
        if fault is not None and fault.fault == "refuse":
            wire_of(scope).reset()
            return await until_gone(receive)
        body = await _body(receive)
        if body is None:
            return await _send(send, self._dialect.failure(HTTPStatus.REQUEST_ENTITY_TOO_LARGE))
        if fault is not None and fault.fault in _SILENT_BEFORE:
            return await _silence(fault, scope, receive)
        call = self._incoming(scope, body)
        answer = self._dialect.finish(call, await self._answer(call, fault))
        if fault is not None and fault.fault in _SILENT_AFTER:
            return await _silence(fault, scope, receive)
        if fault is not None and fault.fault == "truncated":
            return await _half(send, answer, scope, receive)
        if fault is not None and fault.fault == "garbage":
            answer = Answer(200, GARBAGE, answer.headers)
        return await _send(send, answer)

    def _incoming(self, scope: Scope, body: bytes) -> Incoming:
        return Incoming(
            self._name,
            scope["method"],
            scope["path"],
            scope.get("path_params", {}),
            Headers(scope=scope),
            scope["query_string"],
            body,
            self._world.ids.word(14),
        )

    async def _answer(self, call: Incoming, fault: Fault | None) -> Answer:
        if fault is not None and (refusal := self._refusal(fault)):
            return refusal
        try:
            self._dialect.admit(self._world, call)
            key = self._dialect.key(call)
        except RefusedError as refused:
            return refused.answer
        instead = fault.params["status"] if fault and fault.fault == "error_5xx_after" else None
        if key is None:
            await self._wait(fault)
            return self._carry_out(call, None, instead)
        return await self._alone(call, key, fault, instead)

    def _refusal(self, fault: Fault) -> Answer | None:
        """The answer of a fault that stops the call before anything is done."""
        given = fault.params
        if fault.fault == "rate_limit":
            refusal = self._dialect.failure(429, retry_after=given["retry_after"])
        elif fault.fault == "error_4xx" and given["body"] is not None:
            refusal = Answer.json(given["body"], given["status"])
        elif fault.fault in {"error_4xx", "error_5xx_before"}:
            refusal = self._dialect.failure(given["status"])
        else:
            return None
        return Answer(refusal.status, refusal.body, {**refusal.headers, **given["headers"]})

    async def _alone(self, call: Incoming, key: str, fault: Fault | None, instead: int | None) -> Answer:
        """Carry out a call with a key, which is in use meanwhile."""
        used = (self._dialect.gateway, key)
        if used in self._world.busy:
            return self._dialect.in_use(key)
        self._world.busy.add(used)
        try:
            await self._wait(fault)
            return self._carry_out(call, key, instead)
        finally:
            self._world.busy.discard(used)

    async def _wait(self, fault: Fault | None) -> None:
        seconds = self._world.config.latency_ms / 1000
        if fault is not None and fault.fault == "delay":
            seconds += fault.params["seconds"]
        if seconds:
            await asyncio.sleep(seconds)

    def _carry_out(self, call: Incoming, key: str | None, instead: int | None) -> Answer:
        """Run the handler in one transaction, or replay what is kept under the key.

        `instead` is the status of the server error that the client gets for the true answer; the key keeps it, too,
        where the gateway replays failures.
        """
        truth = self._world.truth
        try:
            with truth.transaction():
                if key is not None and (known := self._known(call, key)):
                    return known
                return self._told(call, key, self._handler(self._world, call), instead)
        except RefusedError as refused:
            if not refused.kept:
                return refused.answer
            with truth.transaction():
                return self._told(call, key, refused.answer, instead)
        except Exception:
            log.exception("%s %s failed", self._dialect.gateway, call.name)
            return self._dialect.failure(500)

    def _told(self, call: Incoming, key: str | None, found: Answer, instead: int | None) -> Answer:
        """What the client is told once the handler has found its answer; the key keeps it."""
        told = self._dialect.failure(instead) if instead else found
        if key is not None:
            kept = self._dialect.finish(call, told if self._dialect.replays_failures else found)
            self._keep(call, key, kept)
        return told

    def _known(self, call: Incoming, key: str) -> Answer | None:
        found = self._world.truth.recall(
            self._dialect.gateway, key, since=self._world.clock.now() - KEY_LIFE_S
        )
        if found is None:
            return None
        fingerprint, kept = found
        same = fingerprint == self._dialect.fingerprint(call)
        return self._dialect.replay(kept) if same else self._dialect.mismatch(key)

    def _keep(self, call: Incoming, key: str, answer: Answer) -> None:
        kept = Kept(answer.status, answer.body, answer.headers, self._world.clock.now())
        self._world.truth.remember(self._dialect.gateway, key, self._dialect.fingerprint(call), kept)


def route(world: World, dialect: Dialect, name: str, method: str, path: str, handler: Handler) -> Route:
    """The route of one API endpoint. `path` is under the gateway's mount: /v1/orders."""
    return Route(path, Call(world, dialect, name, handler), methods=[method], name=name)


_SILENT_BEFORE: Final = {"reset_before", "timeout_before"}
_SILENT_AFTER: Final = {"reset_after", "timeout_after"}


async def _silence(fault: Fault, scope: Scope, receive: Receive) -> None:
    """No answer: for as long as the fault says or the client waits, then a reset."""
    try:
        await asyncio.wait_for(until_gone(receive), fault.params.get("seconds", 0) or 0.001)
    except TimeoutError:
        wire_of(scope).reset()
        await until_gone(receive)


async def _body(receive: Receive) -> bytes | None:
    """The whole body; None where it is too big."""
    body = b""
    while True:
        message = await receive()
        body += bytes(message.get("body", b""))
        if len(body) > MAX_BODY:
            return None
        if not message.get("more_body", False):
            return body


async def _send(send: Send, answer: Answer) -> None:
    await send(_start(answer))
    await send({"type": "http.response.body", "body": answer.body})


async def _half(send: Send, answer: Answer, scope: Scope, receive: Receive) -> None:
    """The first half of the body, then the end of the connection."""
    await send(_start(answer))
    await send(
        {"type": "http.response.body", "body": answer.body[: len(answer.body) // 2], "more_body": True}
    )
    wire_of(scope).hang_up()
    await until_gone(receive)


def _start(answer: Answer) -> dict[str, Any]:
    headers = {**answer.headers, "content-length": str(len(answer.body))}
    wire = [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    return {"type": "http.response.start", "status": answer.status, "headers": wire}
