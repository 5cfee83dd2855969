"""A text that speaks for a disputed charge, as PDF: PDF/A-3a and PDF/UA-1, in any script, with the text as JSON inside.

It is drawn for gateways that take evidence as files alone. An identical sheet is identical bytes.
"""

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from typing import Any, Final

from counterfoil.documents import receipt_dates, typesetting
from counterfoil.documents.fonts import families
from counterfoil.documents.receipt_shown import breakable, paper
from counterfoil.documents.receipt_words import ENGLISH
from counterfoil.documents.typesetting import Job
from counterfoil.domain.receipt import Party

ATTACHED: Final = "evidence.json"
TEMPLATE: Final = "evidence.typ"

_UNBROKEN: Final = 45  # characters of ASCII, which have room on a line however wide: an id is copied whole
_TAB: Final = 4
_INDENT: Final = 40  # characters; a deeper one would leave no room for what is said
_NO_BREAK: Final = "\N{NO-BREAK SPACE}"
_RIGHT_TO_LEFT: Final = frozenset({"R", "AL"})
_DIRECTED: Final = _RIGHT_TO_LEFT | {"L"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Sheet:
    """One text, what it is called, and what it is about."""

    title: str
    text: str
    dispute: str  # as the gateway names it, like the payment
    payment: str
    seller: Party
    made_at: datetime
    zone: str  # whose days are meant
    sandbox: bool


def job(sheet: Sheet) -> Job:
    """What is to be set."""
    return Job(
        main=TEMPLATE,
        data=typesetting.data({"shown": _shown(sheet)}),
        attached=json.dumps(_told(sheet), ensure_ascii=False),
        attached_as=ATTACHED,
        at=int(sheet.made_at.timestamp()),
        accessible=True,
    )


def _told(sheet: Sheet) -> dict[str, str]:
    """The same as data, where the text stands letter for letter, also those that no font here draws."""
    return {
        "title": sheet.title,
        "dispute": sheet.dispute,
        "payment": sheet.payment,
        "seller": sheet.seller.name,
        "made_at": sheet.made_at.isoformat(),
        "text": sheet.text,
    }


def _shown(sheet: Sheet) -> dict[str, Any]:
    """Every word of the pages, in the order in which they stand."""
    return {
        "title": f"{sheet.title}: dispute {sheet.dispute}",
        "heading": sheet.title,
        "seller": {"name": breakable(sheet.seller.name)},
        "fonts": list(families("en")),
        "language": "en",
        "region": None,
        "paper": paper(sheet.seller.country),
        "facts": [
            ["Dispute", breakable(sheet.dispute)],
            ["Payment", breakable(sheet.payment)],
            ["Date", receipt_dates.day(sheet.made_at, sheet.zone, "en-GB")],
        ],
        "sandbox": [ENGLISH["sandbox"], ENGLISH["sandbox_means"]] if sheet.sandbox else None,
        "page": ENGLISH["page"],
        "parts": list(_parts(sheet.text)),
    }


def _parts(text: str) -> Iterator[dict[str, Any]]:
    """The lines, together where no empty one is between them and all are read in the same direction."""
    lines = map(_line, text.expandtabs(_TAB).splitlines())
    for (empty, right_to_left), together in groupby(lines, lambda line: (not line, _is_right_to_left(line))):
        if not empty:
            yield {"lines": list(together), "right_to_left": right_to_left}


def _line(line: str) -> str:
    """The line with its indentation, whose long words may be broken."""
    said = breakable(line, _UNBROKEN) if line.isascii() else breakable(line)
    indented = min(len(line) - len(line.lstrip(" ")), _INDENT)
    return _NO_BREAK * indented + said if said else ""


def _is_right_to_left(line: str) -> bool:
    """By the first letter that has a direction (Unicode Standard Annex 9, rules P2 and P3)."""
    kinds = (unicodedata.bidirectional(letter) for letter in line)
    return next((kind for kind in kinds if kind in _DIRECTED), "L") in _RIGHT_TO_LEFT
