"""receipts: render, preview, list, deliver, export, void and verify from the command line."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import click

from counterfoil.cli.receipt_exports import export, exports, writing
from counterfoil.cli.running import as_json, in_house, operator, show, show_one
from counterfoil.cli.signing import signing
from counterfoil.cli.templates import preview, templates
from counterfoil.documents import receipt_json
from counterfoil.domain import ids
from counterfoil.domain.errors import InvalidRequestError, NotFoundError
from counterfoil.domain.money import Money
from counterfoil.domain.receipt import Receipt
from counterfoil.services import receipt_delivery
from counterfoil.services import receipts as service
from counterfoil.services.context import Context
from counterfoil.services.idempotency import Replay
from counterfoil.services.receipt_delivery import CHANNELS, Ask

FORMATS = tuple(service.FORMATS)


@click.group()
def receipts() -> None:
    """Receipts: render, preview, list, show, deliver, deliveries, export, exports, void, verify, signing, templates."""


receipts.add_command(export)
receipts.add_command(exports)
receipts.add_command(templates)
receipts.add_command(preview)
receipts.add_command(signing)


@receipts.command()
@click.argument("id_", metavar="PAYMENT_REFUND_OR_RECEIPT")
@click.option("--format", "chosen", type=click.Choice(FORMATS), default="pdf", show_default=True)
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path), help="By its number, where left out.")
def render(id_: str, chosen: str, out: Path | None) -> None:
    """Write a receipt to a file; of a payment or a refund that has none it is issued."""

    async def act(ctx: Context) -> tuple[str, bytes]:
        receipt = await _of(ctx, id_)
        return receipt.number, await service.render(ctx, receipt, chosen)

    number, content = in_house(act)
    path = out or Path(f"{number}.{chosen}")
    with writing(path):
        path.write_bytes(content)
    click.echo(f"{path}: {number}, {len(content)} bytes.")


@receipts.command(name="show")
@click.argument("id_", metavar="PAYMENT_REFUND_OR_RECEIPT")
@as_json
def show_receipt(id_: str, as_json: bool) -> None:
    """One receipt, whole."""

    async def act(ctx: Context) -> dict[str, Any]:
        return receipt_json.document(await _of(ctx, id_))

    show_one(in_house(act), json_wanted=as_json)


@receipts.command(name="list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@as_json
def listing(limit: int, as_json: bool) -> None:
    """The newest receipts."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        found, _ = await service.page(
            ctx, operator(ctx), issued_from=None, issued_to=None, limit=limit, before=None
        )
        return found

    rows = in_house(act)
    if not as_json:
        rows = [row | {"amount": str(Money(row["total"], row["currency"]))} for row in rows]
    columns = ("number", "kind", "amount", "payment", "issued_at", "void_reason", "id")
    show(rows, columns, json_wanted=as_json, empty="No receipts yet.")


@receipts.command()
@click.argument("receipt_id")
@click.option("--reason", required=True, help="What was wrong with it.")
@as_json
def void(receipt_id: str, reason: str, as_json: bool) -> None:
    """Void a receipt: it keeps its number."""
    if not ids.is_id("receipt", receipt_id):
        raise NotFoundError("receipt", receipt_id[:64])

    async def act(ctx: Context) -> dict[str, Any]:
        return receipt_json.document(await service.void(ctx, operator(ctx), receipt_id, reason))

    show_one(in_house(act), json_wanted=as_json)


@receipts.command()
@click.argument("payment_id")
@click.option("--channel", "channels", multiple=True, type=click.Choice([*CHANNELS]), default=["email"])
@click.option("--email", help="Where to, if not to the customer's own address.")
@click.option("--phone", help="With its country, as +919876543210, if not the customer's own.")
@click.option("--receipt", "receipt_id", help="Another of the payment's, as that of a refund.")
@click.option("--refund", "refund_id", help="That of this refund, issued now where there is none.")
@as_json
def deliver(
    payment_id: str,
    channels: tuple[str, ...],
    email: str | None,
    phone: str | None,
    receipt_id: str | None,
    refund_id: str | None,
    as_json: bool,
) -> None:
    """Send the receipt of a payment or of a refund of it: a new delivery each time, which the running service carries out."""
    if not ids.is_id("payment", payment_id):
        raise NotFoundError("payment", payment_id[:64])
    if receipt_id is not None and not ids.is_id("receipt", receipt_id):
        raise NotFoundError("receipt", receipt_id[:64])
    if refund_id is not None and not ids.is_id("refund", refund_id):
        raise NotFoundError("refund", refund_id[:64])
    ask = Ask(channels=channels, email=email, phone=phone, receipt_id=receipt_id, refund_id=refund_id)

    async def act(ctx: Context) -> list[dict[str, Any]]:
        made = await receipt_delivery.deliver(ctx, operator(ctx), payment_id, ask)
        return [] if isinstance(made, Replay) else made

    columns = ("id", "channel", "recipient", "outcome")
    show(in_house(act), columns, json_wanted=as_json, empty="Nothing was sent.")


@receipts.command()
@click.argument("receipt_id")
@as_json
def deliveries(receipt_id: str, as_json: bool) -> None:
    """What was sent of a receipt, to whom, and what came of it."""
    if not ids.is_id("receipt", receipt_id):
        raise NotFoundError("receipt", receipt_id[:64])

    async def act(ctx: Context) -> list[dict[str, Any]]:
        return await receipt_delivery.deliveries(ctx, operator(ctx), receipt_id)

    columns = ("created_at", "channel", "recipient", "outcome", "tries", "error", "asked_by")
    show(in_house(act), columns, json_wanted=as_json, empty="Nothing was sent.")


@receipts.command()
@click.argument("link")
@click.option(
    "--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A PDF to compare with it."
)
@as_json
def verify(link: str, file: Path | None, as_json: bool) -> None:
    """Whether we issued the receipt behind a link or its code, whether a PDF is that receipt, and what its signature says."""
    token, sent = _token(link), file.read_bytes() if file else None

    async def act(ctx: Context) -> dict[str, Any]:
        receipt = await service.verified(ctx, token)
        if receipt is None:
            raise InvalidRequestError("This link stands for no receipt of ours.")
        found = await service.compare(ctx, receipt, sent) if sent is not None else None
        return {
            "number": receipt.number,
            "id": receipt.id,
            "issued": True,
            "voided": receipt.voided,
            "same": found and found.same,
            "signature": found and found.signature,
        }

    show_one(in_house(act), json_wanted=as_json)


def _token(link: str) -> str:
    """What a link ends with; what is no link is taken for the token itself."""
    try:
        return urlsplit(link).path.rpartition("/")[2] or link
    except ValueError:
        return link


async def _of(ctx: Context, id_: str) -> Receipt:
    finders: dict[str, Callable[..., Awaitable[Receipt]]] = {
        "payment": service.of_payment,
        "refund": service.of_refund,
        "receipt": service.get,
    }
    for noun, find in finders.items():
        if ids.is_id(noun, id_):
            return await find(ctx, operator(ctx), id_)
    raise NotFoundError("payment, refund or receipt", id_[:64])
