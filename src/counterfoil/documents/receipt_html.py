"""A receipt as a page: for the web, for mail, and for print. It loads nothing and runs nothing."""

from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from counterfoil.documents.receipt_shown import shown
from counterfoil.documents.receipt_signing import Verdict
from counterfoil.domain.receipt import Receipt

MEDIA_TYPE: Final = "text/html; charset=utf-8"
_PAGES: Final = Environment(
    loader=PackageLoader("counterfoil.documents"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)


def render(
    receipt: Receipt, *, verified: bool = False, same: bool | None = None, signature: Verdict | None = None
) -> str:
    """The page, in the receipt's language.

    `verified` says at its head that the seller issued it; `same`, whether a file that was sent is this very receipt, and
    `signature` what the signature on that file is worth.
    """
    page = _PAGES.get_template("receipt.html")
    return page.render(
        shown=shown(receipt),
        seller=receipt.seller.name,
        verified=verified,
        sent=None if same is None else _sent(same, signature),
        signature=signature,
    )


def _sent(same: bool, signature: Verdict | None) -> str:
    """What is said of a file: what is not this receipt and bears our signature was not changed, so it is another."""
    if same:
        return "same"
    return "another" if signature is Verdict.INTACT else "changed"


def unknown() -> str:
    """What is said of a link that stands for no receipt."""
    return _PAGES.get_template("unknown.html").render()
