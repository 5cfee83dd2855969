"""A receipt as a template draws it, before anybody relies on it."""

from collections.abc import Mapping
from dataclasses import dataclass

from counterfoil.domain import receipt_sample
from counterfoil.domain.errors import InvalidRequestError, NotFoundError
from counterfoil.domain.receipt import Kind, Receipt
from counterfoil.services import issuing, receipts, templates
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.store import receipts as stored


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Which template (a version of it, or files that are not kept), and which receipt (one that was issued, or made up)."""

    name: str
    version: int | None = None
    files: Mapping[str, bytes] | None = None
    format: str = "pdf"
    receipt_id: str | None = None
    payment_id: str | None = None
    kind: Kind = Kind.PAYMENT
    language: str = "en-IN"


async def preview(ctx: Context, caller: Caller, ask: Ask) -> bytes:
    """The document. Raises InvalidRequestError with the line and the reason where the template cannot draw it, and
    DocumentsAwayError where that cannot be tried now.
    """
    if ask.files is None:
        _, files = await templates.files(ctx, caller, ask.name, ask.version)
    else:
        files = dict(ask.files)
    parts = await templates.look_through(files)
    drawn = await templates.draw(ctx, parts, await _receipt(ctx, caller, ask), ask.format)
    if drawn is None:
        wanted = templates.MAINS[ask.format]
        raise InvalidRequestError(
            f"This template has no {wanted}: {ask.format} is drawn by the built-in look.", field="format"
        )
    return drawn


async def _receipt(ctx: Context, caller: Caller, ask: Ask) -> Receipt:
    if ask.receipt_id:
        return await receipts.get(ctx, caller, ask.receipt_id)
    if ask.payment_id:
        async with ctx.db.reading() as conn:
            of_payment = await stored.of_payment(conn, ask.payment_id)
        own = [one for one in of_payment if one.refund_id is None and one.voided_at is None]
        if not own:
            raise NotFoundError("receipt of payment", ask.payment_id)
        return await receipts.get(ctx, caller, own[-1].id)
    seller = issuing.seller_of(ctx.directory.document)
    return receipt_sample.of(ask.kind, ask.language, seller=seller)
