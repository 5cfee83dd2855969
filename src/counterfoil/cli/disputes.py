"""disputes: what customers' banks ask back, and our answers."""

from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path
from typing import Any

import click

from counterfoil.cli.running import as_json, in_house, operator, show, show_one
from counterfoil.domain import ids
from counterfoil.domain.dispute import TEXTS, DisputeState
from counterfoil.domain.errors import InvalidRequestError, NotFoundError
from counterfoil.domain.money import Money
from counterfoil.services import disputes as service
from counterfoil.services import records, views
from counterfoil.services.context import Context
from counterfoil.store.disputes import Filter


@click.group()
def disputes() -> None:
    """Disputes: list, show, evidence, submit, accept."""


@disputes.command(name="list")
@click.option("--status", "--state", "state", type=click.Choice([state.value for state in DisputeState]))
@click.option("--gateway", type=click.Choice(("stripe", "razorpay")))
@click.option(
    "--due-before",
    help="Only what waits for an answer, with a deadline before this; RFC 3339, UTC without offset.",
)
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@as_json
def listing(
    state: str | None, gateway: str | None, due_before: str | None, limit: int, as_json: bool
) -> None:
    """The newest disputes."""
    moment = _moment(due_before) if due_before else None

    async def act(ctx: Context) -> list[dict[str, Any]]:
        narrow = Filter(
            merchant_id=ctx.merchant_id, mode=ctx.mode, state=state, gateway=gateway, due_before=moment
        )
        found, _ = await service.page(ctx, narrow, limit=limit, before=None)
        return [records.dispute(one) for one in found]

    rows = in_house(act)
    if not as_json:
        rows = [row | {"amount": str(Money(row["amount"], row["currency"]))} for row in rows]
    columns = (
        "id",
        "status",
        "amount",
        "gateway",
        "reason",
        "respond_by",
        "waits_for_answer",
        "answer",
        "payment",
    )
    show(rows, columns, json_wanted=as_json, empty="No disputes.")


def _moment(text: str) -> datetime:
    try:
        return views.in_utc(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        raise InvalidRequestError(f"{text} is no time as 2026-11-22T12:00:00Z.", field="due_before") from None


@disputes.command(name="show")
@click.argument("dispute_id")
@as_json
def show_dispute(dispute_id: str, as_json: bool) -> None:
    """One dispute, whole."""

    async def act(ctx: Context) -> dict[str, Any]:
        return records.dispute(await service.get(ctx, operator(ctx), _known(dispute_id)))

    show_one(in_house(act), json_wanted=as_json)


@disputes.command()
@click.argument("dispute_id")
@click.option("--summary", help="What the bank reads first.")
@click.option(
    "--text",
    "texts",
    multiple=True,
    metavar="NAME=TEXT",
    help=f"One of {', '.join(TEXTS)}; @FILE for the text reads a file; an empty text goes.",
)
@click.option("--amount", type=click.IntRange(min=1), help="The part that is contested, in minor units.")
@as_json
def evidence(
    dispute_id: str, summary: str | None, texts: tuple[str, ...], amount: int | None, as_json: bool
) -> None:
    """Show the evidence: as it was sent, the draft, or what our records say. With options, change the draft first."""
    changes = _changes(summary, texts, amount)

    async def act(ctx: Context) -> dict[str, Any]:
        if changes:
            return await service.edit(ctx, operator(ctx), _known(dispute_id), changes)
        return await service.evidence(ctx, operator(ctx), _known(dispute_id))

    found = in_house(act)
    if as_json:
        show_one(found, json_wanted=True)
        return
    show_one({name: value for name, value in found.items() if name != "texts"}, json_wanted=False)
    for name, text in found["texts"].items():
        click.echo(f"\n{name.replace('_', ' ')}\n{text}")


def _changes(summary: str | None, texts: tuple[str, ...], amount: int | None) -> dict[str, Any]:
    changes: dict[str, Any] = {}
    if summary is not None:
        changes["summary"] = summary
    if texts:
        changes["texts"] = dict(_named(text) for text in texts)
    if amount is not None:
        changes["amount"] = amount
    return changes


def _named(option: str) -> tuple[str, str]:
    name, equals, text = option.partition("=")
    if not equals or name not in TEXTS:
        raise InvalidRequestError(f"{name} is no text of evidence: {', '.join(TEXTS)}.", field="texts")
    return name, Path(text[1:]).read_text() if text.startswith("@") else text


@disputes.command()
@click.argument("dispute_id")
@as_json
def submit(dispute_id: str, as_json: bool) -> None:
    """Send the evidence to the bank: once, and for good."""
    show_one(_answer(dispute_id, service.submit), json_wanted=as_json)


@disputes.command()
@click.argument("dispute_id")
@click.option("--yes", is_flag=True, help="The money is given up for good: do not ask again.")
@as_json
def accept(dispute_id: str, yes: bool, as_json: bool) -> None:
    """Give the dispute up, for good: the money is lost."""
    if not yes:
        click.confirm(f"Give {dispute_id} up? The money is lost for good.", abort=True, err=True)
    show_one(_answer(dispute_id, service.accept), json_wanted=as_json)


def _answer(dispute_id: str, verb: Callable[..., Awaitable[Any]]) -> dict[str, Any]:
    async def act(ctx: Context) -> dict[str, Any]:
        return records.dispute(await verb(ctx, operator(ctx), _known(dispute_id)))

    return in_house(act)


def _known(dispute_id: str) -> str:
    if not ids.is_id("dispute", dispute_id):
        raise NotFoundError("dispute", dispute_id)
    return dispute_id
