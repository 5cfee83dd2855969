"""How an action answers: within twenty seconds, once for an idempotency key, and going on if it must."""

import asyncio
from collections.abc import Awaitable, Callable
from hashlib import sha256
from http import HTTPStatus
from typing import Any, Final, TypeVar

import structlog
from fastapi import Request
from fastapi.responses import JSONResponse

from counterfoil.domain.errors import (
    CardNumberRefusedError,
    CounterfoilError,
    InvalidRequestError,
    WrongStateError,
)
from counterfoil.domain.pan import looks_like_card
from counterfoil.services import idempotency, payments, views
from counterfoil.services.context import Context
from counterfoil.services.idempotency import KEY_CHARS, Hold, Replay, Resume
from counterfoil.services.payments import Answer, Caller
from counterfoil.store.idempotency import Scope

ANSWER_S: Final = 20.0  # past it the caller is told what is known, and the work goes on
DRAIN_S: Final = (
    20.0  # what a process that ends waits for work that outlived its request; the rest is resumed
)
_going_on: set[asyncio.Task[Any]] = set()  # a task nobody refers to may be collected before it ends

T = TypeVar("T")

log = structlog.get_logger()


async def hold_of(request: Request, caller: Caller) -> Hold | None:
    """The request's idempotency key in its scope; None where it has none."""
    key = request.headers.get("idempotency-key")
    if key is None:
        return None
    if not 0 < len(key) <= KEY_CHARS or not key.isprintable() or not key.isascii():
        raise InvalidRequestError(
            f"Idempotency-Key must be 1 to {KEY_CHARS} printable ASCII characters.", field="Idempotency-Key"
        )
    if looks_like_card(key):
        raise CardNumberRefusedError("Idempotency-Key")
    digest = sha256(await request.body()).digest()
    path = request.url.path
    scope = Scope(
        merchant_id=caller.merchant_id,
        mode=caller.mode,
        method=request.method,
        path=path,
        key=key,
        body_digest=digest,
    )
    return Hold(scope)


async def once(
    ctx: Context,
    caller: Caller,
    payment_id: str,
    hold: Hold | None,
    act: Callable[[Resume | None], Awaitable[Answer | Replay]],
    *,
    claim: bool = True,
    status: int = 200,
) -> JSONResponse:
    """Carry out an action on a payment under its idempotency key.

    `claim` is False where the action itself commits the key with its first intent. A request that is refused before
    anything was done gives its key back: refusals are not stored. One that broke off keeps it, for what was done is
    not known here: a retry resumes it.
    """
    held = await idempotency.claim_alone(ctx, hold, payment_id) if hold and claim else None
    if isinstance(held, Replay):
        return await replayed(ctx, caller, held)
    try:
        answer = await within(act(held))
        if isinstance(answer, Replay):
            return await replayed(ctx, caller, answer)
    except CounterfoilError as refused:
        if hold and claim and refused.problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
            await idempotency.forget(ctx, hold)
        raise
    if answer is None and hold:  # a retry after a crash goes on with the payment of the first request
        payment_id = await idempotency.payment_of(ctx, hold) or payment_id
    family = answer.family if answer else await payments.get(ctx, caller, payment_id)
    body = views.payment(ctx, family, answer.outcome if answer else None)
    if hold:
        await idempotency.answer(ctx, hold, status, body | {"checkout": _kept(body["checkout"])})
    return JSONResponse(body, status_code=status)


async def within(work: Awaitable[T]) -> T | None:
    """The work's answer; None where it takes too long, and then it goes on without us."""
    task = asyncio.ensure_future(work)
    _going_on.add(task)
    task.add_done_callback(_ended)
    done, _ = await asyncio.wait({task}, timeout=ANSWER_S)
    return task.result() if done else None


def _ended(task: asyncio.Task[Any]) -> None:
    _going_on.discard(task)
    if not task.cancelled() and (error := task.exception()) and not isinstance(error, CounterfoilError):
        log.error("payment work failed", error=type(error).__name__)


async def drain() -> None:
    """Let the work that outlived its request finish: called once no new request comes."""
    if _going_on:
        await asyncio.wait(set(_going_on), timeout=DRAIN_S)


def _kept(checkout: dict[str, Any] | None) -> dict[str, Any] | None:
    """Of the checkout only that the browser had something to do: links and client secrets are never stored."""
    return {"next_action": None} if checkout and "next_action" in checkout else None


async def replayed(ctx: Context, caller: Caller, replay: Replay) -> JSONResponse:
    """The stored answer again, with links and next action minted anew for the payment as it stands."""
    looked = await within(payments.look(ctx, caller, replay.payment_id)) if replay.body["checkout"] else None
    family = looked.family if looked else await payments.get(ctx, caller, replay.payment_id)
    body = replay.body | {"checkout": views.checkout(ctx, family, looked.outcome if looked else None)}
    return JSONResponse(body, status_code=replay.status, headers={"Idempotency-Replayed": "true"})


async def once_for(
    ctx: Context,
    object_id: str,
    hold: Hold | None,
    act: Callable[[], Awaitable[T | Replay]],
    show: Callable[[T | None], Awaitable[dict[str, Any]]],
    *,
    claim: bool = True,
    status: int = 200,
) -> JSONResponse:
    """Carry out an action on something that is no payment under its idempotency key, and show what it is then.

    As `once`, for answers that hold nothing to be minted anew. `show` is given None where the work goes on without us.
    """
    held = await idempotency.claim_alone(ctx, hold, object_id) if hold and claim else None
    if isinstance(held, Replay):
        return again(held)
    try:
        answer = await within(act())
    except CounterfoilError as refused:
        taken_up = isinstance(held, Resume) and isinstance(refused, WrongStateError)
        if not taken_up:
            if hold and claim and refused.problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                await idempotency.forget(ctx, hold)
            raise
        answer = (
            None  # what broke off was carried out by then, or somebody came before: it is shown as it stands
        )
    if isinstance(answer, Replay):
        return again(answer)
    body = await show(answer)
    if hold:
        await idempotency.answer(ctx, hold, status, body)
    return JSONResponse(body, status_code=status)


def again(replay: Replay, **minted: str) -> JSONResponse:
    """The stored answer again, with what is not stored."""
    return JSONResponse(
        replay.body | minted, status_code=replay.status, headers={"Idempotency-Replayed": "true"}
    )
