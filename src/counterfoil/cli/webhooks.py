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
from counterfoil.store.inbox import Filter, Letter

GATEWAYS = ("stripe", "razorpay")
STATUSES = ("received", "processed", "parked", "dead", "ignored")


@click.group()
def webhooks() -> None:
    """Webhooks: list, show, replay, ignore."""


def narrowing(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options by which a list is narrowed."""
    for option in (
        click.option("--payment", "payment_id", help="The payment they are about."),
        click.option("--type", "type_", help="The gateway's name of the event, whole."),
        click.option("--gateway", type=click.Choice(GATEWAYS)),
        click.option("--status", type=click.Choice(STATUSES)),
    ):
        command = option(command)
    return command


def _filter(
    ctx: Context, status: str | None, gateway: str | None, type_: str | None, payment_id: str | None
) -> Filter:
    return Filter(
        merchant_id=ctx.merchant_id,
        mode=ctx.mode,
        status=status,
        gateway=gateway,
        type=type_,
        payment_id=payment_id,
    )


@webhooks.command(name="list")
@narrowing
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@as_json
def listing(limit: int, as_json: bool, **narrow: str | None) -> None:
    """The newest webhooks."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        async with ctx.db.reading() as conn:
            rows = await inbox.page(conn, _filter(ctx, **narrow), limit=limit, before=None)
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
@click.argument("webhook_id", required=False)
@narrowing
@click.option("--limit", default=200, show_default=True, type=click.IntRange(1, service.REPLAYED_AT_ONCE))
@as_json
def replay(webhook_id: str | None, limit: int, as_json: bool, **narrow: str | None) -> None:
    """Have a webhook understood anew, by the worker; or, without an id, the oldest of a --status.

    counterfoil webhooks replay --status dead --gateway stripe
    """
    if webhook_id is not None:
        if any(narrow.values()):
            raise click.UsageError("Name one webhook, or say which by options; not both.")
        show_one(_decide(webhook_id, service.replay), json_wanted=as_json)
        return
    if narrow["status"] is None:
        raise click.UsageError("Name a webhook, or say which by --status.")

    async def act(ctx: Context) -> list[dict[str, Any]]:
        replayed = await service.replay_many(ctx, operator(ctx).actor, _filter(ctx, **narrow), limit=limit)
        return [{"id": id_} for id_ in replayed]

    show(in_house(act), ("id",), json_wanted=as_json, empty="No such webhooks.")


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
