"""Receipts as people and their programs see them: found or issued, shown in a format, voided, verified."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import msgspec

from counterfoil.documents import receipt_csv, receipt_html, receipt_json, receipt_pdf, receipt_xlsx
from counterfoil.documents.receipt_signing import Signer
from counterfoil.domain import ids
from counterfoil.domain.errors import NotFoundError, WrongStateError
from counterfoil.domain.receipt import Kind, Receipt, Refunded
from counterfoil.domain.refund import State
from counterfoil.services import idempotency, issuing, records, signing, templates
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.services.idempotency import Hold
from counterfoil.services.payments import lock
from counterfoil.services.receipt_links import link
from counterfoil.services.signing import Compared
from counterfoil.store import payments, receipts, refunds
from counterfoil.store.database import Connection
from counterfoil.store.payments import Family
from counterfoil.store.receipts import Issued

# Every way to show a receipt, by name → media type; the first where nothing is asked for.
FORMATS: Final[Mapping[str, str]] = {
    "json": receipt_json.MEDIA_TYPE,
    "pdf": receipt_pdf.MEDIA_TYPE,
    "html": receipt_html.MEDIA_TYPE,
    "xlsx": receipt_xlsx.MEDIA_TYPE,
    "csv": receipt_csv.MEDIA_TYPE,
}
_DRAWN: Final[Mapping[str, Callable[[Receipt], bytes]]] = {
    "json": receipt_json.render,
    "html": lambda receipt: receipt_html.render(receipt).encode(),
    "xlsx": receipt_xlsx.render,
    "csv": receipt_csv.render,
}


def formats(ctx: Context) -> Mapping[str, str]:
    """The formats on offer: all of them, or PDF alone, by setting."""
    every = ctx.directory.document["receiptGeneration"]["multiFormatSupport"]
    return FORMATS if every else {"pdf": FORMATS["pdf"]}


async def render(ctx: Context, receipt: Receipt, chosen: str) -> bytes:
    """The receipt in a format: by the merchant's template, where it was issued with one that draws it.

    A PDF is signed where a key is set. Raises SigningAwayError where it is to be signed and cannot be.
    """
    signer = await signing.signer(ctx) if chosen == "pdf" else None
    own = await templates.rendered(ctx, receipt, chosen, signer)
    return own or await _built_in(ctx, receipt, chosen, signer)


async def _built_in(ctx: Context, receipt: Receipt, chosen: str, signer: Signer | None = None) -> bytes:
    """The receipt as it looks where there is no template. The PDF is drawn in a process of its own."""
    if chosen == "pdf":
        return await ctx.renderer.pdf(receipt, signer=signer)
    return await asyncio.to_thread(_DRAWN[chosen], receipt)


async def of_payment(ctx: Context, caller: Caller, payment_id: str) -> Receipt:
    """The payment's receipt, issued now where there is none, as of a payment that was brought along.

    Raises WrongStateError where no money was taken, NotFoundError where there is no such payment.
    """
    async with ctx.db.transaction() as conn:
        family = await lock(conn, caller, payment_id)
        issued = await issuing.for_payment(ctx, conn, family)
        if issued is None:
            state = family.payment.status.value
            raise WrongStateError(command="give a receipt for it", state=state, because="no money was taken")
        return shown(ctx, issued, family)


async def of_refund(ctx: Context, caller: Caller, refund_id: str) -> Receipt:
    """The receipt of a refund, issued now where there is none, as where the last one was voided.

    Raises WrongStateError where it has not arrived, NotFoundError where there is no such refund.
    """
    async with ctx.db.transaction() as conn:
        try:
            payment_id = await refunds.payment_of(conn, refund_id, caller.merchant_id, caller.mode)
        except LookupError:
            raise NotFoundError("refund", refund_id) from None
        family = await payments.lock(conn, payment_id)
        return shown(ctx, await issuing.for_refund(ctx, conn, family, refund_id), family)


async def get(ctx: Context, caller: Caller, receipt_id: str) -> Receipt:
    async with ctx.db.reading() as conn:
        issued = await _of(conn, caller, receipt_id)
        return shown(ctx, issued, await payments.get(conn, issued.payment_id))


async def page(
    ctx: Context,
    caller: Caller,
    *,
    issued_from: datetime | None,
    issued_to: datetime | None,
    limit: int,
    before: str | None,
) -> tuple[list[dict[str, Any]], str | None]:
    """Receipts, newest first, in short."""
    async with ctx.db.reading() as conn:
        found = await receipts.page(
            conn,
            caller.merchant_id,
            caller.mode,
            issued_from=issued_from,
            issued_to=issued_to,
            limit=limit + 1,
            before=before,
        )
    return [records.receipt(one) for one in found[:limit]], found[limit - 1].id if len(
        found
    ) > limit else None


async def void(
    ctx: Context, caller: Caller, receipt_id: str, reason: str, hold: Hold | None = None
) -> Receipt:
    """Void a receipt that was wrong. It keeps its number, and another is issued when one is next asked for.

    Its idempotency record commits with it, and DoneBeforeError says that it did before.
    """
    async with ctx.db.transaction() as conn:
        issued = await _of(conn, caller, receipt_id)
        await idempotency.take(ctx, conn, hold, receipt_id)
        family = await payments.lock(conn, issued.payment_id)
        if not await issuing.void(ctx, conn, family.payment, issued, reason, caller.actor):
            raise WrongStateError(command="void", state="void", because=issued.void_reason or "")
        return shown(ctx, await _of(conn, caller, receipt_id), family)


async def verified(ctx: Context, token: str) -> Receipt | None:
    """The receipt that a link or a QR code stands for; None where we never signed it.

    Nothing that is not signed reaches the database: anybody may send anything here.
    """
    receipt_id, _, mark = token.partition("~")
    if not ids.is_id("receipt", receipt_id) or not ctx.vault.link_holds(mark, receipt_id, ctx.now()):
        return None
    try:
        async with ctx.db.reading() as conn:
            issued = await receipts.get(conn, receipt_id)
            family = await payments.get(conn, issued.payment_id)
    except LookupError:
        return None
    return shown(ctx, issued, family)


async def compare(ctx: Context, receipt: Receipt, file: bytes) -> Compared:
    """Whether a PDF is this receipt, as it is now or as it was issued, and what its signature says.

    Identical receipts are identical bytes, before they are signed. Raises SigningAwayError.
    """
    issued = replace(receipt, refunds=(), voided=None)
    states = [receipt] if issued == receipt else [receipt, issued]
    ways = (templates.rendered, _built_in)
    drawn = [await draw(ctx, state, "pdf") for state in states for draw in ways]
    return await signing.compare(ctx, file, [one for one in drawn if one])


def shown(ctx: Context, issued: Issued, family: Family) -> Receipt:
    """The receipt as it was issued, with what has become of it since: voided, refunded."""
    receipt = msgspec.convert(issued.document, Receipt)
    return replace(
        receipt,
        refunds=_refunds(family) if receipt.kind is not Kind.REFUND else (),
        voided=issued.void_reason,
        verify_url=link(ctx, issued.id, issued.issued_at, at=receipt.verify_at),
    )


def _refunds(family: Family) -> tuple[Refunded, ...]:
    """What has gone back and stayed there."""
    return tuple(
        Refunded(refund.ended_at or refund.updated_at, refund.amount, refund.id)
        for refund in family.refunds
        if refund.state is State.SUCCEEDED
        and any(charge.id == refund.charge_id and not charge.surplus for charge in family.charges)
    )


async def _of(conn: Connection, caller: Caller, receipt_id: str) -> Issued:
    try:
        return await receipts.get(conn, receipt_id, caller.merchant_id, caller.mode)
    except LookupError:
        raise NotFoundError("receipt", receipt_id) from None
