"""Evidence on paper: a gateway that takes files alone is given each text as PDF.

They are drawn before anything is written or sent: what cannot be drawn leaves the dispute and its draft as they are.
"""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from counterfoil.documents import evidence_pdf
from counterfoil.documents.evidence_pdf import Sheet
from counterfoil.documents.template import TemplateError
from counterfoil.domain.dispute import Dispute
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.services.context import Context
from counterfoil.services.issuing import seller_of
from counterfoil.store.payments import Family


def dated(texts: Mapping[str, str], sent: Mapping[str, Any] | None, now: datetime) -> dict[str, str]:
    """When each text was first sent in these words, `now` for what was not: sent again, its paper is the same bytes.

    `sent` is the evidence as it was last sent, with what this said of it then.
    """
    before: Mapping[str, Any] = sent or {"texts": {}}
    known: Mapping[str, str] = before.get("dated", {})
    return {
        name: known[name] if name in known and before["texts"][name] == text else now.isoformat()
        for name, text in texts.items()
    }


async def draw(
    ctx: Context, family: Family, dispute: Dispute, draft: Mapping[str, Any], *, most_bytes: int
) -> dict[str, bytes]:
    """Each text of the draft, under its name, as a file of at most so many bytes. Raises InvalidRequestError.

    It may take some seconds: no transaction is to be open meanwhile.
    """
    charge = next(charge for charge in family.charges if charge.id == dispute.charge_id)
    document = ctx.directory.document
    sheets = {
        name: Sheet(
            title=name.replace("_", " ").capitalize(),
            text=text,
            dispute=dispute.ref,
            payment=charge.ref,
            seller=seller_of(document),
            made_at=datetime.fromisoformat(draft["dated"][name]),
            zone=document["business"]["timeZone"],
            sandbox=dispute.mode == "sandbox",
        )
        for name, text in draft["texts"].items()
    }
    drawn = await asyncio.gather(*(_drawn(ctx, name, sheet, most_bytes) for name, sheet in sheets.items()))
    return dict(zip(sheets, drawn, strict=True))


async def _drawn(ctx: Context, name: str, sheet: Sheet, most_bytes: int) -> bytes:
    job = await asyncio.to_thread(evidence_pdf.job, sheet)
    try:
        made = await ctx.renderer.document(job)
    except TemplateError as error:
        raise _cannot(name, error.reason) from error
    if len(made) > most_bytes:
        raise _cannot(
            name, f"it came to {len(made)} bytes, and the gateway is sent at most {most_bytes}; shorten it"
        )
    return made


def _cannot(name: str, reason: str) -> InvalidRequestError:
    return InvalidRequestError(
        f"{name} cannot be made a PDF: {reason}. Nothing was sent, and the draft is as it was.",
        field=f"texts.{name}",
    )
