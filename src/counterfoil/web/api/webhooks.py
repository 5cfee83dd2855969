"""/api/payments/webhooks: the inbox and its dead letters."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query

from counterfoil.domain.errors import NotFoundError
from counterfoil.services import inbox as service
from counterfoil.services import views
from counterfoil.store import inbox
from counterfoil.store.inbox import Filter
from counterfoil.web.api.answers import (
    PROBLEMS,
    WebhookAnswer,
    WebhookList,
    WebhooksReplayed,
    WebhookWithBody,
    says,
)
from counterfoil.web.api.payments import PAGE_MOST, cursor_of, known
from counterfoil.web.api.shapes import ReplayWebhooks
from counterfoil.web.api.strict import StrictRoute
from counterfoil.web.security import Admin, InContext, Viewer

router = APIRouter(
    prefix="/api/payments/webhooks", tags=["webhooks"], route_class=StrictRoute, responses=PROBLEMS
)
Statuses = Literal["received", "processed", "parked", "dead", "ignored"]


@router.get("", response_model=None, responses=says(WebhookList))
async def listing(
    ctx: InContext,
    caller: Viewer,
    status: Statuses | None = None,
    gateway: Literal["stripe", "razorpay"] | None = None,
    type_: Annotated[str | None, Query(alias="type", max_length=100)] = None,
    payment: str | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 50,
    cursor: str | None = None,
) -> dict[str, Any]:
    """Webhooks, newest first."""
    narrow = Filter(
        merchant_id=caller.merchant_id,
        mode=caller.mode,
        status=status,
        gateway=gateway,
        type=type_,
        payment_id=payment,
    )
    async with ctx.db.reading() as conn:
        rows = await inbox.page(conn, narrow, limit=limit + 1, before=cursor_of("webhook", cursor))
    more = rows[limit - 1].id if len(rows) > limit else None
    return {"data": [views.letter(row) for row in rows[:limit]], "next_cursor": more}


@router.get("/{webhook_id}", response_model=None, responses=says(WebhookWithBody))
async def read(ctx: InContext, caller: Viewer, webhook_id: str) -> dict[str, Any]:
    """One webhook with its body as it came, client secrets hidden."""
    known("webhook", webhook_id)
    async with ctx.db.reading() as conn:
        try:
            row, body, headers = await inbox.get(conn, webhook_id, caller.merchant_id, caller.mode)
        except LookupError:
            raise NotFoundError("webhook", webhook_id) from None
    return views.letter(row) | {"headers": headers, "body": views.shown_body(body)}


@router.post("/replay", response_model=None, responses=says(WebhooksReplayed))
async def replay_many(ctx: InContext, caller: Admin, asked: ReplayWebhooks) -> dict[str, Any]:
    """Have the oldest webhooks of a status understood anew, narrowed as the list is."""
    narrow = Filter(
        merchant_id=caller.merchant_id,
        mode=caller.mode,
        status=asked.status,
        gateway=asked.gateway,
        type=asked.type,
        payment_id=asked.payment,
    )
    replayed = await service.replay_many(ctx, caller.actor, narrow, limit=asked.limit)
    return {"data": replayed, "next_cursor": None}


@router.post("/{webhook_id}/replay", response_model=None, responses=says(WebhookAnswer))
async def replay(ctx: InContext, caller: Admin, webhook_id: str) -> dict[str, Any]:
    """Have it understood anew."""
    known("webhook", webhook_id)
    return views.letter(await service.replay(ctx, caller.actor, caller.merchant_id, caller.mode, webhook_id))


@router.post("/{webhook_id}/ignore", response_model=None, responses=says(WebhookAnswer))
async def ignore(ctx: InContext, caller: Admin, webhook_id: str) -> dict[str, Any]:
    """Put it aside for good."""
    known("webhook", webhook_id)
    return views.letter(await service.ignore(ctx, caller.actor, caller.merchant_id, caller.mode, webhook_id))
