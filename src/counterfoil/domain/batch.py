"""A batch: many refunds in one file, checked row by row before any is sent, and approved together by its total.

A file is CSV in UTF-8 with a header: payment, amount (minor units; empty is all that is left), reason, note.
"""

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.ids import is_id
from counterfoil.domain.machine import Machine
from counterfoil.domain.money import MAX_MINOR, Money
from counterfoil.domain.pan import looks_like_card

ROWS_MOST: Final = 10_000  # what one person can answer for with one look at its total and its result
COLUMNS: Final = ("payment", "amount", "reason", "note")
NEEDED: Final = ("payment", "reason")
NOTE_CHARS: Final = 500
FAULTS_TOLD: Final = 100  # a file with more is wrong as a whole


class State(StrEnum):
    PENDING_APPROVAL = "pending_approval"
    RUNNING = "running"  # approved: its rows become refunds, one after the other
    DONE = "done"
    REJECTED = "rejected"
    CANCELLED = "cancelled"


class Command(StrEnum):
    APPROVE = "approve"
    REJECT = "reject"
    CANCEL = "cancel"
    EXPIRE = "expire"
    FINISH = "finish"


DECISIONS: Final = Machine.read(
    State,
    Command,
    """
                        approve   reject    cancel     expire     finish
    pending_approval    running   rejected  cancelled  cancelled  !
    running             .         !         !          !          done
    done                !         !         !          !          .
    rejected            !         .         !          !          !
    cancelled           !         !         .          .          !
    """,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One row of a file, by the line on which it stands. `amount` None is all that is left."""

    number: int
    payment_id: str
    amount: int | None
    reason: str
    note: str | None


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a row cannot be taken, as a sentence that quotes nothing but ids."""

    row: int
    problem: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Batch:
    """A file of refunds. `totals` maps currencies to minor units; `digest` is of the file's bytes."""

    id: str
    merchant_id: str
    mode: str
    name: str
    digest: str
    state: State
    because: str | None
    needed: int
    requested_by: str
    person: str
    role: str
    rows: int
    totals: Mapping[str, int]
    requested_at: datetime
    approved_at: datetime | None
    expires_at: datetime | None  # until then it may be approved
    reminded_at: datetime | None
    ended_at: datetime | None
    next_check_at: datetime | None

    @property
    def total(self) -> str:
        """What it comes to, currency by currency, as a person writes it."""
        return " and ".join(str(Money(total, currency)) for currency, total in sorted(self.totals.items()))


def read(text: str) -> tuple[list[Row], list[Fault]]:
    """The rows of a file, and what is wrong with others. Raises InvalidRequestError where it is no such file at all."""
    if "\x00" in text:
        raise InvalidRequestError("The file holds the character U+0000: it is no text.", field="csv")
    lines = list(_lines(text))
    header = _header(lines[0][1] if lines else [])
    told = [_row(number, header, cells) for number, cells in lines[1:]]
    if not told:
        raise InvalidRequestError("The file has no rows.", field="csv")
    return [row for row in told if isinstance(row, Row)], [row for row in told if isinstance(row, Fault)]


def _lines(text: str) -> Iterator[tuple[int, list[str]]]:
    """The lines that say something, each with its number."""
    lines, said = csv.reader(text.removeprefix("\ufeff").splitlines(keepends=True), strict=True), 0
    try:
        for cells in lines:
            if any(cell.strip() for cell in cells):
                said += 1
                yield lines.line_num, cells
            if said > ROWS_MOST + 1:
                raise InvalidRequestError(f"A file may have {ROWS_MOST} rows at most.", field="csv")
    except csv.Error as error:
        raise InvalidRequestError(f"Line {lines.line_num} is no CSV: {error}.", field="csv") from None


def _header(cells: list[str]) -> list[str]:
    header = [cell.strip().lower() for cell in cells]
    missing = [name for name in NEEDED if name not in header]
    strange = [name[:40] for name in header if name not in COLUMNS]
    if missing or strange or len(header) != len(set(header)):
        raise InvalidRequestError(
            f"The first line must name the columns {', '.join(COLUMNS)}; amount and note may be left out.",
            field="csv",
        )
    return header


def _row(number: int, header: list[str], cells: list[str]) -> Row | Fault:
    if len(cells) != len(header):
        return Fault(number, f"has {len(cells)} cells, and the header {len(header)}")
    told = {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
    if problem := next(_problems(told), None):
        return Fault(number, problem)
    return Row(
        number=number,
        payment_id=told["payment"],
        amount=int(told["amount"]) if told.get("amount") else None,
        reason=told["reason"],
        note=told.get("note") or None,
    )


def _problems(told: Mapping[str, str]) -> Iterator[str]:
    if not is_id("payment", told["payment"]):
        yield "payment is no id of a payment"
    amount = told.get("amount", "")
    if amount and not (amount.isascii() and amount.isdigit() and 0 < int(amount[:20]) <= MAX_MINOR):
        yield "amount must be a whole number of minor units, above zero"
    if not told["reason"]:
        yield "reason is missing"
    note = told.get("note", "")
    if len(note) > NOTE_CHARS:
        yield f"note may have {NOTE_CHARS} characters at most"
    if looks_like_card(note) or looks_like_card(told["reason"]):
        yield "a card number stands in it; nothing of it was kept"
