"""A receipt as a page: for the web, for mail, and for print. It loads nothing and runs nothing."""

from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined

from counterfoil.documents.receipt_shown import shown
from counterfoil.domain.receipt import Receipt

MEDIA_TYPE: Final = "text/html; charset=utf-8"
_PAGES: Final = Environment(
    loader=PackageLoader("counterfoil.documents"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
)


def render(receipt: Receipt, *, verified: bool = False, same: bool | None = None) -> str:
    """The page, in the receipt's language.

    `verified` says at its head that the seller issued it; `same`, whether a file that was sent is this very receipt.
    """
    page = _PAGES.get_template("receipt.html")
    return page.render(shown=shown(receipt), seller=receipt.seller.name, verified=verified, same=same)


def unknown() -> str:
    """What is said of a link that stands for no receipt."""
    return _PAGES.get_template("unknown.html").render()
