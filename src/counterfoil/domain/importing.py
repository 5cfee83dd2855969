"""A payment that was taken before this service was there, as one row of a file tells it: what is read, what is refused.

A row is plain values, as JSON has them. In CSV a column `customer.email` is the field `email` of `customer`, an empty cell
is a field left out, and `refunds` holds JSON. Pure: no file, no clock, no database.
"""

import csv
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, NoReturn, TypeAlias

from counterfoil.domain.errors import AmountNotValidError, InvalidRequestError
from counterfoil.domain.fact import Kind, Report
from counterfoil.domain.ids import is_id
from counterfoil.domain.ledger import OPENED, OPENED_REFUND, Entry, opening
from counterfoil.domain.money import Money, owed, to_wire
from counterfoil.domain.pan import find_card, looks_like_card
from counterfoil.domain.routing import CAPABILITIES, Feature

# Longer than any row with every field at its longest; what is longer is no row, but a file of another kind.
MAX_LINE: Final = 65_536
# Neither gateway took payments before: what is older is a mistake, as a time in another unit.
EARLIEST: Final = datetime(2010, 1, 1, tzinfo=UTC)
METADATA_PAIRS: Final = 50  # as many as Stripe keeps
REFUNDS: Final = 100  # of one payment; Razorpay lists no more at once
DEEPEST: Final = 4  # a row's list of refunds, each with its fields

Row: TypeAlias = Mapping[str, Any]


class RowRefusedError(ValueError):
    """Why a row cannot be taken over, as a sentence. It names the field, and never quotes what may be a secret."""


@dataclass(frozen=True, slots=True)
class Told:
    """One row of a file, by the line on which it ends; without a row, why it cannot be read."""

    line: int
    row: Row | None = None
    refused: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PastRefund:
    """One refund of before, by the gateway's id. `at` is when it was made."""

    ref: str
    amount: int
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Past:
    """A payment of before. Amounts are minor units of `currency`; `refunded` is the sum of all that was given back.

    `detail` is what it was paid with, by the names that facts use (method, brand, last4, bank, wallet).
    """

    gateway: str
    account_id: str | None
    attempt_ref: str | None
    charge_ref: str
    amount: int
    currency: str
    captured: int
    captured_at: datetime
    refunded: int = 0
    refunds: tuple[PastRefund, ...] = ()
    reference: str | None = None
    description: str | None = None
    customer: dict[str, str] = field(default_factory=dict)
    metadata: dict[str, str] = field(default_factory=dict)
    detail: dict[str, str] = field(default_factory=dict)

    @property
    def money(self) -> Money:
        return Money(self.amount, self.currency)


@dataclass(frozen=True, slots=True)
class Ids:
    """How a gateway's ids look, and the field of its attempts'."""

    attempt_field: str
    attempt: re.Pattern[str]
    charge: re.Pattern[str]
    refund: re.Pattern[str]


def _id(*prefixes: str) -> re.Pattern[str]:
    return re.compile(rf"(?:{'|'.join(prefixes)})_[A-Za-z0-9_]{{1,250}}", re.ASCII)


# A charge of Stripe's that is no card's begins with py_, and its refund with pyr_.
IDS: Final = {
    "stripe": Ids("payment_intent", _id("pi"), _id("ch", "py"), _id("re", "pyr")),
    "razorpay": Ids("order", _id("order"), _id("pay"), _id("rfnd")),
}
REQUIRED: Final = ("gateway", "charge", "amount", "currency", "captured", "captured_at")
FIELDS: Final = (
    *REQUIRED, "account", "payment_intent", "order", "refunded", "refunds", "reference", "description", "customer",
    "metadata", "method",
)  # fmt: skip
_CUSTOMER: Final = {
    "id": re.compile(r".{1,100}", re.DOTALL),
    "email": re.compile(r"(?=.{3,254}\Z)[^@\s]+@[^@\s]+"),
    "phone": re.compile(r"\+?[0-9 ()\-]{5,20}", re.ASCII),
    "name": re.compile(r".{1,100}", re.DOTALL),
    "country": re.compile(r"[A-Z]{2}"),
}
_METHOD: Final = {
    "type": re.compile(r"[a-z][a-z0-9_]{1,39}"),
    "brand": re.compile(r".{1,40}"),
    "last4": re.compile(r"[0-9]{4}", re.ASCII),
    "bank": re.compile(r".{1,100}"),
    "wallet": re.compile(r".{1,40}"),
}
_NESTED: Final = {"customer": _CUSTOMER, "method": _METHOD}
_INTEGER: Final = re.compile(r"-?[0-9]{1,18}", re.ASCII)


def read(told: Told, *, now: datetime) -> Past:
    """The payment that a row tells of. Raises RowRefusedError."""
    row = told.row
    if row is None:
        raise RowRefusedError(told.refused)
    _plain(row, "the row")
    for name in row:
        if name not in FIELDS:
            raise RowRefusedError(f"{name} is not known here")
    if place := find_card({name: value for name, value in row.items() if not _is_id(value)}):
        raise RowRefusedError(f"{place} looks like a card number")
    gateway = _of(row, "gateway", IDS, "one of " + ", ".join(sorted(IDS)))
    form = IDS[gateway]
    money, captured, captured_at = (
        _money(row, gateway),
        _captured(row, gateway),
        _time(row, "captured_at", now),
    )
    refunds = _refunds(row, form, captured_at, now)
    refunded = _refunded(row, refunds)
    if refunded > captured:
        raise RowRefusedError(f"refunded is {refunded}, more than the captured {captured}")
    _writable(gateway, money.currency, captured, refunded, *(one.amount for one in refunds))
    return Past(
        gateway=gateway,
        account_id=_optional(row, "account", lambda text: is_id("account", text), "an id such as gwa_…"),
        attempt_ref=_attempt_ref(row, gateway, form),
        charge_ref=_of(row, "charge", form.charge, f"an id of {gateway}'s"),
        amount=money.minor,
        currency=money.currency,
        captured=captured,
        captured_at=captured_at,
        refunded=refunded,
        refunds=refunds,
        reference=_optional(row, "reference", _up_to(100), "a text of 1 to 100 characters"),
        description=_optional(row, "description", _up_to(500), "a text of 1 to 500 characters"),
        customer=_group(row, "customer"),
        metadata=_metadata(row),
        detail=_named(_group(row, "method")),
    )


def _plain(value: Any, place: str, depth: int = 1) -> None:
    """Raise RowRefusedError where a text holds what cannot be stored: NUL, or bytes that are no UTF-8; or where values
    are nested deeper than any that is known here.
    """
    if depth > DEEPEST:
        raise RowRefusedError("it is nested too deeply")
    if isinstance(value, Mapping):
        for name, inner in value.items():
            _plain(name, "a field's name", depth)
            _plain(inner, str(name), depth + 1)
    elif isinstance(value, list):
        for inner in value:
            _plain(inner, place, depth + 1)
    elif isinstance(value, str):
        if "\x00" in value:
            raise RowRefusedError(f"{place} holds the character U+0000")
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise RowRefusedError(f"{place} is not UTF-8")


def _of(row: Row, name: str, among: Mapping[str, Any] | re.Pattern[str], wanted: str) -> str:
    value = row.get(name)
    if value is None:
        raise RowRefusedError(f"{name} is missing")
    there = isinstance(value, str) and (
        value in among if isinstance(among, Mapping) else among.fullmatch(value) is not None
    )
    if not there:
        raise RowRefusedError(f"{name} must be {wanted}")
    return str(value)


def _optional(row: Row, name: str, fits: Callable[[str], object], wanted: str) -> str | None:
    value = row.get(name)
    if value is None:
        return None
    if not isinstance(value, str) or not fits(value):
        raise RowRefusedError(f"{name} must be {wanted}")
    return value


def _up_to(longest: int) -> Callable[[str], bool]:
    return lambda text: 0 < len(text) <= longest


def _integer(row: Row, name: str) -> int:
    """Minor units: an integer, or its digits as CSV has them. A fraction would be a guess at what is meant."""
    value = row.get(name)
    if value is None:
        raise RowRefusedError(f"{name} is missing")
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    if type(value) is not int:
        raise RowRefusedError(f"{name} must be an integer of minor units")
    return value


def _money(row: Row, gateway: str) -> Money:
    currency = row.get("currency")
    if not isinstance(currency, str):
        raise RowRefusedError("currency must be a code of ISO 4217")
    try:
        money = owed(_integer(row, "amount"), currency)
        to_wire(gateway, money)
    except AmountNotValidError as refused:
        raise RowRefusedError(refused.detail.removesuffix(".")) from None
    if money.currency in CAPABILITIES[gateway].without:
        raise RowRefusedError(f"{gateway} does not take {money.currency}")
    return money


def _captured(row: Row, gateway: str) -> int:
    captured, amount = _integer(row, "captured"), _integer(row, "amount")
    if not 0 < captured <= amount:
        raise RowRefusedError(f"captured must be between 1 and the amount, {amount}; it is {captured}")
    if captured < amount and Feature.PARTIAL_CAPTURE not in CAPABILITIES[gateway].features:
        raise RowRefusedError(f"captured is {captured} of {amount}, but {gateway} captures no part")
    return captured


def _writable(gateway: str, currency: str, *amounts: int) -> None:
    """Raise RowRefusedError where the gateway could not have moved such an amount: the exponent is wrong."""
    try:
        for amount in amounts:
            to_wire(gateway, Money(amount, currency))
    except AmountNotValidError as refused:
        raise RowRefusedError(refused.detail) from None


def _time(row: Row, name: str, now: datetime, *, since: datetime = EARLIEST) -> datetime:
    """RFC 3339 with its offset, or Unix seconds; not in the future, nor before `since`."""
    value = row.get(name)
    if value is None:
        raise RowRefusedError(f"{name} is missing")
    try:
        digits = isinstance(value, str) and _INTEGER.fullmatch(value)
        if digits or type(value) is int:
            moment = datetime.fromtimestamp(int(value), UTC)
        else:
            moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise RowRefusedError(f"{name} must say its offset from UTC, as 2026-01-31T12:00:00Z does")
        moment = moment.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, OSError) as wrong:
        if isinstance(wrong, RowRefusedError):
            raise
        raise RowRefusedError(f"{name} must be a time as 2026-01-31T12:00:00Z, or Unix seconds") from None
    if moment > now:
        raise RowRefusedError(f"{name} is in the future")
    if moment < since:
        raise RowRefusedError(f"{name} is before {since:%Y-%m-%dT%H:%M:%SZ}")
    return moment


def _refunds(row: Row, form: Ids, captured_at: datetime, now: datetime) -> tuple[PastRefund, ...]:
    listed = row.get("refunds", [])
    if not isinstance(listed, list) or not all(isinstance(one, Mapping) for one in listed):
        raise RowRefusedError("refunds must be a list of objects with refund, amount and refunded_at")
    if len(listed) > REFUNDS:
        raise RowRefusedError(f"refunds may be {REFUNDS} at most")
    refunds = tuple(_refund(one, form, captured_at, now) for one in listed)
    if len({one.ref for one in refunds}) != len(refunds):
        raise RowRefusedError("refunds names one refund twice")
    return refunds


def _refund(listed: Row, form: Ids, captured_at: datetime, now: datetime) -> PastRefund:
    for name in listed:
        if name not in {"refund", "amount", "refunded_at"}:
            raise RowRefusedError(f"refunds.{name} is not known here")
    amount = _integer(listed, "amount")
    if amount <= 0:
        raise RowRefusedError(f"the amount of a refund must be more than 0; it is {amount}")
    at = _time(listed, "refunded_at", now, since=captured_at)
    return PastRefund(ref=_of(listed, "refund", form.refund, "an id of the gateway's"), amount=amount, at=at)


def _refunded(row: Row, refunds: Iterable[PastRefund]) -> int:
    """All that was given back: at least what the named refunds come to, which is also what it is where left out."""
    named = sum(one.amount for one in refunds)
    refunded = named if row.get("refunded") is None else _integer(row, "refunded")
    if refunded < 0:
        raise RowRefusedError(f"refunded may not be negative; it is {refunded}")
    if refunded < named:
        raise RowRefusedError(f"refunded is {refunded}, less than the {named} of the refunds named")
    return refunded


def _attempt_ref(row: Row, gateway: str, form: Ids) -> str | None:
    for other in IDS.values():
        if other is not form and row.get(other.attempt_field) is not None:
            raise RowRefusedError(
                f"{other.attempt_field} is not {gateway}'s; its own is {form.attempt_field}"
            )
    return _optional(row, form.attempt_field, form.attempt.fullmatch, f"an id of {gateway}'s")


def _group(row: Row, name: str) -> dict[str, str]:
    """A nested object of texts, each of its own form."""
    group, forms = row.get(name, {}), _NESTED[name]
    if not isinstance(group, Mapping):
        raise RowRefusedError(f"{name} must be an object")
    for inner, value in group.items():
        if inner not in forms:
            raise RowRefusedError(f"{name}.{inner} is not known here")
        if not isinstance(value, str) or not forms[inner].fullmatch(value):
            raise RowRefusedError(f"{name}.{inner} is not of the form it should have")
    return dict(group)


def _named(method: Mapping[str, str]) -> dict[str, str]:
    """As facts name it: what is the `type` of a method is the `method` of a charge."""
    return {("method" if name == "type" else name): value for name, value in method.items()}


def _metadata(row: Row) -> dict[str, str]:
    given = row.get("metadata", {})
    if not isinstance(given, Mapping) or len(given) > METADATA_PAIRS:
        raise RowRefusedError(f"metadata must be an object of at most {METADATA_PAIRS} pairs")
    for name, value in given.items():
        if not 0 < len(name) <= 40 or not isinstance(value, str) or len(value) > 500:  # noqa: PLR2004  Stripe's limits
            raise RowRefusedError("metadata holds texts of up to 500 characters, under names of up to 40")
    return dict(given)


@dataclass(frozen=True, slots=True)
class Opening:
    """One thing that the gateway is taken to have said of a payment of before, and what it means in the books."""

    report: Report
    rule: str
    entries: tuple[Entry, ...]


def openings(past: Past, *, as_of: datetime) -> list[Opening]:
    """Captured once; given back by name, or all together.

    What was given back without a name is said as of when the figures were true: a refund that the gateway tells of later
    and that was made by then is one of those, and one made since is not.
    """
    named = sum(one.amount for one in past.refunds)
    told = [Opening(_told(past, Kind.CHARGE_CAPTURED), OPENED, opening(past.captured))]
    for one in past.refunds:
        report = _told(past, Kind.REFUND_SUCCEEDED, object_id=one.ref, amount=one.amount, at=one.at)
        told.append(Opening(report, OPENED_REFUND, opening(-one.amount)))
    if past.refunded > named:
        at = max(as_of, past.captured_at, *(one.at for one in past.refunds))
        report = _told(past, Kind.OPENING_REFUNDED, amount=past.refunded, at=at)
        told.append(Opening(report, OPENED_REFUND, opening(named - past.refunded)))
    return told


def _told(
    past: Past,
    kind: Kind,
    *,
    object_id: str | None = None,
    amount: int | None = None,
    at: datetime | None = None,
) -> Report:
    return Report(
        kind=kind,
        object_id=object_id or past.charge_ref,
        amount=Money(amount or past.captured, past.currency),
        at=at or past.captured_at,
        attempt_ref=past.attempt_ref,
        charge_ref=past.charge_ref,
        detail=past.detail if kind is Kind.CHARGE_CAPTURED else {},
    )


def is_charge(text: object) -> bool:
    """Whether this may be shown as the id of a charge: it is one of some gateway's, and no card number."""
    return _is_id(text) and any(form.charge.fullmatch(str(text)) for form in IDS.values())


def _is_id(text: object) -> bool:
    """Whether this is an id of some gateway's. In a long one a few digits may well look like a card number; not in one
    that is made of digits alone.
    """
    forms = (form for ours in IDS.values() for form in (ours.attempt, ours.charge))
    if not isinstance(text, str) or not any(form.fullmatch(text) for form in forms):
        return False
    own = text.partition("_")[2]
    return not (own.isdigit() and looks_like_card(own))


# Files


def texts(lines: Iterable[bytes]) -> Iterator[str]:
    """The lines of a file as texts; bytes that are no UTF-8 stay recognisable, so that their row is refused alone.

    Raises InvalidRequestError where a line is longer than MAX_LINE bytes.
    """
    for number, line in enumerate(lines, start=1):
        if len(line) > MAX_LINE:
            raise InvalidRequestError(f"Line {number} is longer than {MAX_LINE} bytes.")
        yield line.decode("utf-8", "surrogateescape").removeprefix("\ufeff" if number == 1 else "")


def of_json_lines(lines: Iterable[str]) -> Iterator[Told]:
    """A JSON object a line; empty lines are passed over."""
    for number, line in enumerate(lines, start=1):
        if line.strip():
            yield _of_json(number, line)


def _of_json(number: int, line: str) -> Told:
    try:
        row = _json(line)
    except RecursionError:
        return Told(number, refused="it is nested too deeply")
    except ValueError:
        return Told(number, refused="it is not JSON")
    return Told(number, row) if isinstance(row, dict) else Told(number, refused="it is not a JSON object")


def _json(text: str) -> Any:
    return json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name stands twice")
    return names


def _no_constant(constant: str) -> NoReturn:
    raise ValueError(constant)


def of_csv(lines: Iterable[str]) -> Iterator[Told]:
    """Rows under a header of names. Raises InvalidRequestError where the header or the quoting is wrong."""
    reader = csv.reader(lines, strict=True)
    try:
        header = next(reader, [])
        _check_header(header)
        for cells in reader:
            if cells:
                yield _of_cells(reader.line_num, header, cells)
    except csv.Error as wrong:
        raise InvalidRequestError(f"Line {reader.line_num} is not CSV: {wrong}.") from None


def _check_header(header: list[str]) -> None:
    """Raise InvalidRequestError: one sentence about the columns, before any row is read."""
    if missing := [name for name in REQUIRED if name not in header]:
        raise InvalidRequestError(f"The file has no column {', '.join(missing)}.")
    if unknown := [name for name in header if not _is_column(name)]:
        raise InvalidRequestError(f"Not known here: the column {', '.join(map(repr, unknown))}.")
    if len(set(header)) != len(header):
        raise InvalidRequestError("A column stands twice.")


def _is_column(name: str) -> bool:
    group, dot, inner = name.partition(".")
    if not dot:
        return name in FIELDS and name not in {"customer", "metadata", "method"}
    return bool(inner) and (group == "metadata" or inner in _NESTED.get(group, {}))


def _of_cells(number: int, header: list[str], cells: list[str]) -> Told:
    if len(cells) != len(header):
        return Told(number, refused=f"it has {len(cells)} cells under {len(header)} columns")
    row: dict[str, Any] = {}
    for name, cell in zip(header, cells, strict=True):
        group, dot, inner = name.partition(".")
        if cell and dot:
            row.setdefault(group, {})[inner] = cell
        elif cell:
            row[name] = cell
    try:
        return Told(number, {**row, "refunds": _json(row["refunds"])} if "refunds" in row else row)
    except (ValueError, RecursionError):
        return Told(number, refused="refunds is not JSON")
