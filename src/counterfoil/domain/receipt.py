"""A receipt: one model of what was paid or given back, from which every format is drawn. Sums agree to the minor unit.

What a GST invoice must carry is Rule 46 of the CGST Rules: HSN or SAC, taxable value, rate and amount of CGST and SGST
within a state or IGST between states, place of supply, and whether the tax is payable on reverse charge.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Any, Final

from counterfoil.domain.errors import ConfigurationError
from counterfoil.domain.money import Money

NUMBER_CHARS: Final = 16  # Rule 46(b): at most sixteen characters, letters, digits, dash and slash
DIGITS: Final = 6  # a million a year; more grow by a digit, where the prefix leaves room
PREFIX: Final = re.compile(r"[A-Z0-9]{1,4}")
BASIS: Final = 10_000  # a rate is in basis points: 1800 is 18 %
INDIA: Final = "IN"
ROUNDING: Final = "Adjustment"  # what the items do not add up to


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
    """One tax: of what, at which rate in basis points, how much. Amounts are minor units."""

    name: str
    rate: int
    base: int
    amount: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """What was bought. `amount` is all of the line, taxes included: `taxable` and the taxes add up to it."""

    description: str
    quantity: int
    unit: int
    amount: int
    hsn: str | None = None
    taxable: int
    taxes: tuple[Tax, ...] = ()


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
    paid_at: datetime
    method: str  # as people say it: "Visa •••• 4242"
    refunds: tuple[Refunded, ...] = ()
    fees: int | None = None  # what the gateway kept; None where it is not shown
    references: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    place_of_supply: str | None = None
    reverse_charge: bool = False
    voided: str | None = None  # why
    sandbox: bool = False
    verify_url: str | None = None
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
    """The lines of a payment's items, and one that makes up what they do not add up to.

    `rates` maps the names of the taxes that a line's `tax_rate` splits into to their weight, as CGST and SGST one each.
    A payment without items is one line, by its description.
    """
    made = [_line(item, rates) for item in items] or [_plain(description, total)]
    missing = total - sum(line.amount for line in made)
    return tuple(made if missing == 0 else [*made, _plain(ROUNDING, missing)])


def _plain(description: str, amount: int) -> Line:
    return Line(description=description, quantity=1, unit=amount, amount=amount, taxable=amount)


def _line(item: Mapping[str, Any], rates: Mapping[str, int]) -> Line:
    quantity, unit, rate = int(item.get("quantity") or 1), int(item["amount"]), int(item.get("tax_rate") or 0)
    amount = quantity * unit
    taxable, tax = share(amount, (BASIS, rate))
    names = list(rates) if rate else []
    parts = zip(names, share(tax, list(rates.values())), share(rate, list(rates.values())), strict=False)
    return Line(
        description=str(item["name"]),
        quantity=quantity,
        unit=unit,
        amount=amount,
        hsn=item.get("hsn"),
        taxable=taxable,
        taxes=tuple(Tax(name, part_rate, taxable, part) for name, part, part_rate in parts),
    )


def part_of(whole: Sequence[Line], amount: int, description: str) -> tuple[Line, ...]:
    """The lines of a part of what was bought, as of a refund: each line's own share, taxes and all."""
    if not whole or amount == sum(line.amount for line in whole):
        return tuple(whole) or (_plain(description, amount),)
    taken = share(amount, [max(line.amount, 0) for line in whole])
    return tuple(_scaled(line, part) for line, part in zip(whole, taken, strict=True) if part)


def _scaled(line: Line, amount: int) -> Line:
    taxable, *taxes = share(amount, [line.taxable, *(tax.amount for tax in line.taxes)])
    return Line(
        description=line.description,
        quantity=1,
        unit=amount,
        amount=amount,
        hsn=line.hsn,
        taxable=taxable,
        taxes=tuple(
            Tax(tax.name, tax.rate, taxable, part) for tax, part in zip(line.taxes, taxes, strict=True)
        ),
    )


def totals(of: Iterable[Line]) -> tuple[Tax, ...]:
    """The taxes of all lines, added up by name and rate, in the order in which they first stand."""
    found: dict[tuple[str, int], Tax] = {}
    for line in of:
        for tax in line.taxes:
            before = found.get((tax.name, tax.rate), Tax(tax.name, tax.rate, 0, 0))
            found[tax.name, tax.rate] = Tax(
                tax.name, tax.rate, before.base + tax.base, before.amount + tax.amount
            )
    return tuple(found.values())


def rates_for(seller: Party, buyer: Party, name: str = "Tax") -> dict[str, int]:
    """Into which taxes a rate splits: within a state of India CGST and SGST by halves, between states IGST."""
    if seller.country != INDIA or seller.tax_id is None:
        return {name: 1}
    inside = buyer.state is None or buyer.state == seller.state
    return {"CGST": 1, "SGST": 1} if inside and buyer.country in {None, INDIA} else {"IGST": 1}


def financial_year(at: date, start: str) -> int:
    """The year in which the financial year of that day began. `start` is its first day, MM-DD."""
    month, day = (int(part) for part in start.split("-"))
    return at.year if (at.month, at.day) >= (month, day) else at.year - 1


def number(prefix: str, year: int, sequence: int) -> str:
    """The number of the sequence-th receipt of a series and year. Raises ConfigurationError where it grows too long."""
    made = f"{prefix}-{year}-{sequence:0{DIGITS}d}"
    if len(made) > NUMBER_CHARS:
        raise ConfigurationError(
            f"The receipt number {made} is longer than {NUMBER_CHARS} characters: choose a shorter prefix."
        )
    return made


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
    """A UPI handle with its name but for two letters hidden."""
    name, _, bank = vpa.partition("@")
    return f"{name[:2]}{'•' * 4}@{bank}" if bank else f"{name[:2]}{'•' * 4}"


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
