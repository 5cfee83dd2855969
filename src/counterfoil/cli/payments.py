"""payments: read, sync, capture and cancel from the command line."""

import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import click

from counterfoil.cli.importing import bring
from counterfoil.cli.running import as_json, in_house, operator, show, show_one
from counterfoil.domain import ids
from counterfoil.domain.errors import NotFoundError
from counterfoil.domain.money import Money, owed
from counterfoil.domain.payment import Status
from counterfoil.domain.routing_policy import Question
from counterfoil.services import choosing, views
from counterfoil.services import payments as service
from counterfoil.services.context import Context
from counterfoil.services.payments import Answer, Caller
from counterfoil.store import timeline as stored
from counterfoil.store.payments import Filter


@click.group()
def payments() -> None:
    """Payments: list, show, timeline, route, change, sync, capture, cancel, import."""


payments.add_command(bring)


@payments.command(name="list")
@click.option("--status", type=click.Choice([status.value for status in Status]))
@click.option("--reference", help="Your own id of what is paid.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@as_json
def listing(status: str | None, reference: str | None, limit: int, as_json: bool) -> None:
    """The newest payments."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        narrow = Filter(merchant_id=ctx.merchant_id, mode=ctx.mode, status=status, reference=reference)
        found, _ = await service.page(ctx, narrow, limit=limit, before=None)
        return [views.payment(ctx, family) for family in found]

    rows = in_house(act)
    if not as_json:
        rows = [row | {"amount": str(Money(row["amount"], row["currency"]))} for row in rows]
    columns = ("id", "status", "amount", "gateway", "reference", "created_at")
    show(rows, columns, json_wanted=as_json, empty="No payments yet.")


@payments.command(name="show")
@click.argument("payment_id")
@as_json
def show_payment(payment_id: str, as_json: bool) -> None:
    """One payment, whole."""
    payment = _on(payment_id, _read)
    if as_json:
        show_one(payment, json_wanted=True)
        return
    show_one({name: value for name, value in payment.items() if name not in TABLES}, json_wanted=False)
    payment |= {"attempts": [_attempt(one) for one in payment["attempts"]]}
    for name, columns in TABLES.items():
        rows = [
            row | {"amount": str(Money(row["amount"], row["currency"]))} if "currency" in row else row
            for row in payment[name]
        ]
        if rows or name == "attempts":
            click.echo(f"\n{name}")
            show(rows, columns, json_wanted=False, empty="None yet.")


# What of a payment is many things, and what is shown of each.
TABLES: Final[Mapping[str, tuple[str, ...]]] = {
    "attempts": ("number", "gateway", "status", "gateway_reference", "charges", "failure", "created_at"),
    "surplus": ("gateway_reference", "status", "amount", "amount_refunded"),
    "refunds": ("id", "amount", "status", "stage", "reason", "requested_at"),
    "disputes": ("id", "amount", "status", "reason", "respond_by"),
}


def _attempt(attempt: dict[str, Any]) -> dict[str, Any]:
    """An attempt as a line of a table: its charges and its failure in a word or two each."""
    charges = [f"{one['gateway_reference']} {one['status']}" for one in attempt["charges"]]
    failure = attempt["failure"]["code"] if attempt["failure"] else ""
    return attempt | {"charges": ", ".join(charges), "failure": failure}


@payments.command()
@click.option("--amount", required=True, type=click.IntRange(min=1), help="Minor units of the currency.")
@click.option("--currency", required=True, help="ISO 4217.")
@click.option("--method", help="What the payer would use: card, upi …")
@click.option("--country", help="The payer's, ISO 3166-1 alpha-2.")
@click.option("--gateway", help="As if the caller had named it.")
@as_json
def route(
    amount: int, currency: str, method: str | None, country: str | None, gateway: str | None, as_json: bool
) -> None:
    """Which gateway a payment would go to, and why, without paying."""

    async def act(ctx: Context) -> dict[str, Any]:
        question = Question(owed(amount, currency), method, country)
        return views.routing_answer(choosing.explain(ctx, question, ctx.mode, named=gateway))

    answer = in_house(act)
    if as_json:
        show_one(answer, json_wanted=True)
        return
    rows = [
        {
            "gateway": one["gateway"],
            "place": one["place"] or "-",
            "why": one["obstacle"] or one["reason"],
            "health": one["health"]["because"] if one["health"] else "well",
        }
        for one in answer["gateways"]
    ]
    show(rows, ("gateway", "place", "why", "health"), json_wanted=False, empty="No gateway is configured.")


@payments.command()
@click.argument("payment_id")
@click.option("--gateway", help="The best other one, where left out.")
@as_json
def change(payment_id: str, gateway: str | None, as_json: bool) -> None:
    """Open a further attempt at another gateway; every earlier one is fenced first."""

    async def act(ctx: Context, caller: Caller, id_: str) -> Answer:
        return await service.change_gateway(ctx, caller, id_, gateway)

    show_one(_on(payment_id, act), json_wanted=as_json)


@payments.command()
@click.argument("payment_id")
@as_json
def timeline(payment_id: str, as_json: bool) -> None:
    """All that was decided, asked, said and posted, in the order in which we knew it."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        await service.get(ctx, operator(ctx), _known(payment_id))
        async with ctx.db.reading() as conn:
            return [views.moment(line) for line in await stored.of_payment(conn, payment_id)]

    moments = in_house(act)
    if not as_json:
        moments = [moment | {"detail": _told(moment["detail"])} for moment in moments]
    show(
        moments,
        ("at", "kind", "what", "detail"),
        json_wanted=as_json,
        empty="Nothing has happened yet.",
    )


@payments.command()
@click.argument("payment_id")
@as_json
def sync(payment_id: str, as_json: bool) -> None:
    """Ask the gateways how the payment stands."""
    show_one(_on(payment_id, service.sync), json_wanted=as_json)


@payments.command()
@click.argument("payment_id")
@click.option(
    "--amount", type=click.IntRange(min=1), help="Minor units; all that is authorised, where left out."
)
@as_json
def capture(payment_id: str, amount: int | None, as_json: bool) -> None:
    """Take authorised money."""

    async def act(ctx: Context, caller: Caller, id_: str) -> Answer:
        return await service.capture(ctx, caller, id_, amount)

    show_one(_on(payment_id, act), json_wanted=as_json)


@payments.command()
@click.argument("payment_id")
@as_json
def cancel(payment_id: str, as_json: bool) -> None:
    """End a payment before money is taken."""
    show_one(_on(payment_id, service.cancel), json_wanted=as_json)


def _told(detail: dict[str, Any]) -> str:
    """A moment's detail on one line."""
    return " · ".join(
        f"{name} {json.dumps(value) if isinstance(value, dict | list) else value}"
        for name, value in detail.items()
        if value is not None
    )


async def _read(ctx: Context, caller: Caller, payment_id: str) -> Answer:
    return Answer(await service.get(ctx, caller, payment_id))


def _on(payment_id: str, verb: Callable[[Context, Caller, str], Awaitable[Answer]]) -> dict[str, Any]:
    """Carry out a verb on a payment and see what it is now."""

    async def act(ctx: Context) -> dict[str, Any]:
        answer = await verb(ctx, operator(ctx), _known(payment_id))
        return views.payment(ctx, answer.family, answer.outcome)

    return in_house(act)


def _known(payment_id: str) -> str:
    if not ids.is_id("payment", payment_id):
        raise NotFoundError("payment", payment_id)
    return payment_id
