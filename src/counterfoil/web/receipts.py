"""/r/{token}: a receipt for whoever has its link or its QR code, and whether a file is that receipt.

The token is the receipt's id, signed: it shows this receipt and nothing else, for as long as books are kept.
"""

import os
from typing import Final

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
        """Whether the PDF that was sent is this receipt, byte for byte, as it was issued or as it is now; and its signature."""
        receipt = await _found(ctx, request)
        if receipt is None:
            return _unknown(request)
        request.scope["counterfoil.body_limit"] = FILE_BYTES
        file = await request.body()
        async with turns.taken():
            return await _page(ctx, receipt, await receipts.compare(ctx, receipt, file))

    return [Route("/r/{token}", show, methods=["GET"]), Route("/r/{token}", compare, methods=["POST"])]


async def _found(ctx: Context, request: Request) -> Receipt | None:
    token = request.path_params["token"]
    return await receipts.verified(ctx, token) if len(token) <= TOKEN_CHARS else None


async def _page(ctx: Context, receipt: Receipt, sent: Compared | None = None) -> Response:
    same, signature = (sent.same, sent.signature) if sent else (None, None)
    own = await templates.rendered(ctx, receipt, "html")
    if own is None:
        page = receipt_html.render(receipt, verified=True, same=same, signature=signature)
    else:
        page = receipt_html.with_verdict(own.decode(), receipt, same=same, signature=signature)
    return HTMLResponse(page, headers={"content-security-policy": PAGE_ALLOWS, "vary": "Accept"})


def _unknown(request: Request) -> Response:
    """The same for a wrong token and for none, so that nothing can be tried out."""
    if "text/html" not in request.headers.get("accept", ""):
        raise NotFoundError("receipt", "behind this link")
    headers = {"content-security-policy": PAGE_ALLOWS}
    return HTMLResponse(receipt_html.unknown(), status_code=404, headers=headers)
