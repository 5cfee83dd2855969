"""webhooks: the inbox and its dead letters."""

from collections.abc import Awaitable, Callable
from typing import Any

import click

from counterfoil.cli.running import as_json, in_house, operator, show, show_one
from counterfoil.domain.errors import NotFoundError
from counterfoil.services import inbox as service
from counterfoil.services import views
from counterfoil.services.context import Context
from counterfoil.store import inbox
from counterfoil.store.inbox import Letter

STATUSES = ("received", "processed", "parked", "dead", "ignored")


@click.group()
def webhooks() -> None:
    """Webhooks: list, show, replay, ignore."""


@webhooks.command(name="list")
@click.option("--status", type=click.Choice(STATUSES))
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@as_json
def listing(status: str | None, limit: int, as_json: bool) -> None:
    """The newest webhooks."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        async with ctx.db.reading() as conn:
            rows = await inbox.page(
                conn,
                ctx.merchant_id,
                ctx.mode,
                status=status,
                gateway=None,
                payment_id=None,
                limit=limit,
                before=None,
            )
        return [views.letter(row) for row in rows]

    columns = ("id", "gateway", "type", "status", "reason", "payment", "received_at")
    show(in_house(act), columns, json_wanted=as_json, empty="No webhooks yet.")


@webhooks.command(name="show")
@click.argument("webhook_id")
@as_json
def show_webhook(webhook_id: str, as_json: bool) -> None:
    """One webhook with its body as it came, client secrets hidden."""

    async def act(ctx: Context) -> dict[str, Any]:
        async with ctx.db.reading() as conn:
            try:
                row, body, headers = await inbox.get(conn, webhook_id, ctx.merchant_id, ctx.mode)
            except LookupError:
                raise NotFoundError("webhook", webhook_id) from None
        return views.letter(row) | {"headers": headers, "body": views.shown_body(body)}

    show_one(in_house(act), json_wanted=as_json)


@webhooks.command()
@click.argument("webhook_id")
@as_json
def replay(webhook_id: str, as_json: bool) -> None:
    """Have a webhook understood anew, by the worker."""
    show_one(_decide(webhook_id, service.replay), json_wanted=as_json)


@webhooks.command()
@click.argument("webhook_id")
@as_json
def ignore(webhook_id: str, as_json: bool) -> None:
    """Put a webhook aside for good."""
    show_one(_decide(webhook_id, service.ignore), json_wanted=as_json)


def _decide(
    webhook_id: str, verb: Callable[[Context, str, str, str, str], Awaitable[Letter]]
) -> dict[str, Any]:
    async def act(ctx: Context) -> dict[str, Any]:
        return views.letter(await verb(ctx, operator(ctx).actor, ctx.merchant_id, ctx.mode, webhook_id))

    return in_house(act)
