"""A receipt as it is shown: every word in its language, every figure as text, in the order in which they stand.

The layout adds nothing to this but places. Amounts come from the model's integers alone.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import Any, Final

import segno

from counterfoil.documents import receipt_dates, receipt_india, receipt_money
from counterfoil.documents.fonts import families
from counterfoil.documents.receipt_words import RIGHT_TO_LEFT, language, named, ours, words
from counterfoil.domain.receipt import INDIA, Kind, Line, Party, Receipt, Tax

_LETTER: Final = frozenset({"US", "CA", "MX", "CL", "CO", "PH"})  # where paper is not A4
_UNBROKEN: Final = 22  # characters; a longer word may be broken, so that it leaves no column
_MASK: Final = 3  # dark where row and column add up to a multiple of three
_BREAK: Final = "\N{ZERO WIDTH SPACE}"
_VIRAMA: Final = 9  # its combining class in all scripts
_JOINERS: Final = "\N{ZERO WIDTH JOINER}\N{ZERO WIDTH NON-JOINER}"
# Controls, and what turns the direction of the text after it: a name could make an amount read backwards.
_UNSEEN: Final = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]+")

Shown = dict[str, Any]


def shown(receipt: Receipt) -> Shown:
    """Plain values: texts, lists and maps."""
    said, country = words(receipt.locale), receipt.seller.country
    return {
        "advanced": receipt.advanced,
        "paper": paper(country),
        "fonts": list(families(language(receipt.locale))),
        "language": language(receipt.locale)[:2],
        "region": _region(receipt.locale),
        "right_to_left": language(receipt.locale) in RIGHT_TO_LEFT,
        "words": dict(said),
        "kind": receipt.kind.value,
        "heading": said[receipt.kind.value],
        "title": f"{said[receipt.kind.value]} {receipt.number}",
        "number": receipt.number,
        "headline": _headline(receipt),
        "seller": _party(receipt, receipt.seller),
        "buyer": _party(receipt, receipt.buyer),
        "facts": _facts(receipt),
        "columns": _columns(receipt),
        "rows": [_row(receipt, line) for line in receipt.lines],
        "sums": _sums(receipt),
        "in_words": _in_words(receipt),
        "references": [
            [breakable(named(said, name)), breakable(value)] for name, value in receipt.references.items()
        ],
        "notes": [breakable(note) for note in receipt.notes],
        "void": said["void_because"].format(reason=_clean(receipt.voided)) if receipt.voided else None,
        "sandbox": receipt.sandbox,
        "verify_url": receipt.verify_url,
        "qr": code(receipt.verify_url).svg_inline(border=0, omitsize=True) if receipt.verify_url else None,
    }


def paper(country: str | None) -> str:
    """What a business there prints on, as Typst calls it."""
    return "us-letter" if country in _LETTER else "a4"


def _clean(text: str) -> str:
    return _UNSEEN.sub(" ", text).strip()


def breakable(text: str, unbroken: int = _UNBROKEN) -> str:
    """The text without what is not seen, whose words may be broken after so many characters."""
    return re.sub(rf"\S{{{unbroken + 1},}}", lambda found: _broken(found.group(), unbroken), _clean(text))


def _broken(word: str, unbroken: int) -> str:
    made, since = [word[0]], 1
    for before, letter in pairwise(word):
        if since >= unbroken and not _is_one_syllable(before, letter):
            made.append(_BREAK)
            since = 0
        made.append(letter)
        since += 1
    return "".join(made)


def _is_one_syllable(before: str, letter: str) -> bool:
    """Whether a break between them would be seen: before a mark, or where a virama or a joiner ties them together."""
    joins = unicodedata.combining(before) == _VIRAMA or before in _JOINERS
    return joins or letter in _JOINERS or unicodedata.category(letter).startswith("M")


def _isolated(text: str) -> str:
    """The text, read from left to right whatever is around it."""
    return f"\N{LEFT-TO-RIGHT ISOLATE}{text}\N{POP DIRECTIONAL ISOLATE}"


def _region(locale: str) -> str | None:
    region = locale.replace("_", "-").rpartition("-")[2]
    return region.upper() if len(region) == 2 and "-" in locale.replace("_", "-") else None  # noqa: PLR2004  ISO 3166


def _amount(receipt: Receipt, minor: int) -> str:
    return receipt_money.shown(minor, receipt.currency, receipt.locale)


def _plain(receipt: Receipt, minor: int) -> str:
    return receipt_money.plain(minor, receipt.currency, receipt.locale)


def _day(receipt: Receipt) -> str:
    return receipt_dates.day(receipt.paid_at, receipt.zone, receipt.locale)


def _headline(receipt: Receipt) -> Shown:
    """The one figure that is looked for: how much, what became of it, and when."""
    said, part = words(receipt.locale), "refund" if receipt.kind is Kind.REFUND else "payment"
    return {
        "amount": _amount(receipt, receipt.total),
        "says": said[f"plain_amount_{part}"],
        "day": _day(receipt),
    }


def _party(receipt: Receipt, party: Party) -> Shown:
    said, indian = words(receipt.locale), party.country == INDIA or receipt.kind is Kind.INVOICE
    lines = [breakable(line) for line in party.address]
    if indian and party.state:
        lines.append(receipt_india.state(party.state))
    return {
        "name": breakable(party.name),
        "lines": lines,
        "tax": [said["gstin" if indian else "tax_id"], _clean(party.tax_id)] if party.tax_id else None,
        "reach": [breakable(way) for way in (party.email, party.phone) if way],
    }


def _facts(receipt: Receipt) -> list[list[str]]:
    """What stands beside the parties: name and value."""
    said, zone, locale = words(receipt.locale), receipt.zone, receipt.locale
    facts = [
        [said["issued"], receipt_dates.day(receipt.issued_at, zone, locale)],
        [
            said[moved_on(receipt)],
            f"{_day(receipt)} · {_isolated(receipt_dates.time(receipt.paid_at, zone))}",
        ],
        [said["method"], _clean(ours(said, receipt.method_word, receipt.method))],
    ]
    if receipt.place_of_supply:
        facts.append([said["place_of_supply"], receipt_india.state(receipt.place_of_supply)])
    if receipt.kind is Kind.INVOICE:
        facts.append([said["reverse_charge"], said["yes" if receipt.reverse_charge else "no"]])
    return facts


def moved_on(receipt: Receipt) -> str:
    """What the day is called on which the money moved."""
    return "refunded_on" if receipt.kind is Kind.REFUND else "paid_on"


def total(receipt: Receipt) -> str:
    """What the total is called."""
    return "total_refund" if receipt.kind is Kind.REFUND else "total"


def _columns(receipt: Receipt) -> list[Shown]:
    """The table's head. Only the first column is wide, only it is read from its beginning."""
    said = words(receipt.locale)
    names = [said["description"], said["quantity"], said["unit"]]
    if receipt.kind is Kind.INVOICE:
        names = [said["description"], said["hsn"], said["quantity"], said["taxable"], *_tax_names(receipt)]
    names.append(f"{said['amount']} ({receipt.currency})")
    return [{"says": name, "figure": at > 0} for at, name in enumerate(names)]


def _row(receipt: Receipt, line: Line) -> list[list[str]]:
    """A line's cells; a cell is what it says, and perhaps what it adds in small."""
    name, quantity, amount = (
        [breakable(ours(words(receipt.locale), line.word, line.description))],
        [str(line.quantity)],
        [_plain(receipt, line.amount)],
    )
    if receipt.kind is Kind.INVOICE:
        taxes = [_tax(receipt, line.taxes, tax) for tax in _tax_names(receipt)]
        return [name, [_clean(line.hsn or "–")], quantity, [_plain(receipt, line.taxable)], *taxes, amount]
    return [name, quantity, [_plain(receipt, line.unit)], amount]


def _tax_names(receipt: Receipt) -> Sequence[str]:
    return list(dict.fromkeys(_clean(tax.name) for tax in receipt.taxes))


def _tax(receipt: Receipt, taxes: Iterable[Tax], name: str) -> list[str]:
    mine = [tax for tax in taxes if _clean(tax.name) == name]
    if not mine:
        return ["–"]
    return [_plain(receipt, sum(tax.amount for tax in mine)), ", ".join(rate(tax) for tax in mine)]


def rate(tax: Tax) -> str:
    """The rate of a tax: "18%", "2.5%", "0.125%"."""
    whole, part = divmod(tax.rate, 100)
    return f"{whole}.{part:02}{5 if tax.half else ''}".rstrip("0").rstrip(".") + "%"


def _sums(receipt: Receipt) -> list[Shown]:
    """From what was bought to what stays paid; `weight` is plain, total or small."""
    said = words(receipt.locale)
    sums = []
    if receipt.taxes:
        before = said["taxable" if receipt.kind is Kind.INVOICE else "subtotal"]
        sums.append(_sum(before, _plain(receipt, receipt.taxable)))
        sums += [
            _sum(f"{_clean(tax.name)} {rate(tax)}", _plain(receipt, tax.amount)) for tax in receipt.taxes
        ]
    sums.append(_sum(said[total(receipt)], _amount(receipt, receipt.total), "total"))
    for refund in receipt.refunds:
        day = receipt_dates.day(refund.at, receipt.zone, receipt.locale)
        sums.append(
            _sum(
                f"{said['refunded']} · {day}", _amount(receipt, -refund.amount), note=_clean(refund.reference)
            )
        )
    if receipt.refunds:
        sums.append(_sum(said["net"], _amount(receipt, receipt.net), "total"))
    if receipt.fees is not None:
        sums.append(_sum(said["fees"], _amount(receipt, receipt.fees), "small"))
    return sums


def _sum(says: str, amount: str, weight: str = "plain", note: str = "") -> Shown:
    return {"says": says, "amount": amount, "weight": weight, "note": note}


def _in_words(receipt: Receipt) -> str | None:
    """The total in words, in English as India counts, where an invoice in rupees has it."""
    fits = receipt.kind is Kind.INVOICE and receipt.currency == "INR"
    return receipt_india.rupees(receipt.total) if fits else None


def code(url: str) -> segno.QRCode:
    """The QR code of a link. One mask for all: to try each costs five times as much, and any can be read."""
    return segno.make(url, micro=False, error="m", mask=_MASK)
