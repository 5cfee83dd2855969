"""A receipt: one model of what was paid or given back, from which every format is drawn. Sums agree to the minor unit.

What a GST invoice must carry is Rule 46 of the CGST Rules: HSN or SAC, taxable value, rate and amount of CGST and SGST
within a state or IGST between states, place of supply, and whether the tax is payable on reverse charge.
"""

import re
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from counterfoil.domain.money import Money

NUMBER_CHARS: Final = 16  # Rule 46(b): at most sixteen characters, letters, digits, dash and slash
DIGITS: Final = 6  # a million a year; more grow by a digit, where the prefix leaves room
PREFIX: Final = re.compile(r"[A-Z0-9]{1,4}")
BASIS: Final = 10_000  # a rate is in basis points: 1800 is 18 %
INDIA: Final = "IN"
ABROAD: Final = "96"  # the place of supply of what leaves India, in the numbering of its states
GSTIN: Final = re.compile(r"[0-9]{2}[A-Z]{4}[0-9A-Z]{9}")  # it begins with its state
# What we say ourselves, as data has it, and by which word of documents/receipt_words.py people read it.
ROUNDING: Final = ("Adjustment", "adjustment")  # what was taken beyond the items
# Past the gateway; its evidence stands among the references
BY_HAND: Final = ("Paid back by hand", "by_hand")


class Kind(StrEnum):
    PAYMENT = "payment"
    REFUND = "refund"
    INVOICE = "invoice"  # an Indian GST invoice


@dataclass(frozen=True, slots=True, kw_only=True)
class Party:
    """Who sells or buys. `state` is a state of India by its two digits."""

    name: str
    address: tuple[str, ...] = ()
    country: str | None = None
    state: str | None = None
    tax_id: str | None = None
    email: str | None = None
    phone: str | None = None


@dataclass(frozen=True, slots=True)
class Tax:
    """One tax: of what, at which rate in basis points, how much. Amounts are minor units.

    `half` adds half a basis point to the rate: that of CGST of 0.25 % is 12 and a half.
    """

    name: str
    rate: int
    base: int
    amount: int
    half: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What was bought. `amount` is all of the line, taxes included: `taxable` and the taxes add up to it.

    `unit` is what one of them came to, rounded where the amount does not divide by the quantity. `word` is what the
    description is, where it is ours; receipts of before have none, and are read as they were.
    """

    description: str
    quantity: int
    unit: int
    amount: int
    hsn: str | None = None
    taxable: int
    taxes: tuple[Tax, ...] = ()
    word: str | None = None


@dataclass(frozen=True, slots=True)
class Refunded:
    """One refund that the receipt shows."""

    at: datetime
    amount: int
    reference: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Receipt:
    """All that a receipt says. Amounts are minor units of `currency`; times are UTC, shown in `zone`."""

    id: str
    kind: Kind
    number: str
    issued_at: datetime
    zone: str
    locale: str
    seller: Party
    buyer: Party
    currency: str
    lines: tuple[Line, ...]
    taxes: tuple[Tax, ...]  # the lines' taxes, added up by name and rate
    total: int
    paid_at: datetime  # of a refund: when it arrived
    method: str  # as people say it: "Visa •••• 4242"
    method_word: str | None = None  # as a line's
    refunds: tuple[Refunded, ...] = ()
    fees: int | None = None  # what the gateway kept; None where it is not shown
    references: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    place_of_supply: str | None = None
    reverse_charge: bool = False
    voided: str | None = None  # why
    sandbox: bool = False
    verify_url: str | None = None  # made anew each time it is shown
    verify_at: str | None = None  # the address of the service when it was issued, which the link keeps
    advanced: bool = True  # the full look, or a plain one
    template: str | None = (
        None  # of the merchant's own, and its version, as "kaveri@3"; None is the built-in look
    )

    @property
    def taxable(self) -> int:
        return sum(line.taxable for line in self.lines)

    @property
    def refunded(self) -> int:
        return sum(refund.amount for refund in self.refunds)

    @property
    def net(self) -> int:
        """What stays paid, once what went back is taken off."""
        return self.total - self.refunded


def share(total: int, weights: Sequence[int]) -> list[int]:
    """The total in whole parts by weight, which add up to it: what is left over goes to the largest remainders.

    All of it goes to the first where no weight weighs anything. Weights are not negative; the total may be.
    """
    whole = sum(weights)
    if not weights or whole == 0:
        return [total, *([0] * (len(weights) - 1))] if weights else []
    sign, rest = (-1 if total < 0 else 1), abs(total)
    parts = [rest * weight // whole for weight in weights]
    order = sorted(range(len(weights)), key=lambda at: (-(rest * weights[at] % whole), at))
    for at in order[: rest - sum(parts)]:
        parts[at] += 1
    return [sign * part for part in parts]


def lines(
    items: Iterable[Mapping[str, Any]], total: int, description: str, rates: Mapping[str, int]
) -> tuple[Line, ...]:
    """The lines of a payment's items, which add up to what was taken.

    Where the items come to more than that, as with a discount or a part that was captured, each line is its share of what
    was taken, and so is its tax. Where they come to less, a line without tax makes up the rest. `rates` maps the names of
    the taxes that a line's `tax_rate` splits into to their weight, as CGST and SGST one each. A payment without items is
    one line, by its description.
    """
    bought = list(items)
    asked = [_quantity(item) * int(item["amount"]) for item in bought]
    taken = share(total, asked) if sum(asked) > total else asked
    made = [_line(item, amount, rates) for item, amount in zip(bought, taken, strict=True)]
    made = made or [_plain(description, amount=total)]
    missing = total - sum(line.amount for line in made)
    return tuple([*made, _plain(*ROUNDING, amount=missing)] if missing else made)


def _quantity(item: Mapping[str, Any]) -> int:
    return int(item.get("quantity") or 1)


def _plain(description: str, word: str | None = None, *, amount: int) -> Line:
    return Line(description=description, quantity=1, unit=amount, amount=amount, taxable=amount, word=word)


def _line(item: Mapping[str, Any], amount: int, rates: Mapping[str, int]) -> Line:
    quantity, rate = _quantity(item), int(item.get("tax_rate") or 0)
    taxable, tax = share(amount, (BASIS, rate))
    names, weights = (list(rates), list(rates.values())) if rate else ([], [])
    return Line(
        description=str(item["name"]),
        quantity=quantity,
        unit=(2 * amount + quantity) // (2 * quantity),
        amount=amount,
        hsn=item.get("hsn"),
        taxable=taxable,
        taxes=tuple(
            _tax(name, 2 * rate * weight // sum(weights), taxable, part)
            for name, weight, part in zip(names, weights, share(tax, weights), strict=True)
        ),
    )


def _tax(name: str, halves: int, base: int, amount: int) -> Tax:
    """A tax whose rate is in halves of a basis point."""
    return Tax(name, halves // 2, base, amount, half=halves % 2 == 1)


def part_of(
    whole: Iterable[Line], amount: int, description: str, gone: Iterable[Line] = ()
) -> tuple[Line, ...]:
    """The lines of a part of what was bought, as of a refund: each line's own share, taxes and all.

    `gone` are the lines of the parts before it: with them each line and each tax comes to the whole and never to more, and
    the tax of a part is that of its amount, but for the rounding. What goes beyond the whole is a line by the description.
    """
    bought = _left(whole, gone)
    there = min(amount, sum(left.amount for _, left in bought))
    taken = share(there, [left.amount for _, left in bought])
    cut = [_cut(line, left, part) for (line, left), part in zip(bought, taken, strict=True) if part]
    return tuple([*cut, _plain(description, amount=amount - there)] if there < amount else cut)


def _left(whole: Iterable[Line], gone: Iterable[Line]) -> list[tuple[Line, Line]]:
    """Each thing that was bought, whole and as far as it has not gone back; one that stands on two lines is one."""
    bought: dict[Hashable, Line] = {}
    for line in whole:
        thing = _thing(line)
        bought[thing] = _plus(bought[thing], line) if thing in bought else line
    left = dict(bought)
    for line in gone:
        thing = _thing(line)
        if thing in left:
            left[thing] = _plus(left[thing], line, -1)
    return [(bought[thing], line) for thing, line in left.items() if line.amount > 0]


def _thing(line: Line) -> Hashable:
    """By what a line is known for the same thing, taxed in the same way."""
    return line.description, line.hsn, tuple((tax.name, tax.rate, tax.half) for tax in line.taxes)


def _plus(one: Line, other: Line, sign: int = 1) -> Line:
    added = [mine + sign * its for mine, its in zip(_parts(one), _parts(other), strict=True)]
    return _made_of(one, added)


def _parts(line: Line) -> list[int]:
    """What the amount of a line is made of: the taxable value, and each tax."""
    return [line.taxable, *(tax.amount for tax in line.taxes)]


def _made_of(line: Line, parts: Sequence[int]) -> Line:
    """One of what stands on that line, of so much."""
    taxable, *taxes = parts
    named = zip(line.taxes, taxes, strict=True)
    return replace(
        line,
        quantity=1,
        unit=sum(parts),
        amount=sum(parts),
        taxable=taxable,
        taxes=tuple(replace(tax, base=taxable, amount=amount) for tax, amount in named),
    )


def _cut(whole: Line, left: Line, amount: int) -> Line:
    """A part of what is left of a line. Each of its parts is what is due by now, less what has gone before."""
    if amount == left.amount:
        return left
    bought, there, parts = _parts(whole), _parts(left), list[int]()
    for at in range(len(bought)):
        parts.append(_due(amount - sum(parts), bought[at:], there[at:]))
    return _made_of(whole, parts)


def _due(amount: int, whole: Sequence[int], left: Sequence[int]) -> int:
    """How much of an amount is of the first of these parts: none and all of it are the bounds, as where another part has
    come back since and by now less is due than has gone.
    """
    by_now = share(sum(whole) - sum(left) + amount, (whole[0], sum(whole[1:])))[0]
    return min(max(by_now - (whole[0] - left[0]), 0), amount)


def totals(of: Iterable[Line]) -> tuple[Tax, ...]:
    """The taxes of all lines, added up by name and rate, in the order in which they first stand."""
    found: dict[Hashable, Tax] = {}
    for line in of:
        for tax in line.taxes:
            kind = tax.name, tax.rate, tax.half
            before = found.get(kind, replace(tax, base=0, amount=0))
            found[kind] = replace(tax, base=before.base + tax.base, amount=before.amount + tax.amount)
    return tuple(found.values())


def rates_for(seller: Party, buyer: Party, name: str = "Tax") -> dict[str, int]:
    """Into which taxes a rate splits: within a state of India CGST and SGST by halves, between states IGST."""
    if seller.country != INDIA or seller.tax_id is None:
        return {name: 1}
    inside = place_of_supply(seller, buyer) == state_of(seller)
    return {"CGST": 1, "SGST": 1} if inside else {"IGST": 1}


def place_of_supply(seller: Party, buyer: Party) -> str | None:
    """Where a seller in India supplies: the buyer's state, the seller's where the buyer names none, or abroad."""
    return (state_of(buyer) or state_of(seller)) if buyer.country in {None, INDIA} else ABROAD


def state_of(party: Party) -> str | None:
    """A party's state of India: as it says, or by its GSTIN."""
    by_number = GSTIN.fullmatch(party.tax_id or "")
    return party.state or (by_number[0][:2] if by_number else None)


def financial_year(at: date, start: str) -> int:
    """The year in which the financial year of that day began. `start` is its first day, MM-DD."""
    month, day = (int(part) for part in start.split("-"))
    return at.year if (at.month, at.day) >= (month, day) else at.year - 1


def series(prefix: str, year: int) -> str:
    """What every number of a series and year begins with; DIGITS digits follow, or more."""
    return f"{prefix}-{year}-"


def method_of(detail: Mapping[str, Any]) -> str:
    """What it was paid with, as people say it, and never enough to pay with it again."""
    if last4 := detail.get("last4"):
        return f"{str(detail.get('brand') or 'Card').replace('_', ' ').title()} •••• {last4}"
    if vpa := detail.get("vpa"):
        return f"UPI {_masked(str(vpa))}"
    named = detail.get("bank") or detail.get("wallet")
    kind = str(detail.get("method") or "payment").replace("_", " ").capitalize()
    return f"{kind}, {named}" if named else kind


def _masked(vpa: str) -> str:
    """A UPI handle with its name hidden but for two letters, and for half of it where it is shorter than four."""
    name, at, bank = vpa.partition("@")
    begin, hidden, _ = name.partition("*")  # as a gateway's adapter has hidden it already
    seen = begin[:2] if hidden else name[: min(2, len(name) // 2)]
    return f"{seen}{'•' * 4}{at if bank else ''}{bank}"


def check(receipt: Receipt) -> None:
    """Raise ValueError unless its sums agree: lines to the total, taxes to the lines, refunds within the total."""
    if sum(line.amount for line in receipt.lines) != receipt.total:
        raise ValueError("the lines do not add up to the total")
    for line in receipt.lines:
        if line.taxable + sum(tax.amount for tax in line.taxes) != line.amount:
            raise ValueError(f"the taxes of {line.description} do not add up")
    if receipt.taxes != totals(receipt.lines):
        raise ValueError("the taxes do not add up to those of the lines")
    if not 0 <= receipt.refunded <= receipt.total:
        raise ValueError("more went back than was paid")


def money(receipt: Receipt, minor: int) -> Money:
    return Money(minor, receipt.currency)
