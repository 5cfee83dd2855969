"""A receipt as a page: for the web, for mail, and for print. It loads nothing and runs nothing."""

import re
from base64 import b64encode
from io import BytesIO
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from counterfoil.documents import receipt_json
from counterfoil.documents.receipt_shown import code, shown
from counterfoil.domain.receipt import Receipt

MEDIA_TYPE: Final = "text/html; charset=utf-8"
_PAGES: Final = Environment(
    loader=PackageLoader("counterfoil.documents"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)
_BODY: Final = re.compile("<body[^>]*>")


def render(receipt: Receipt, *, verified: bool = False, same: bool | None = None) -> str:
    """The page, in the receipt's language.

    `verified` says at its head that the seller issued it; `same`, whether a file that was sent is this very receipt.
    """
    page = _PAGES.get_template("receipt.html")
    return page.render(shown=shown(receipt), verified=verified, **_verified(receipt, same))


def with_verdict(page: str, receipt: Receipt, *, same: bool | None = None) -> str:
    """A page of an operator's own, at whose head we say that it was issued."""
    verdict = _PAGES.get_template("verified.html").render(**_verified(receipt, same))
    return _BODY.sub(lambda body: body[0] + verdict, page, count=1) if _BODY.search(page) else verdict + page


def _verified(receipt: Receipt, same: bool | None) -> dict[str, Any]:
    return {"seller": receipt.seller.name, "number": receipt.number, "same": same}


def given(receipt: Receipt) -> dict[str, Any]:
    """What a template of an operator's sees: the fields, their words and figures, and the QR code as a picture."""
    values = {"receipt": receipt_json.document(receipt), "shown": shown(receipt), "qr": ""}
    if receipt.verify_url:
        drawn = BytesIO()
        code(receipt.verify_url).save(drawn, kind="svg", border=0, xmldecl=False, omitsize=True)
        values["qr"] = f"data:image/svg+xml;base64,{b64encode(drawn.getvalue()).decode()}"
    return values


def unknown() -> str:
    """What is said of a link that stands for no receipt."""
    return _PAGES.get_template("unknown.html").render()
