"""refunds: ask, decide, send and follow from the command line."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from counterfoil.cli.reporting import report
from counterfoil.cli.running import as_json, in_house, operator, show, show_one
from counterfoil.documents import csv
from counterfoil.domain import ids
from counterfoil.domain.batch import Batch
from counterfoil.domain.errors import BatchFaultyError, InvalidRequestError, NotFoundError
from counterfoil.domain.money import Money
from counterfoil.domain.refund import Refund, State
from counterfoil.services import batches
from counterfoil.services import refunds as service
from counterfoil.services.context import Context
from counterfoil.services.idempotency import Replay
from counterfoil.services.payments import Caller
from counterfoil.services.refunds import Ask
from counterfoil.store.refunds import Filter

Act = Callable[[Context, Caller, str], Awaitable[Refund | Replay]]
COLUMNS = ("id", "status", "amount", "reason", "payment", "gateway", "requested_by", "requested_at")


@click.group()
def refunds() -> None:
    """Refunds: request, list, show, pending, approve, reject, cancel, send, retry, manual, bulk, batches, result, report."""


refunds.add_command(report)


@refunds.command()
@click.argument("payment_id")
@click.option("--amount", type=click.IntRange(min=1), help="Minor units; all that is left, where left out.")
@click.option("--reason", required=True, help="One of the reasons that the settings allow.")
@click.option("--note", help="Says more; some reasons need it.")
@click.option("--speed", type=click.Choice(["normal", "optimum"]), help="How fast Razorpay pays out.")
@as_json
def request(
    payment_id: str, amount: int | None, reason: str, note: str | None, speed: str | None, as_json: bool
) -> None:
    """Ask for money of a payment back."""
    if not ids.is_id("payment", payment_id):
        raise NotFoundError("payment", payment_id[:64])
    ask = Ask(amount=amount, reason=reason, note=note, speed=speed)

    async def act(ctx: Context, caller: Caller, _: str) -> Refund | Replay:
        return await service.request(ctx, caller, payment_id, ask, id_=ctx.new_id("refund"))

    _tell(act, "", as_json)


@refunds.command(name="list")
@click.option("--status", type=click.Choice([state.value for state in State]))
@click.option("--payment", help="Of this payment alone.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@as_json
def listing(status: str | None, payment: str | None, limit: int, as_json: bool) -> None:
    """The newest refunds."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        narrow = Filter(merchant_id=ctx.merchant_id, mode=ctx.mode, state=status, payment_id=payment)
        return (await service.page(ctx, narrow, limit=limit, before=None))[0]

    show(_readable(in_house(act), as_json), COLUMNS, json_wanted=as_json, empty="No refunds yet.")


@refunds.command()
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 200))
@as_json
def pending(limit: int, as_json: bool) -> None:
    """What waits for approval, the longest waiting first."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        return (await service.pending(ctx, operator(ctx), limit=limit, after=None))[0]

    rows = in_house(act)
    columns = ("id", "amount", "reason", "note", "rule", "payment", "requested_by", "waits")
    for row in rows:
        row["waits"] = _age(row["age_s"])
    show(_readable(rows, as_json), columns, json_wanted=as_json, empty="Nothing waits for approval.")


@refunds.command(name="show")
@click.argument("refund_id")
@as_json
def show_refund(refund_id: str, as_json: bool) -> None:
    """One refund, whole, with its approvals."""
    _tell(service.get, refund_id, as_json)


@refunds.command()
@click.argument("id_", metavar="REFUND_OR_BATCH")
@as_json
def approve(id_: str, as_json: bool) -> None:
    """Agree to exactly this refund, or to a whole batch; not for who asked for it."""
    if ids.is_id("batch", id_):
        _tell_batch(batches.approve, id_, as_json)
    else:
        _tell(service.approve, id_, as_json)


@refunds.command()
@click.argument("id_", metavar="REFUND_OR_BATCH")
@click.option("--reason", required=True, help="Why not: whoever asked reads it.")
@as_json
def reject(id_: str, reason: str, as_json: bool) -> None:
    """Say no, and why."""
    if ids.is_id("batch", id_):
        _tell_batch(lambda ctx, caller, batch: batches.reject(ctx, caller, batch, reason), id_, as_json)
    else:
        _tell(lambda ctx, caller, refund: service.reject(ctx, caller, refund, reason), id_, as_json)


@refunds.command()
@click.argument("id_", metavar="REFUND_OR_BATCH")
@click.option("--reason", help="Why it is withdrawn.")
@as_json
def cancel(id_: str, reason: str | None, as_json: bool) -> None:
    """Withdraw a refund that has not been sent, or a batch that has not been approved."""
    if ids.is_id("batch", id_):
        _tell_batch(lambda ctx, caller, batch: batches.cancel(ctx, caller, batch, reason), id_, as_json)
    else:
        _tell(lambda ctx, caller, refund: service.cancel(ctx, caller, refund, reason), id_, as_json)


@refunds.command()
@click.argument("refund_id")
@as_json
def send(refund_id: str, as_json: bool) -> None:
    """Send an approved refund now."""
    _tell(service.send, refund_id, as_json)


@refunds.command()
@click.argument("refund_id")
@as_json
def retry(refund_id: str, as_json: bool) -> None:
    """Ask again for a refund that has failed: a new one, decided anew."""

    async def act(ctx: Context, caller: Caller, id_: str) -> Refund | Replay:
        return await service.retry(ctx, caller, id_, id_=ctx.new_id("refund"))

    _tell(act, refund_id, as_json)


@refunds.command()
@click.argument("refund_id")
@click.option("--evidence", required=True, help="The bank transfer's reference.")
@as_json
def manual(refund_id: str, evidence: str, as_json: bool) -> None:
    """Record that a refund that has failed was paid back in another way."""

    async def act(ctx: Context, caller: Caller, id_: str) -> Refund | Replay:
        return await service.record_manual(ctx, caller, id_, evidence, id_=ctx.new_id("refund"))

    _tell(act, refund_id, as_json)


@refunds.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@as_json
def bulk(file: Path, as_json: bool) -> None:
    """Bring a CSV file of refunds (payment, amount, reason, note): checked whole, approved once, sent by the worker."""
    try:
        text = file.read_text("utf-8")
    except UnicodeDecodeError:
        raise InvalidRequestError(f"{file} is not UTF-8: save it as CSV UTF-8.") from None

    async def act(ctx: Context, caller: Caller, _: str) -> Batch | Replay:
        return await batches.upload(ctx, caller, file.name[:100], text, id_=ctx.new_id("batch"))

    try:
        _tell_batch(act, "", as_json)
    except BatchFaultyError as faulty:
        for fault in faulty.facts["rows"]:
            click.echo(f"line {fault['row']}: {fault['problem']}", err=True)
        raise


@refunds.command(name="batches")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@as_json
def list_batches(limit: int, as_json: bool) -> None:
    """The newest batches, and how far each has come."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        found, _ = await batches.page(ctx, operator(ctx), limit=limit, before=None)
        return [await batches.show(ctx, batch) for batch in found]

    columns = ("id", "status", "name", "rows", "totals", "progress", "requested_by", "requested_at")
    show(in_house(act), columns, json_wanted=as_json, empty="No batches yet.")


@refunds.command()
@click.argument("batch_id")
@click.option(
    "--out", type=click.Path(dir_okay=False, path_type=Path), help="Where to; the terminal, where left out."
)
def result(batch_id: str, out: Path | None) -> None:
    """Every row of a batch with what came of it, as CSV."""
    if not ids.is_id("batch", batch_id):
        raise NotFoundError("batch", batch_id[:64])

    async def act(ctx: Context) -> bytes:
        found = batches.result(ctx, operator(ctx), batch_id)
        rows = [csv.line([row[name] for name in batches.RESULT]) async for row in found]
        return b"".join([csv.line(batches.RESULT), *rows])

    table = in_house(act)
    if out is None:
        click.echo(table.decode(), nl=False)
    else:
        out.write_bytes(table)
        click.echo(f"{out} has what came of {batch_id}.")


def _tell_batch(
    act: Callable[[Context, Caller, str], Awaitable[Batch | Replay]], batch_id: str, json_wanted: bool
) -> None:
    async def carry_out(ctx: Context) -> dict[str, Any]:
        done = await act(ctx, operator(ctx), batch_id)
        return done.body if isinstance(done, Replay) else await batches.show(ctx, done)

    show_one(in_house(carry_out), json_wanted=json_wanted)


def _tell(act: Act, refund_id: str, json_wanted: bool) -> None:
    """Carry out an action as the operator of this machine, and show the refund it is about."""
    if refund_id and not ids.is_id("refund", refund_id):
        raise NotFoundError("refund", refund_id[:64])

    async def carry_out(ctx: Context) -> dict[str, Any]:
        done = await act(ctx, operator(ctx), refund_id)
        if isinstance(done, Replay):
            return done.body
        return (await service.show(ctx, [done]))[0]

    show_one(in_house(carry_out), json_wanted=json_wanted)


def _readable(rows: list[dict[str, Any]], json_wanted: bool) -> list[dict[str, Any]]:
    """Amounts as people write them, unless it is for a program."""
    if json_wanted:
        return rows
    return [row | {"amount": str(Money(row["amount"], row["currency"]))} for row in rows]


def _age(seconds: int) -> str:
    age = timedelta(seconds=seconds)
    if age < timedelta(hours=1):
        return f"{age // timedelta(minutes=1)} min"
    return f"{age // timedelta(hours=1)} h" if age < timedelta(days=2) else f"{age.days} days"
