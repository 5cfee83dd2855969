"""A receipt as a page: for the web, for mail, and for print. It loads nothing and runs nothing."""

import re
from base64 import b64encode
from io import BytesIO
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from counterfoil.documents import receipt_json
from counterfoil.documents.receipt_shown import code, shown
from counterfoil.documents.receipt_signing import Verdict
from counterfoil.domain.receipt import Receipt

MEDIA_TYPE: Final = "text/html; charset=utf-8"
_PAGES: Final = Environment(
    loader=PackageLoader("counterfoil.documents"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)
_BODY: Final = re.compile("<body[^>]*>")
# What stands before all that is seen, where no <body> says where that begins.
_HEAD: Final = re.compile(
    r"(?:\s|<!doctype[^>]*>|</?(?:html|head)(?:\s[^>]*)?>|<meta[^>]*>|<title[^>]*>[^<]*</title>|<style[^>]*>.*?</style>)*",
    re.DOTALL,
)


def render(
    receipt: Receipt,
    *,
    verified: bool = False,
    same: bool | None = None,
    signature: Verdict | None = None,
    no_pdf: bool = False,
) -> str:
    """The page, in the receipt's language.

    `verified` says at its head that the seller issued it, and lets a file be sent; `same`, whether a file that was sent is
    this very receipt, and `signature` what the signature on that file is worth; `no_pdf`, that it is none.
    """
    page = _PAGES.get_template("receipt.html")
    return page.render(shown=shown(receipt), verified=verified, **_said(receipt, same, signature, no_pdf))


def with_verdict(
    page: str,
    receipt: Receipt,
    *,
    same: bool | None = None,
    signature: Verdict | None = None,
    no_pdf: bool = False,
) -> str:
    """A page of an operator's own (as `markup` writes it), with the same above all that is seen."""
    said = _said(receipt, same, signature, no_pdf)
    verdict = _PAGES.get_template("verified.html").render(shown=shown(receipt), **said)
    begins = _BODY.search(page) or _HEAD.match(page)
    at = begins.end() if begins else 0
    return page[:at] + verdict + page[at:]


def _said(receipt: Receipt, same: bool | None, signature: Verdict | None, no_pdf: bool) -> dict[str, Any]:
    sent = "no_pdf" if no_pdf else None if same is None else _sent(same, signature)
    return {"seller": receipt.seller.name, "sent": sent, "signature": signature}


def _sent(same: bool, signature: Verdict | None) -> str:
    """What is said of a file: what is not this receipt and bears our signature was not changed, so it is another."""
    if same:
        return "same"
    return "another" if signature is Verdict.INTACT else "changed"


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
