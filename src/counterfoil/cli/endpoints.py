"""endpoints: where the merchant's own backend hears of events."""

from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from typing import Any

import click

from counterfoil.cli.running import as_json, in_house, operator, show, show_one
from counterfoil.domain.endpoint import OVERLAP, OVERLAP_MOST
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.event import is_filter
from counterfoil.services import endpoints as service
from counterfoil.services import views
from counterfoil.services.context import Context
from counterfoil.services.endpoints import NewEndpoint

HOUR = timedelta(hours=1)
types = click.option(
    "--type", "types", multiple=True, help="An event type, or payment.* for a noun; all, where left out."
)


@click.group()
def endpoints() -> None:
    """Endpoints: create, list, show, update, delete, rotate, test, deliveries, delivery, replay."""


@endpoints.command()
@click.argument("url")
@click.option("--description", default="", help="Whose or what for: a person will read it later.")
@types
@as_json
def create(url: str, description: str, types: tuple[str, ...], as_json: bool) -> None:
    """Make an endpoint. Its secret is printed once."""
    new = NewEndpoint(url=url, description=description, types=_checked(types))

    async def act(ctx: Context) -> dict[str, Any]:
        endpoint, secret = await service.create(ctx, operator(ctx), new)
        return views.endpoint(endpoint) | {"secret": secret}

    show_one(in_house(act), json_wanted=as_json)


def _checked(types: tuple[str, ...]) -> tuple[str, ...]:
    if wrong := [text for text in types if not is_filter(text)]:
        raise InvalidRequestError(f"{', '.join(wrong)}: no such event type.", field="types")
    return types


@endpoints.command(name="list")
@as_json
def listing(as_json: bool) -> None:
    """All endpoints."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        return [views.endpoint(row) for row in await service.listing(ctx, operator(ctx))]

    columns = ("id", "url", "description", "types", "enabled", "disabled_because", "failing_since")
    show(in_house(act), columns, json_wanted=as_json, empty="No endpoints yet: counterfoil endpoints create.")


@endpoints.command(name="show")
@click.argument("endpoint_id")
@as_json
def show_endpoint(endpoint_id: str, as_json: bool) -> None:
    """One endpoint."""

    async def act(ctx: Context) -> dict[str, Any]:
        return views.endpoint(await service.get(ctx, operator(ctx), endpoint_id))

    show_one(in_house(act), json_wanted=as_json)


@endpoints.command()
@click.argument("endpoint_id")
@click.option("--url")
@click.option("--description")
@click.option("--enable/--disable", "enabled", default=None)
@click.option("--all-types", is_flag=True, help="Have it hear of everything.")
@types
@as_json
def update(endpoint_id: str, types: tuple[str, ...], all_types: bool, as_json: bool, **given: Any) -> None:
    """Change an endpoint. What is not named stays."""
    changes = {name: value for name, value in given.items() if value is not None}
    if types or all_types:
        changes["types"] = [] if all_types else _checked(types)

    async def act(ctx: Context) -> dict[str, Any]:
        return views.endpoint(await service.update(ctx, operator(ctx), endpoint_id, changes))

    show_one(in_house(act), json_wanted=as_json)


@endpoints.command()
@click.argument("endpoint_id")
def delete(endpoint_id: str) -> None:
    """Send nothing more to an endpoint."""

    async def act(ctx: Context) -> None:
        await service.delete(ctx, operator(ctx), endpoint_id)

    in_house(act)
    click.echo(f"{endpoint_id} is deleted.")


@endpoints.command()
@click.argument("endpoint_id")
@click.option(
    "--overlap-hours",
    default=OVERLAP // HOUR,
    show_default=True,
    type=click.IntRange(0, OVERLAP_MOST // HOUR),
    help="How long the old secret signs too.",
)
@as_json
def rotate(endpoint_id: str, overlap_hours: int, as_json: bool) -> None:
    """Make a new secret. It is printed once."""

    async def act(ctx: Context) -> dict[str, Any]:
        endpoint, secret = await service.rotate(ctx, operator(ctx), endpoint_id, overlap_hours * HOUR)
        return views.endpoint(endpoint) | {"secret": secret}

    show_one(in_house(act), json_wanted=as_json)


@endpoints.command(name="test")
@click.argument("endpoint_id")
@as_json
def try_out(endpoint_id: str, as_json: bool) -> None:
    """Send an endpoint.test now, once, and say what was answered."""

    async def act(ctx: Context) -> dict[str, Any]:
        id_, reply = await service.try_out(ctx, operator(ctx), endpoint_id)
        return views.tried(id_, reply)

    show_one(in_house(act), json_wanted=as_json)


@endpoints.command()
@click.argument("endpoint_id")
@click.option("--status", type=click.Choice(("pending", "delivered", "failed")))
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@as_json
def deliveries(endpoint_id: str, status: str | None, limit: int, as_json: bool) -> None:
    """What an endpoint was sent, newest first."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        rows, _ = await service.sent(ctx, operator(ctx), endpoint_id, status=status, limit=limit, before=None)
        return [views.delivery(row) for row in rows]

    columns = ("event", "type", "about", "version", "status", "tries", "next_try_at", "ended_at")
    show(in_house(act), columns, json_wanted=as_json, empty="Nothing was sent to it yet.")


@endpoints.command()
@click.argument("endpoint_id")
@click.argument("event_id")
@as_json
def delivery(endpoint_id: str, event_id: str, as_json: bool) -> None:
    """One delivery with all its tries."""

    async def act(ctx: Context) -> dict[str, Any]:
        row, tries = await service.delivery(ctx, operator(ctx), endpoint_id, event_id)
        return views.delivery(row) | {"log": [views.attempted(one) for one in tries]}

    show_one(in_house(act), json_wanted=as_json)


@endpoints.command()
@click.argument("endpoint_id")
@click.argument("event_id", required=False)
@click.option(
    "--since", help="All that it wanted since then and did not get; RFC 3339, UTC without an offset."
)
@as_json
def replay(endpoint_id: str, event_id: str | None, since: str | None, as_json: bool) -> None:
    """Send one event again, or all that an endpoint did not get since a time."""
    if (event_id is None) == (since is None):
        raise InvalidRequestError("Name an event, or --since a time.")
    show_one(in_house(_replaying(endpoint_id, event_id, since)), json_wanted=as_json)


def _replaying(
    endpoint_id: str, event_id: str | None, since: str | None
) -> Callable[[Context], Awaitable[dict[str, Any]]]:
    moment = _moment(since) if since else None

    async def act(ctx: Context) -> dict[str, Any]:
        if moment is not None:
            return {"replayed": await service.replay_since(ctx, operator(ctx), endpoint_id, moment)}
        return views.delivery(await service.replay(ctx, operator(ctx), endpoint_id, event_id or ""))

    return act


def _moment(text: str) -> datetime:
    try:
        return views.in_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise InvalidRequestError(f"{text} is no time as 2026-11-22T12:00:00Z.", field="since") from None
