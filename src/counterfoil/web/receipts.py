"""/r/{token}: a receipt for whoever has its link or its QR code, and whether a file is that receipt.

The token is the receipt's id, signed: it shows this receipt and nothing else, for as long as books are kept.
"""

import os
from typing import Final

from starlette.datastructures import UploadFile
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from counterfoil.documents import receipt_html
from counterfoil.domain.errors import NotFoundError
from counterfoil.domain.receipt import Receipt
from counterfoil.services import receipts, templates
from counterfoil.services.context import Context
from counterfoil.services.signing import Compared
from counterfoil.web.api.formats import choose
from counterfoil.web.api.receipts import PAGE_ALLOWS, answer
from counterfoil.web.turns import Turns

TOKEN_CHARS: Final = 100
# A receipt of 200 items takes 300 kB, and one in a look of the merchant's own has pictures.
FILE_BYTES: Final = 4_194_304
PARTS: Final = 4  # of a form: the file, and what else a program may send beside it
# Readers take a PDF that begins a little behind the first byte (PDF Reference 1.7, implementation note 13).
PDF_BEGINS: Final = b"%PDF-"
PDF_BEGINS_WITHIN: Final = 1_024
# As that of every receipt, but that a file may be sent to where it stands.
HERE_ALLOWED: Final = PAGE_ALLOWS.replace("form-action 'none'", "form-action 'self'")


# Half the processors draw for strangers, and at least one; the other half is ours. Each who waits may hold a file.
AT_ONCE: Final = max(1, (os.cpu_count() or 1) // 2)
WAITING: Final = 16


def routes(ctx: Context) -> list[Route]:
    turns = Turns(AT_ONCE, WAITING)

    async def show(request: Request) -> Response:
        """The receipt, as a page unless another format is asked for."""
        receipt = await _found(ctx, request)
        if receipt is None:
            return _unknown(request)
        offered = {"html": receipts.FORMATS["html"], **receipts.formats(ctx)}
        named = request.query_params.get("format")
        chosen = choose(offered, named=named, accept=request.headers.get("accept"))
        async with turns.taken():
            return await _page(ctx, receipt) if chosen == "html" else await answer(ctx, receipt, chosen)

    async def compare(request: Request) -> Response:
        """Whether the PDF that was sent is this receipt, byte for byte, as it was issued or as it is now; and its signature.

        It is sent as the body, or as the file of a form.
        """
        receipt = await _found(ctx, request)
        if receipt is None:
            return _unknown(request)
        request.scope["counterfoil.body_limit"] = FILE_BYTES
        file = await _sent(request)
        async with turns.taken():
            if PDF_BEGINS not in file[:PDF_BEGINS_WITHIN]:
                return await _page(ctx, receipt, no_pdf=True)
            return await _page(ctx, receipt, await receipts.compare(ctx, receipt, file))

    return [Route("/r/{token}", show, methods=["GET"]), Route("/r/{token}", compare, methods=["POST"])]


async def _found(ctx: Context, request: Request) -> Receipt | None:
    token = request.path_params["token"]
    return await receipts.verified(ctx, token) if len(token) <= TOKEN_CHARS else None


async def _sent(request: Request) -> bytes:
    """The file that was sent; nothing where a form has none."""
    if not request.headers.get("content-type", "").lower().startswith("multipart/form-data"):
        return await request.body()
    async with request.form(max_files=1, max_fields=PARTS) as form:
        file = next((one for one in form.values() if isinstance(one, UploadFile)), None)
        return await file.read() if file else b""


async def _page(
    ctx: Context, receipt: Receipt, sent: Compared | None = None, *, no_pdf: bool = False
) -> Response:
    same, signature = (sent.same, sent.signature) if sent else (None, None)
    own = await templates.rendered(ctx, receipt, "html")
    if own is None:
        page = receipt_html.render(receipt, verified=True, same=same, signature=signature, no_pdf=no_pdf)
    else:
        page = receipt_html.with_verdict(own.decode(), receipt, same=same, signature=signature, no_pdf=no_pdf)
    return HTMLResponse(page, headers={"content-security-policy": HERE_ALLOWED, "vary": "Accept"})


def _unknown(request: Request) -> Response:
    """The same for a wrong token and for none, so that nothing can be tried out."""
    if "text/html" not in request.headers.get("accept", ""):
        raise NotFoundError("receipt", "behind this link")
    headers = {"content-security-policy": PAGE_ALLOWS}
    return HTMLResponse(receipt_html.unknown(), status_code=404, headers=headers)
