"""/api/payments: parse, call one service, render."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from counterfoil.domain import ids
from counterfoil.domain.errors import InvalidRequestError, NotFoundError
from counterfoil.domain.payment import Status
from counterfoil.domain.routing import Feature
from counterfoil.domain.routing_policy import Question
from counterfoil.services import choosing, payments, views
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.services.idempotency import Replay, Resume
from counterfoil.services.payments import Answer, NewPayment
from counterfoil.store import timeline
from counterfoil.store.payments import Filter
from counterfoil.web.api.answering import hold_of, once
from counterfoil.web.api.answers import PROBLEMS, PaymentAnswer, PaymentList, RoutingAnswer, Timeline, says
from counterfoil.web.api.shapes import (
    CapturePayment,
    ChangeGateway,
    ConfirmPayment,
    CreatePayment,
    ExplainRouting,
    Nothing,
)
from counterfoil.web.api.strict import StrictRoute
from counterfoil.web.security import InContext, Support, Viewer

PAGE_MOST = 200
router = APIRouter(prefix="/api/payments", tags=["payments"], route_class=StrictRoute, responses=PROBLEMS)


def known(noun: str, text: str) -> str:
    """The id, if it is one of its noun. Raises NotFoundError before the database is asked."""
    if not ids.is_id(noun, text):
        raise NotFoundError(noun, text[:64])
    return text


def cursor_of(noun: str, cursor: str | None) -> str | None:
    """Where a page of a list begins: the id that the page before it named. Raises InvalidRequestError."""
    if cursor is not None and not ids.is_id(noun, cursor):
        raise InvalidRequestError("cursor is not one that a list here gave out.", field="cursor")
    return cursor


@router.post("", status_code=201, response_model=None, responses=says(PaymentAnswer, 201))
async def create(request: Request, ctx: InContext, caller: Support, asked: CreatePayment) -> JSONResponse:
    """Take on a payment. With `payment_method` and `confirm` it is charged at once; else the customer pays at `checkout.url`."""
    new = _new(ctx.new_id("payment"), asked)
    hold = await hold_of(request, caller)
    return await once(
        ctx, caller, new.id, hold, lambda _: payments.create(ctx, caller, new, hold), claim=False, status=201
    )


def _new(id_: str, asked: CreatePayment) -> NewPayment:
    return NewPayment(
        id=id_,
        money=asked.money(),
        capture=asked.capture,
        gateway=asked.gateway,
        method=asked.method(),
        method_hint=asked.hint,
        reference=asked.reference,
        description=asked.description,
        customer=asked.customer.model_dump(exclude_none=True) if asked.customer else {},
        metadata=asked.metadata,
        line_items=[item.model_dump(exclude_none=True) for item in asked.line_items],
        return_url=asked.return_url,
        stripe_customer=asked.stripe_customer,
    )


@router.get("", response_model=None, responses=says(PaymentList))
async def listing(
    ctx: InContext,
    caller: Viewer,
    status: Status | None = None,
    currency: Annotated[str | None, Query(pattern="^[A-Z]{3}$")] = None,
    gateway: Literal["stripe", "razorpay"] | None = None,
    reference: Annotated[str | None, Query(max_length=100)] = None,
    customer_id: Annotated[str | None, Query(max_length=100)] = None,
    customer_email: Annotated[str | None, Query(max_length=254)] = None,
    created_from: datetime | None = None,
    created_to: datetime | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Payments, newest first. Times without an offset are UTC."""
    narrow = Filter(
        merchant_id=caller.merchant_id,
        mode=caller.mode,
        status=status.value if status else None,
        currency=currency,
        gateway=gateway,
        reference=reference,
        customer_id=customer_id,
        customer_email=customer_email,
        created_from=_instant("created_from", created_from),
        created_to=_instant("created_to", created_to),
    )
    found, next_cursor = await payments.page(ctx, narrow, limit=limit, before=cursor_of("payment", cursor))
    return {"data": [views.payment(ctx, family) for family in found], "next_cursor": next_cursor}


def _instant(name: str, moment: datetime | None) -> datetime | None:
    try:
        return views.in_utc(moment) if moment else None
    except OverflowError:
        raise InvalidRequestError(f"{name} is too far away.", field=name) from None


@router.post("/routing/explain", response_model=None, responses=says(RoutingAnswer))
async def explain(ctx: InContext, caller: Viewer, asked: ExplainRouting) -> dict[str, Any]:
    """Which gateway a payment would go to and why, without paying; best first, those that cannot take it last."""
    needs = (Feature.SERVER_CONFIRM,) if asked.confirm else ()
    question = Question(asked.money(), asked.method, asked.country)
    verdicts = choosing.explain(ctx, question, caller.mode, named=asked.gateway, needs=needs)
    return views.routing_answer(verdicts)


async def _act(
    request: Request,
    ctx: Context,
    caller: Caller,
    payment_id: str,
    act: Callable[[Resume | None], Awaitable[Answer | Replay]],
) -> JSONResponse:
    """Do something to a payment that there may be, once for the request's idempotency key."""
    known("payment", payment_id)
    return await once(ctx, caller, payment_id, await hold_of(request, caller), act)


@router.post("/{payment_id}/attempts", response_model=None, responses=says(PaymentAnswer))
async def change_gateway(
    request: Request, ctx: InContext, caller: Support, payment_id: str, asked: ChangeGateway | None = None
) -> JSONResponse:
    """Open a further attempt at another gateway. Every earlier one is fenced first: it can never be charged again."""
    gateway = asked.gateway if asked else None
    return await _act(
        request,
        ctx,
        caller,
        payment_id,
        lambda held: payments.change_gateway(
            ctx, caller, payment_id, gateway, since=held.since if held else None
        ),
    )


@router.get("/{payment_id}", response_model=None, responses=says(PaymentAnswer))
async def read(ctx: InContext, caller: Viewer, payment_id: str) -> dict[str, Any]:
    """One payment with its attempts and charges."""
    return views.payment(ctx, await payments.get(ctx, caller, known("payment", payment_id)))


@router.get("/{payment_id}/timeline", response_model=None, responses=says(Timeline))
async def read_timeline(ctx: InContext, caller: Viewer, payment_id: str) -> dict[str, Any]:
    """All that was decided, asked, said and posted for this payment, in the order in which we knew it."""
    await payments.get(ctx, caller, known("payment", payment_id))
    async with ctx.db.reading() as conn:
        moments = await timeline.of_payment(conn, payment_id)
    return {"data": [views.moment(line) for line in moments], "next_cursor": None}


@router.post("/{payment_id}/confirm", response_model=None, responses=says(PaymentAnswer))
async def confirm(
    request: Request, ctx: InContext, caller: Support, payment_id: str, asked: ConfirmPayment
) -> JSONResponse:
    """Charge a method (Stripe), or bring back what Razorpay's checkout signed."""

    async def act(resume: Resume | None) -> Answer:
        if asked.razorpay_order_id and asked.razorpay_payment_id and asked.razorpay_signature:
            return await payments.confirm_by_checkout(
                ctx,
                caller,
                payment_id,
                order_id=asked.razorpay_order_id,
                charge_ref=asked.razorpay_payment_id,
                signature=asked.razorpay_signature,
            )
        return await payments.confirm(
            ctx, caller, payment_id, asked.method(), since=resume.since if resume else None
        )

    return await _act(request, ctx, caller, payment_id, act)


@router.post("/{payment_id}/capture", response_model=None, responses=says(PaymentAnswer))
async def capture(
    request: Request, ctx: InContext, caller: Support, payment_id: str, asked: CapturePayment | None = None
) -> JSONResponse:
    """Take authorised money: all of it, or part where the gateway can."""
    amount = asked.amount if asked else None
    return await _act(
        request,
        ctx,
        caller,
        payment_id,
        lambda _: payments.capture(ctx, caller, payment_id, amount),
    )


@router.post("/{payment_id}/cancel", response_model=None, responses=says(PaymentAnswer))
async def cancel(
    request: Request, ctx: InContext, caller: Support, payment_id: str, _asked: Nothing | None = None
) -> JSONResponse:
    """End the payment before money is taken; an authorisation is given back."""
    return await _act(
        request,
        ctx,
        caller,
        payment_id,
        lambda _: payments.cancel(ctx, caller, payment_id),
    )


@router.post("/{payment_id}/fulfil", response_model=None, responses=says(PaymentAnswer))
async def fulfil(
    request: Request, ctx: InContext, caller: Support, payment_id: str, _asked: Nothing | None = None
) -> JSONResponse:
    """Say that the goods are on their way: from then on a cancellation is not refunded by itself."""
    return await _act(
        request,
        ctx,
        caller,
        payment_id,
        lambda _: payments.fulfil(ctx, caller, payment_id),
    )


@router.post("/{payment_id}/sync", response_model=None, responses=says(PaymentAnswer))
async def sync(
    request: Request, ctx: InContext, caller: Support, payment_id: str, _asked: Nothing | None = None
) -> JSONResponse:
    """Ask the gateways how the payment stands, and settle what was unknown."""
    return await _act(
        request,
        ctx,
        caller,
        payment_id,
        lambda _: payments.sync(ctx, caller, payment_id),
    )
