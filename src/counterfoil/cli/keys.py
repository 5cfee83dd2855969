"""keys: API keys."""

import click

from counterfoil.cli.running import as_json, in_house, operator, show
from counterfoil.domain.errors import NotFoundError
from counterfoil.domain.operator import Role
from counterfoil.services import keys as service
from counterfoil.services import views
from counterfoil.services.context import Context


@click.group()
def keys() -> None:
    """API keys: made, listed, revoked."""


@keys.command()
@click.option("--name", required=True, help="Whose or what for: a person will read it later.")
@click.option(
    "--role", required=True, type=click.Choice([role.value for role in Role]), help="What it may do."
)
@click.option("--mode", type=click.Choice(["sandbox", "live"]), help="The configured mode, where left out.")
@click.option(
    "--person",
    help="Who uses it, where they have other keys: nobody approves with one what they asked with another.",
)
def create(name: str, role: str, mode: str | None, person: str | None) -> None:
    """Make a key. It is printed alone on the last line, once."""

    async def act(ctx: Context) -> tuple[str, str]:
        key, text = await service.create(
            ctx, name=name, role=Role(role), actor=operator(ctx).actor, mode=mode, person=person
        )
        return f"{key.id}  {key.role}  {key.mode}  {key.name}", text

    described, text = in_house(act)
    click.echo(f"{described}\nKeep it now: only its digest is stored.")
    click.echo(text)


@keys.command(name="list")
@as_json
def listing(as_json: bool) -> None:
    """All keys, revoked ones included."""

    async def act(ctx: Context) -> list[dict[str, object]]:
        return [views.api_key(key) for key in await service.listing(ctx)]

    columns = ("id", "name", "role", "person", "mode", "last4", "created_at", "revoked_at")
    show(in_house(act), columns, json_wanted=as_json, empty="No keys yet: counterfoil keys create makes one.")


@keys.command()
@click.argument("key_id")
def revoke(key_id: str) -> None:
    """End a key, at once and for good."""

    async def act(ctx: Context) -> bool:
        return await service.revoke(ctx, key_id, operator(ctx).actor)

    if not in_house(act):
        raise NotFoundError("live key", key_id)
    click.echo(f"{key_id} is revoked.")
