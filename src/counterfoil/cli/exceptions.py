"""exceptions: what waits for a person."""

from typing import Any

import click

from counterfoil.cli.running import as_json, in_house, operator, show, show_one
from counterfoil.domain import ids
from counterfoil.domain.errors import NotFoundError
from counterfoil.services import exceptions as service
from counterfoil.services.context import Context


@click.group()
def exceptions() -> None:
    """Exceptions: what waits for a person: list, resolve."""


@exceptions.command(name="list")
@click.option("--all", "settled", is_flag=True, help="The settled too.")
@click.option("--kind", help="Of one kind, as refund_failed.")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 200))
@as_json
def listing(settled: bool, kind: str | None, limit: int, as_json: bool) -> None:
    """What is open, the longest waiting first."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        found, _ = await service.page(ctx, operator(ctx), settled=settled, kind=kind, limit=limit, after=None)
        return found

    columns = (
        "id",
        "opened_at",
        "kind",
        "sentence",
        *(("resolved_at", "resolved_by", "note") if settled else ()),
    )
    show(in_house(act), columns, json_wanted=as_json, empty="Nothing waits for a person.")


@exceptions.command()
@click.argument("exception_id")
@click.option("--note", required=True, help="What was done.")
@as_json
def resolve(exception_id: str, note: str, as_json: bool) -> None:
    """Say that one is settled, and how."""
    if not ids.is_id("exception", exception_id):
        raise NotFoundError("exception", exception_id[:64])

    async def act(ctx: Context) -> dict[str, Any]:
        return await service.resolve(ctx, operator(ctx), exception_id, note)

    show_one(in_house(act), json_wanted=as_json)
