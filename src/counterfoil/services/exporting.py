"""All receipts of a period in one file: a zip of PDFs, or one Excel book with a row for each.

Receipts are read page by page and written as they come, so that ten thousand take no more memory than a hundred. A zip
that was cut off goes on: one in a file where it stands, what is in it being not drawn again; one that is sent, behind the
last receipt that arrived. What packs or writes does so in a thread: whoever asks for anything meanwhile waits for none of it.
"""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from contextlib import aclosing, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import IO, Final, TypeVar, cast

from counterfoil.documents import archive, xlsx
from counterfoil.documents.archive import Archive, File, Pipe
from counterfoil.domain import ids
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.money import Money
from counterfoil.domain.receipt import Receipt
from counterfoil.domain.receipt_export import BOOK
from counterfoil.services import receipts, signing
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.services.progress import Progress, nobody_watches
from counterfoil.store import payments
from counterfoil.store import receipts as stored
from counterfoil.store.receipts import Issued

PAGE: Final = 100
AT_ONCE: Final = 4  # drawn at once; as many workers draw
BOOK_MOST: Final = xlsx.ROWS_MOST - 1  # the first row names the columns
HEADER: Final = (
    "Number", "Kind", "Issued", "Payment", "Refund", "Buyer", "Total", "Tax", "Refunded", "Net", "Method", "Void",
)  # fmt: skip
Shown = tuple[Issued, Receipt]
Out = TypeVar("Out", Archive, xlsx.Rows)


async def count(ctx: Context, caller: Caller, since: datetime, until: datetime) -> int:
    """How many receipts were issued from one moment until before another."""
    async with ctx.db.reading() as conn:
        return await stored.count(conn, caller.merchant_id, caller.mode, since, until)


async def begin(ctx: Context, chosen: str) -> None:
    """Raise SigningAwayError where its PDFs are to be signed and cannot be: before anything of it is sent or written."""
    if chosen == "pdf":
        await signing.signer(ctx)


async def last_arrived(ctx: Context, caller: Caller, named: str) -> str:
    """The id of a receipt that is named by it or by its number, as files in a zip are. Raises InvalidRequestError."""
    if ids.is_id("receipt", named):
        return named
    async with ctx.db.reading() as conn:
        found = await stored.numbered(conn, caller.merchant_id, caller.mode, named)
    if found is None:
        raise InvalidRequestError("after is no id and no number of a receipt.", field="after")
    return found


async def pages(
    ctx: Context,
    caller: Caller,
    since: datetime,
    until: datetime,
    *,
    after: str = "",
    last: str | None = None,
) -> AsyncIterator[list[Shown]]:
    """Every receipt of the period behind the one with that id, up to the last, oldest first, as it stands now."""
    while True:
        found = await page(ctx, caller, since, until, after=after, last=last)
        yield found
        if len(found) < PAGE:
            return
        after = found[-1][0].id


async def page(
    ctx: Context, caller: Caller, since: datetime, until: datetime, *, after: str, last: str | None = None
) -> list[Shown]:
    """The next receipts of the period behind the one with that id; fewer than PAGE where no more come."""
    async with ctx.db.reading() as conn:
        found = await stored.after(
            conn, caller.merchant_id, caller.mode, since, until, after=after, last=last, limit=PAGE
        )
        of = sorted({one.payment_id for one in found})
        families = {family.payment.id: family for family in await payments.families(conn, of)}
    return [(issued, receipts.shown(ctx, issued, families[issued.payment_id])) for issued in found]


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
    """Write a zip with a file for each receipt, named by its number; how many there are. Goes on where it was cut off.

    Raises InvalidRequestError where a file is there that is no such zip, SigningAwayError, and OSError.
    """
    await begin(ctx, chosen)
    total, done = await count(ctx, caller, since, until), 0
    async with _closed_behind(await asyncio.to_thread(_resumed, path)) as out:
        async for some in pages(ctx, caller, since, until):
            for few in few_of(some):
                await _write(ctx, out, [one for one in few if _name(one, chosen) not in out.names], chosen)
                done += len(few)
                progress(done, max(done, total))
    return done


async def zipped(
    ctx: Context, caller: Caller, since: datetime, until: datetime, *, chosen: str, after: str = ""
) -> AsyncIterator[bytes]:
    """The same zip piece by piece, as it is drawn; of the receipts behind the one with that id."""
    pipe = Pipe()
    async with _closed_behind(Archive(cast("IO[bytes]", pipe))) as out:
        async for some in pages(ctx, caller, since, until, after=after):
            for few in few_of(some):
                await _write(ctx, out, few, chosen)
                yield pipe.taken()
    yield pipe.taken()


@asynccontextmanager
async def _closed_behind(out: Out) -> AsyncIterator[Out]:
    try:
        yield out
    finally:
        await asyncio.to_thread(out.close)


def _resumed(path: Path) -> archive.Resumed:
    try:
        return archive.Resumed(path, tuple(f".{one}" for one in receipts.FORMATS))
    except archive.NotOursError:
        raise InvalidRequestError(
            f"{path} is no zip that could be gone on with: remove it, or choose another."
        ) from None


def few_of(some: list[Shown]) -> Iterator[list[Receipt]]:
    """So many as are drawn at once."""
    for first in range(0, len(some), AT_ONCE):
        yield [receipt for _, receipt in some[first : first + AT_ONCE]]


def _name(receipt: Receipt, chosen: str) -> str:
    return f"{receipt.number}.{chosen}"


async def _write(ctx: Context, out: Archive, few: list[Receipt], chosen: str) -> None:
    await asyncio.to_thread(out.add, await drawn(ctx, few, chosen))


async def drawn(ctx: Context, few: list[Receipt], chosen: str) -> list[File]:
    """The receipts as files of a zip, drawn side by side. Raises SigningAwayError."""
    contents = await asyncio.gather(*(receipts.render(ctx, receipt, chosen) for receipt in few))
    return [
        File(_name(receipt, chosen), receipt.issued_at, content)
        for receipt, content in zip(few, contents, strict=True)
    ]


async def to_book(
    ctx: Context,
    caller: Caller,
    since: datetime,
    until: datetime,
    path: Path,
    *,
    progress: Progress = nobody_watches,
) -> int:
    """Write one Excel book with a row for each receipt; how many there are.

    Raises InvalidRequestError where they are more than a book holds, and OSError.
    """
    total, done = await count(ctx, caller, since, until), 0
    fits(BOOK, total)
    async with aclosing(booked(ctx, caller, since, until, path)) as going:
        async for done in going:
            progress(done, max(done, total))
    return done


async def booked(
    ctx: Context, caller: Caller, since: datetime, until: datetime, path: Path, *, last: str | None = None
) -> AsyncGenerator[int, None]:
    """Write the book page by page: how many are in it, again and again. It is whole when this ends. Raises OSError."""
    done = 0
    await asyncio.to_thread(path.touch)  # whether it can be written is told now, not when all is done
    async with _closed_behind(await asyncio.to_thread(_book, ctx, path)) as book:
        async for some in pages(ctx, caller, since, until, last=last):
            await asyncio.to_thread(book.add_all, [row(*one) for one in some])
            done += len(some)
            yield done


def fits(chosen: str, many: int) -> None:
    """Raise InvalidRequestError where so many receipts are more than a file of this format holds."""
    if chosen == BOOK and many > BOOK_MOST:
        raise InvalidRequestError(
            f"A book holds {BOOK_MOST:,} receipts, and these are {many:,}: ask for a shorter period, or for a zip.",
            field="format",
        )


def _book(ctx: Context, path: Path) -> xlsx.Rows:
    return xlsx.Rows(path, "Receipts", HEADER, made_at=ctx.now())


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
