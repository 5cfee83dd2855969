"""Endpoints as their owner sees them: made, changed, ended, tried out; their secrets, and what they were sent.

A secret is shown once, when it is made. Every change is audited.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from counterfoil.courier import Reply
from counterfoil.domain.endpoint import MOST, OVERLAP, SECRETS_MOST, Endpoint
from counterfoil.domain.errors import NotFoundError, WrongStateError
from counterfoil.domain.event import TEST, Event
from counterfoil.services import delivering, idempotency, views
from counterfoil.services.auditing import done
from counterfoil.services.context import Context
from counterfoil.services.idempotency import Hold
from counterfoil.services.payments import Caller
from counterfoil.store import deliveries, endpoints, exceptions
from counterfoil.store.database import Connection
from counterfoil.store.deliveries import Delivery, Try
from counterfoil.store.endpoints import Secret

SECRET_BYTES: Final = 32  # Standard Webhooks allows 24 to 64
PREFIX: Final = "whsec_"
BY_HAND: Final = "by hand"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewEndpoint:
    """`types` are those it wants to hear of; none means all."""

    url: str
    description: str = ""
    types: Sequence[str] = ()
    enabled: bool = True


async def create(
    ctx: Context, caller: Caller, new: NewEndpoint, hold: Hold | None = None
) -> tuple[Endpoint, str]:
    """Make an endpoint. Its secret is returned here and never again.

    Raises InvalidRequestError where the URL will not do, WrongStateError where there are too many. With a hold, the
    idempotency record commits with the endpoint, and DoneBeforeError says that it did before.
    """
    await ctx.courier.check(new.url, caller.mode)
    now = ctx.now()
    endpoint = Endpoint(
        id=ctx.new_id("endpoint"),
        merchant_id=caller.merchant_id,
        mode=caller.mode,
        url=new.url,
        description=new.description,
        types=sorted(set(new.types)),
        disabled_at=None if new.enabled else now,
        disabled_because=None if new.enabled else BY_HAND,
        failing_since=None,
        noticed_at=None,
        created_at=now,
        updated_at=now,
    )
    async with ctx.db.transaction() as conn:
        await idempotency.take(ctx, conn, hold, endpoint.id)
        if await endpoints.count(conn, caller.merchant_id, caller.mode) >= MOST:
            raise WrongStateError(
                command="make an endpoint", state="full", because=f"there are {MOST} already"
            )
        await endpoints.insert(conn, endpoint)
        text = await _new_secret(ctx, conn, endpoint.id)
        detail = {"url": new.url, "types": endpoint.types}
        await done(ctx, conn, caller, "endpoint.create", endpoint.id, detail)
    return endpoint, text


async def _new_secret(ctx: Context, conn: Connection, endpoint_id: str) -> str:
    text = PREFIX + base64.b64encode(ctx.chance(SECRET_BYTES)).decode()
    id_ = ctx.new_id("key")
    secret = Secret(
        id=id_,
        endpoint_id=endpoint_id,
        secret=ctx.vault.seal(text, f"{id_}/secret"),
        created_at=ctx.now(),
        expires_at=None,
    )
    await endpoints.insert_secret(conn, secret)
    return text


async def with_secret(ctx: Context, caller: Caller, endpoint_id: str) -> tuple[Endpoint, str]:
    """The endpoint and the newest of its secrets, for whoever was to be shown it and got no answer."""
    async with ctx.db.reading() as conn:
        endpoint = await _get(conn, caller, endpoint_id)
        newest = (await endpoints.secrets(conn, [endpoint_id], ctx.now()))[endpoint_id][0]
    return endpoint, delivering.opened(ctx, newest)


async def listing(ctx: Context, caller: Caller) -> list[Endpoint]:
    async with ctx.db.reading() as conn:
        return await endpoints.listing(conn, caller.merchant_id, caller.mode)


async def get(ctx: Context, caller: Caller, endpoint_id: str) -> Endpoint:
    async with ctx.db.reading() as conn:
        return await _get(conn, caller, endpoint_id)


async def _get(conn: Connection, caller: Caller, endpoint_id: str, *, locked: bool = False) -> Endpoint:
    try:
        return await endpoints.get(conn, endpoint_id, caller.merchant_id, caller.mode, locked=locked)
    except LookupError:
        raise NotFoundError("endpoint", endpoint_id) from None


async def update(ctx: Context, caller: Caller, endpoint_id: str, changes: Mapping[str, Any]) -> Endpoint:
    """Change url, description, types or enabled. Enabled again, it is as if it had never failed.

    Raises InvalidRequestError where the URL will not do.
    """
    if "url" in changes:
        await ctx.courier.check(changes["url"], caller.mode)
    async with ctx.db.transaction() as conn:
        before = await _get(conn, caller, endpoint_id, locked=True)
        columns = {name: changes[name] for name in ("url", "description") if name in changes}
        if "types" in changes:
            columns["types"] = sorted(set(changes["types"]))
        if "enabled" in changes and changes["enabled"] != (before.disabled_at is None):
            columns |= await _switch(ctx, conn, before, enabled=changes["enabled"])
        await done(ctx, conn, caller, "endpoint.update", endpoint_id, dict(changes))
        return await endpoints.update(conn, endpoint_id, **columns, updated_at=ctx.now())


async def _switch(ctx: Context, conn: Connection, endpoint: Endpoint, *, enabled: bool) -> dict[str, Any]:
    if not enabled:
        return {"disabled_at": ctx.now(), "disabled_because": BY_HAND}
    for kind in ("endpoint_failing", "endpoint_disabled"):
        await exceptions.end(conn, kind=kind, about=endpoint.id, now=ctx.now())
    return {"disabled_at": None, "disabled_because": None, "failing_since": None, "noticed_at": None}


async def delete(ctx: Context, caller: Caller, endpoint_id: str) -> None:
    async with ctx.db.transaction() as conn:
        await _get(conn, caller, endpoint_id, locked=True)
        await endpoints.delete(conn, endpoint_id, ctx.now())
        await done(ctx, conn, caller, "endpoint.delete", endpoint_id, {})


async def rotate(
    ctx: Context,
    caller: Caller,
    endpoint_id: str,
    overlap: timedelta = OVERLAP,
    hold: Hold | None = None,
) -> tuple[Endpoint, str]:
    """Make a new secret; the old one signs beside it for the overlap, or not at all where that is zero.

    Raises WrongStateError where too many still sign, and DoneBeforeError as create.
    """
    now = ctx.now()
    async with ctx.db.transaction() as conn:
        endpoint = await _get(conn, caller, endpoint_id, locked=True)
        await idempotency.take(ctx, conn, hold, endpoint_id)
        await endpoints.expire_secret(conn, endpoint_id, now + overlap)
        signing = (await endpoints.secrets(conn, [endpoint_id], now)).get(endpoint_id, [])
        if len(signing) >= SECRETS_MOST:
            raise WrongStateError(
                command="rotate",
                state="overlapping",
                because=f"{len(signing)} older secrets would go on signing",
            )
        text = await _new_secret(ctx, conn, endpoint_id)
        detail = {"overlap_hours": overlap // timedelta(hours=1)}
        await done(ctx, conn, caller, "endpoint.rotate", endpoint_id, detail)
    return endpoint, text


async def try_out(ctx: Context, caller: Caller, endpoint_id: str) -> tuple[str, Reply]:
    """Send a test event now, once, and tell what came of it: the event's id, and the answer. Nothing is kept of it."""
    async with ctx.db.reading() as conn:
        endpoint = await _get(conn, caller, endpoint_id)
        secrets = (await endpoints.secrets(conn, [endpoint_id], ctx.now())).get(endpoint_id, [])
    event = Event(
        id=ctx.new_id("outgoing"),
        merchant_id=endpoint.merchant_id,
        mode=endpoint.mode,
        type=TEST,
        object_id=endpoint.id,
        version=1,
        object={"id": endpoint.id, "object": "endpoint"},
        created_at=ctx.now(),
    )
    body = json.dumps(views.event(event))
    headers = delivering.signed(event.id, body, [delivering.opened(ctx, secret) for secret in secrets])
    return event.id, await ctx.courier.post(endpoint.url, endpoint.mode, headers, body.encode())


async def sent(
    ctx: Context, caller: Caller, endpoint_id: str, *, status: str | None, limit: int, before: int | None
) -> tuple[list[Delivery], int | None]:
    """A page of an endpoint's deliveries, newest first, and the cursor of the next."""
    async with ctx.db.reading() as conn:
        await _get(conn, caller, endpoint_id)
        rows = await deliveries.page(conn, endpoint_id, status=status, limit=limit + 1, before=before)
    return rows[:limit], (rows[limit - 1].sequence if len(rows) > limit else None)


async def delivery(
    ctx: Context, caller: Caller, endpoint_id: str, event_id: str
) -> tuple[Delivery, list[Try]]:
    """One delivery with all its tries."""
    async with ctx.db.reading() as conn:
        await _get(conn, caller, endpoint_id)
        return await _delivery(conn, endpoint_id, event_id)


async def _delivery(conn: Connection, endpoint_id: str, event_id: str) -> tuple[Delivery, list[Try]]:
    try:
        return await deliveries.get(conn, endpoint_id, event_id)
    except LookupError:
        raise NotFoundError("delivery of", event_id) from None


async def replay(
    ctx: Context, caller: Caller, endpoint_id: str, event_id: str, hold: Hold | None = None
) -> Delivery:
    """Send one event again, from the first try on, whatever became of it. Those behind it in its lane wait for it.

    Raises DoneBeforeError as create.
    """
    async with ctx.db.transaction() as conn:
        await _get(conn, caller, endpoint_id)
        await idempotency.take(ctx, conn, hold, endpoint_id)
        if not await deliveries.replay(conn, endpoint_id, event_id, ctx.now()):
            raise NotFoundError("event", event_id)
        await done(ctx, conn, caller, "endpoint.replay", endpoint_id, {"event": event_id})
        return (await _delivery(conn, endpoint_id, event_id))[0]


async def replay_since(
    ctx: Context, caller: Caller, endpoint_id: str, since: datetime, hold: Hold | None = None
) -> int:
    """Send all that it wanted since then and did not get: what was given up, and what came while it was disabled.

    Raises DoneBeforeError as create.
    """
    async with ctx.db.transaction() as conn:
        await _get(conn, caller, endpoint_id)
        await idempotency.take(ctx, conn, hold, endpoint_id)
        count = await deliveries.replay_since(conn, endpoint_id, since, ctx.now())
        detail = {"since": since.isoformat(), "count": count}
        await done(ctx, conn, caller, "endpoint.replay", endpoint_id, detail)
    return count
