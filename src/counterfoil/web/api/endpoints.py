"""/api/payments/endpoints: where the merchant's own backend hears of events, and what it was sent."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse
from pydantic import AfterValidator, Field, StrictInt, StringConstraints

from counterfoil.domain.address import URL_CHARS
from counterfoil.domain.endpoint import DESCRIPTION_CHARS, FILTERS_MOST, OVERLAP, OVERLAP_MOST, Endpoint
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.event import is_filter
from counterfoil.services import endpoints as service
from counterfoil.services import idempotency, views
from counterfoil.services.context import Context
from counterfoil.services.endpoints import NewEndpoint
from counterfoil.services.idempotency import DoneBeforeError, Hold, Replay
from counterfoil.services.payments import Caller
from counterfoil.web.api.answering import again, hold_of
from counterfoil.web.api.answers import (
    PROBLEMS,
    DeliveryAnswer,
    DeliveryList,
    DeliveryWithTries,
    EndpointAnswer,
    EndpointList,
    EndpointWithSecret,
    Replayed,
    TryAnswer,
    says,
)
from counterfoil.web.api.payments import PAGE_MOST, known
from counterfoil.web.api.shapes import Nothing, Shape
from counterfoil.web.api.strict import StrictRoute
from counterfoil.web.security import Admin, InContext

router = APIRouter(
    prefix="/api/payments/endpoints", tags=["endpoints"], route_class=StrictRoute, responses=PROBLEMS
)
HOUR = timedelta(hours=1)


def _type(text: str) -> str:
    if not is_filter(text):
        raise ValueError("is no event type, and no noun with .* of which there are any")
    return text


Url = Annotated[str, StringConstraints(min_length=1, max_length=URL_CHARS)]
Description = Annotated[str, StringConstraints(max_length=DESCRIPTION_CHARS)]
Types = Annotated[list[Annotated[str, AfterValidator(_type)]], Field(max_length=FILTERS_MOST)]


class CreateEndpoint(Shape):
    url: Url
    description: Description = ""
    types: Types = Field(default_factory=list, description="what it wants to hear of; all, where left out")
    enabled: bool = True


class UpdateEndpoint(Shape):
    """What is left out stays."""

    url: Url | None = None
    description: Description | None = None
    types: Types | None = None
    enabled: bool | None = None


class RotateSecret(Shape):
    overlap_hours: Annotated[
        StrictInt, Field(ge=0, le=OVERLAP_MOST // HOUR, description="how long the old secret signs too")
    ] = OVERLAP // HOUR


class ReplaySince(Shape):
    since: Annotated[datetime, Field(strict=False, description="RFC 3339; without an offset, UTC")]


@router.post("", status_code=201, response_model=None, responses=says(EndpointWithSecret, 201))
async def create(request: Request, ctx: InContext, caller: Admin, asked: CreateEndpoint) -> JSONResponse:
    """Make an endpoint. `secret` is shown in this answer and never again, but to a retry with the same key."""
    hold, new = await hold_of(request, caller), NewEndpoint(**asked.model_dump())
    return await _with_secret(ctx, caller, hold, lambda: service.create(ctx, caller, new, hold), status=201)


async def _with_secret(
    ctx: Context,
    caller: Caller,
    hold: Hold | None,
    act: Callable[[], Awaitable[tuple[Endpoint, str]]],
    *,
    status: int = 200,
) -> JSONResponse:
    """Answer with an endpoint and its secret, which is not kept with the answer."""
    try:
        endpoint, secret = await act()
    except DoneBeforeError as before:
        endpoint, secret = await service.with_secret(ctx, caller, before.held.payment_id)
        if isinstance(before.held, Replay):
            return again(before.held, secret=secret)
    body = views.endpoint(endpoint)
    if hold:
        await idempotency.answer(ctx, hold, status, body)
    return JSONResponse(body | {"secret": secret}, status_code=status)


@router.get("", response_model=None, responses=says(EndpointList))
async def listing(ctx: InContext, caller: Admin) -> dict[str, Any]:
    """All endpoints, in the order in which they were made."""
    return {"data": [views.endpoint(row) for row in await service.listing(ctx, caller)], "next_cursor": None}


@router.get("/{endpoint_id}", response_model=None, responses=says(EndpointAnswer))
async def read(ctx: InContext, caller: Admin, endpoint_id: str) -> dict[str, Any]:
    """One endpoint; its secret is not shown."""
    return views.endpoint(await service.get(ctx, caller, known("endpoint", endpoint_id)))


@router.patch("/{endpoint_id}", response_model=None, responses=says(EndpointAnswer))
async def update(ctx: InContext, caller: Admin, endpoint_id: str, asked: UpdateEndpoint) -> dict[str, Any]:
    """Change it. Enabled again, it is as if it had never failed, and what waits is sent."""
    changes = asked.model_dump(exclude_none=True)
    return views.endpoint(await service.update(ctx, caller, known("endpoint", endpoint_id), changes))


@router.delete("/{endpoint_id}", response_model=None, status_code=204)
async def delete(ctx: InContext, caller: Admin, endpoint_id: str) -> None:
    """Nothing more is sent to it."""
    await service.delete(ctx, caller, known("endpoint", endpoint_id))


@router.post("/{endpoint_id}/rotate", response_model=None, responses=says(EndpointWithSecret))
async def rotate(
    request: Request, ctx: InContext, caller: Admin, endpoint_id: str, asked: RotateSecret | None = None
) -> JSONResponse:
    """Make a new secret, shown in this answer alone. Until the overlap is over, deliveries carry both signatures."""
    overlap = (asked or RotateSecret()).overlap_hours * HOUR
    id_, hold = known("endpoint", endpoint_id), await hold_of(request, caller)
    return await _with_secret(ctx, caller, hold, lambda: service.rotate(ctx, caller, id_, overlap, hold=hold))


@router.post("/{endpoint_id}/test", response_model=None, responses=says(TryAnswer))
async def try_out(
    ctx: InContext, caller: Admin, endpoint_id: str, _asked: Nothing | None = None
) -> dict[str, Any]:
    """Send it an `endpoint.test` now, once, and tell what it answered."""
    id_, reply = await service.try_out(ctx, caller, known("endpoint", endpoint_id))
    return views.tried(id_, reply)


@router.get("/{endpoint_id}/deliveries", response_model=None, responses=says(DeliveryList))
async def deliveries(
    ctx: InContext,
    caller: Admin,
    endpoint_id: str,
    status: Literal["pending", "delivered", "failed"] | None = None,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 50,
    cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,18}$")] = None,
) -> dict[str, Any]:
    """What it was sent, newest first, each with its last try."""
    before = int(cursor) if cursor else None
    rows, more = await service.sent(
        ctx, caller, known("endpoint", endpoint_id), status=status, limit=limit, before=before
    )
    return {"data": [views.delivery(row) for row in rows], "next_cursor": str(more) if more else None}


@router.get("/{endpoint_id}/deliveries/{event_id}", response_model=None, responses=says(DeliveryWithTries))
async def delivery(ctx: InContext, caller: Admin, endpoint_id: str, event_id: str) -> dict[str, Any]:
    """One delivery with all its tries."""
    known("endpoint", endpoint_id)
    row, tries = await service.delivery(ctx, caller, endpoint_id, known("outgoing", event_id))
    return views.delivery(row) | {"log": [views.attempted(one) for one in tries]}


@router.post(
    "/{endpoint_id}/deliveries/{event_id}/replay", response_model=None, responses=says(DeliveryAnswer)
)
async def replay(
    request: Request,
    ctx: InContext,
    caller: Admin,
    endpoint_id: str,
    event_id: str,
    _asked: Nothing | None = None,
) -> JSONResponse:
    """Send one event again, whatever became of it; or for the first time."""
    known("endpoint", endpoint_id)
    known("outgoing", event_id)
    hold = await hold_of(request, caller)

    async def act() -> dict[str, Any]:
        return views.delivery(await service.replay(ctx, caller, endpoint_id, event_id, hold))

    async def as_it_stands() -> dict[str, Any]:
        return views.delivery((await service.delivery(ctx, caller, endpoint_id, event_id))[0])

    return await _once(ctx, hold, act, as_it_stands)


async def _once(
    ctx: Context,
    hold: Hold | None,
    act: Callable[[], Awaitable[dict[str, Any]]],
    otherwise: Callable[[], Awaitable[dict[str, Any]]],
) -> JSONResponse:
    """Answer with what was done; `otherwise` tells it where that was done before, and its answer was lost."""
    try:
        body = await act()
    except DoneBeforeError as before:
        if isinstance(before.held, Replay):
            return again(before.held)
        body = await otherwise()
    if hold:
        await idempotency.answer(ctx, hold, HTTPStatus.OK, body)
    return JSONResponse(body)


@router.post("/{endpoint_id}/replay", response_model=None, responses=says(Replayed))
async def replay_since(
    request: Request, ctx: InContext, caller: Admin, endpoint_id: str, asked: ReplaySince
) -> JSONResponse:
    """Send all that it wanted since then and did not get: what failed, and what came while it was disabled."""
    known("endpoint", endpoint_id)
    hold = await hold_of(request, caller)
    try:
        since = views.in_utc(asked.since)
    except OverflowError:
        raise InvalidRequestError("since is too far away.", field="since") from None

    async def act(hold: Hold | None = None) -> dict[str, Any]:
        return {"replayed": await service.replay_since(ctx, caller, endpoint_id, since, hold)}

    return await _once(ctx, hold, lambda: act(hold), act)
