"""All receipts of a period in one file: a zip of PDFs, or one Excel book with a row for each.

Receipts are read page by page and written as they come, so that ten thousand take no more memory than a hundred. A zip
that was cut off goes on: one in a file where it stands, what is in it being not drawn again; one that is sent, behind the
last receipt that arrived.
"""

import asyncio
import zipfile
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path
from typing import IO, Final, cast

from counterfoil.documents import xlsx
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.money import Money
from counterfoil.domain.receipt import Receipt
from counterfoil.services import receipts
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.store import payments
from counterfoil.store import receipts as stored
from counterfoil.store.receipts import Issued

PAGE: Final = 100
AT_ONCE: Final = 4  # drawn at once; as many workers draw
HEADER: Final = (
    "Number", "Kind", "Issued", "Payment", "Refund", "Buyer", "Total", "Tax", "Refunded", "Net", "Method", "Void",
)  # fmt: skip
Progress = Callable[[int, int], None]


def unwatched(_done: int, _of: int) -> None:
    """Progress that nobody watches."""


async def count(ctx: Context, caller: Caller, since: datetime, until: datetime) -> int:
    """How many receipts were issued from one moment until before another."""
    async with ctx.db.reading() as conn:
        return await stored.count(conn, caller.merchant_id, caller.mode, since, until)


async def each(
    ctx: Context, caller: Caller, since: datetime, until: datetime, *, after: str = ""
) -> AsyncIterator[tuple[Issued, Receipt]]:
    """Every receipt of the period behind the one with that id, oldest first, as it stands now."""
    while True:
        async with ctx.db.reading() as conn:
            found = await stored.after(
                conn, caller.merchant_id, caller.mode, since, until, after=after, limit=PAGE
            )
            ids = sorted({one.payment_id for one in found})
            families = {family.payment.id: family for family in await payments.families(conn, ids)}
        for issued in found:
            yield issued, receipts.shown(ctx, issued, families[issued.payment_id])
        if len(found) < PAGE:
            return
        after = found[-1].id


async def to_zip(
    ctx: Context,
    caller: Caller,
    since: datetime,
    until: datetime,
    path: Path,
    *,
    chosen: str,
    progress: Progress,
) -> int:
    """Write a zip with a file for each receipt, named by its number; how many there are. Goes on where it was cut off."""
    total, done = await count(ctx, caller, since, until), 0
    there = _names(path)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        waiting: list[Receipt] = []
        async for issued, receipt in each(ctx, caller, since, until):
            done += 1
            if f"{issued.number}.{chosen}" not in there:
                waiting.append(receipt)
            if len(waiting) == AT_ONCE:
                await _write(ctx, archive, waiting, chosen)
                waiting = []
            progress(done, max(done, total))
        await _write(ctx, archive, waiting, chosen)
    return done


class _Pipe:
    """What a zip is written into where nobody can go back in it: taken out piece by piece."""

    def __init__(self) -> None:
        self._held = bytearray()

    def write(self, part: bytes) -> int:
        self._held += part
        return len(part)

    def flush(self) -> None:
        """Nothing is kept back."""

    def taken(self) -> bytes:
        held, self._held = bytes(self._held), bytearray()
        return held


async def zipped(
    ctx: Context, caller: Caller, since: datetime, until: datetime, *, chosen: str, after: str = ""
) -> AsyncIterator[bytes]:
    """The same zip piece by piece, as it is drawn; of the receipts behind the one with that id."""
    pipe, waiting = _Pipe(), list[Receipt]()
    with zipfile.ZipFile(cast("IO[bytes]", pipe), "w", zipfile.ZIP_DEFLATED, allowZip64=True) as archive:
        async for _, receipt in each(ctx, caller, since, until, after=after):
            waiting.append(receipt)
            if len(waiting) == AT_ONCE:
                await _write(ctx, archive, waiting, chosen)
                waiting = []
                yield pipe.taken()
        await _write(ctx, archive, waiting, chosen)
    yield pipe.taken()


def _names(path: Path) -> frozenset[str]:
    """What a zip holds already. Raises InvalidRequestError where a file is there that is none."""
    if not path.exists() or path.stat().st_size == 0:
        return frozenset()
    try:
        with zipfile.ZipFile(path) as archive:
            return frozenset(archive.namelist())
    except zipfile.BadZipFile:
        raise InvalidRequestError(
            f"{path} is no zip that could be gone on with: remove it, or choose another."
        ) from None


async def _write(ctx: Context, archive: zipfile.ZipFile, waiting: list[Receipt], chosen: str) -> None:
    drawn = await asyncio.gather(*(receipts.render(ctx, receipt, chosen) for receipt in waiting))
    for receipt, content in zip(waiting, drawn, strict=True):
        entry = zipfile.ZipInfo(f"{receipt.number}.{chosen}", receipt.issued_at.timetuple()[:6])
        entry.compress_type = zipfile.ZIP_DEFLATED
        archive.writestr(entry, content)


async def to_book(
    ctx: Context, caller: Caller, since: datetime, until: datetime, path: Path, *, progress: Progress
) -> int:
    """Write one Excel book with a row for each receipt; how many there are."""
    total, done = await count(ctx, caller, since, until), 0

    with xlsx.Rows(path, "Receipts", HEADER, made_at=ctx.now()) as book:
        async for issued, receipt in each(ctx, caller, since, until):
            book.add(row(issued, receipt))
            done += 1
            progress(done, max(done, total))
    return done


def row(issued: Issued, receipt: Receipt) -> tuple[xlsx.Cell, ...]:
    """A receipt in one line of a book."""
    tax = sum(one.amount for one in receipt.taxes)
    return (
        receipt.number,
        receipt.kind.value,
        receipt.issued_at.isoformat(timespec="seconds"),
        issued.payment_id,
        issued.refund_id,
        receipt.buyer.name,
        Money(receipt.total, receipt.currency),
        Money(tax, receipt.currency),
        Money(receipt.refunded, receipt.currency),
        Money(receipt.net, receipt.currency),
        receipt.method,
        receipt.voided,
    )
