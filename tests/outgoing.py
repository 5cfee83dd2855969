"""Valid things for what goes out: a house that may send to this machine, endpoints, and events with versions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import builders
from counterfoil import wiring
from counterfoil.courier import Courier
from counterfoil.domain.endpoint import Endpoint
from counterfoil.domain.event import Event
from counterfoil.services import delivering, endpoints, publishing
from counterfoil.services.context import Context
from counterfoil.services.endpoints import NewEndpoint
from counterfoil.services.payments import Caller
from counterfoil.store import deliveries, events
from fleet import Fleet, house_of


@asynccontextmanager
async def sending_house(url: str, key_file: Path, **changes: Any) -> AsyncIterator[Context]:
    """A house whose endpoints may stand on loopback."""
    async with builders.open_house(url, key_file=key_file) as house:
        courier = Courier(allow_loopback=True)
        try:
            yield replace(house.context, **{"courier": courier, **changes})
        finally:
            await courier.close()


@asynccontextmanager
async def beside(ships: Fleet) -> AsyncIterator[Context]:
    """The same over the database and key of processes that run."""
    async with house_of(ships) as ctx:
        courier = Courier(allow_loopback=True)
        try:
            yield replace(ctx, courier=courier, clock=wiring.RealClock())
        finally:
            await courier.close()


def owner(ctx: Context) -> Caller:
    return Caller(actor="tests", merchant_id=ctx.merchant_id, mode=ctx.mode)


async def an_endpoint(ctx: Context, url: str, *types: str) -> tuple[Endpoint, str]:
    return await endpoints.create(ctx, owner(ctx), NewEndpoint(url=url, types=types))


async def happened(ctx: Context, object_id: str, version: int = 1, type_: str = "payment.updated") -> None:
    """An event of this version of an object, committed."""
    async with ctx.db.transaction() as conn:
        await publishing.publish(
            ctx,
            conn,
            merchant_id=ctx.merchant_id,
            mode=ctx.mode,
            type_=type_,
            object_id=object_id,
            version=version,
            body={"id": object_id, "object": "payment", "version": version},
        )


async def numbered(ctx: Context) -> list[Event]:
    """Every event that has a number, in order."""
    await delivering.number(ctx)
    async with ctx.db.reading() as conn:
        return await events.after(conn, ctx.merchant_id, ctx.mode, sequence=0, limit=10_000)


async def all_sent(ctx: Context) -> None:
    """Number and send until nothing is due now."""
    await delivering.number(ctx)
    due = True
    while due:
        await delivering.due(ctx)
        await ctx.hands.rest(5)
        async with ctx.db.reading() as conn:
            due = await deliveries.any_due(conn, ctx.now())


def advance(ctx: Context, by: timedelta) -> None:
    clock: Any = ctx.clock
    clock.advance(by)


async def log_of(ctx: Context, endpoint: Endpoint) -> list[dict[str, Any]]:
    """Every try to this endpoint, in order."""
    return await builders.rows(
        ctx,
        "SELECT l.*, d.object_id, d.outcome FROM delivery_log l JOIN deliveries d USING (event_id, endpoint_id)"
        " WHERE endpoint_id = $1 ORDER BY l.id",
        endpoint.id,
    )


async def state(ctx: Context, endpoint: Endpoint) -> Endpoint:
    return await endpoints.get(ctx, owner(ctx), endpoint.id)
