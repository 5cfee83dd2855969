"""/api/payments/events: what happened, in the order of commit; as a list, or as a stream."""

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Header, Query, Request
from fastapi.responses import Response
from starlette.responses import JSONResponse

from counterfoil.domain.errors import InvalidRequestError
from counterfoil.services import views
from counterfoil.store import events
from counterfoil.web.api.answers import PROBLEMS, EventList, says
from counterfoil.web.api.payments import PAGE_MOST
from counterfoil.web.api.strict import StrictRoute
from counterfoil.web.security import InContext, Viewer

router = APIRouter(
    prefix="/api/payments/events", tags=["events"], route_class=StrictRoute, responses=PROBLEMS
)
STREAM: Final = "text/event-stream"
_SEQUENCE: Final = re.compile(r"[0-9]{1,18}")


@router.get("", response_model=None, responses=says(EventList))
async def read(
    request: Request,
    ctx: InContext,
    caller: Viewer,
    limit: Annotated[int, Query(ge=1, le=PAGE_MOST)] = 50,
    cursor: Annotated[str | None, Query(description="the sequence of the last event you have")] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Events, oldest first, in the order of commit. With `Accept: text/event-stream` what happens from now on, or after Last-Event-ID, as it happens."""
    after = _sequence("cursor", cursor)
    if STREAM in request.headers.get("accept", ""):
        resumed = _sequence("Last-Event-ID", last_event_id)
        start = after if resumed is None else resumed
        if start is None:
            async with ctx.db.reading() as conn:
                start = await events.last(conn)
        stream: Response = request.app.state.streams.stream(caller, start)
        return stream
    async with ctx.db.reading() as conn:
        found = await events.after(
            conn, caller.merchant_id, caller.mode, sequence=after or 0, limit=limit + 1
        )
    more = str(found[limit - 1].sequence) if len(found) > limit else None
    body: dict[str, Any] = {"data": [views.event(one) for one in found[:limit]], "next_cursor": more}
    return JSONResponse(body)


def _sequence(name: str, text: str | None) -> int | None:
    if not text:
        return None
    if not _SEQUENCE.fullmatch(text):
        raise InvalidRequestError(f"{name} is the sequence of an event.", field=name)
    return int(text)
