"""Receipts exported in the background: asked for, made by the worker step by step, kept in parts, fetched by whoever may.

A step of a zip is some of its files. They are kept in the commit that says how far it is, so that whoever takes over from a
process that died goes on behind them, knowing nothing but the row: the list of files, with which a zip ends, is kept beside
them until then. An Excel book cannot be gone on with in its middle: it is begun again.
"""

import asyncio
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import aclosing, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

import structlog

from counterfoil.documents import archive
from counterfoil.domain.errors import (
    CounterfoilError,
    DatabaseAwayError,
    GoneError,
    NotFoundError,
    NotPermittedError,
    RateLimitedError,
    WrongStateError,
)
from counterfoil.domain.operator import Role, may
from counterfoil.domain.receipt_export import BOOK, DECISIONS, OPEN, Command, Export, State
from counterfoil.services import exporting, idempotency, publishing, records
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.services.exporting import Shown
from counterfoil.services.idempotency import Hold, Replay
from counterfoil.store import audit
from counterfoil.store import receipt_exports as store
from counterfoil.store import receipts as stored_receipts
from counterfoil.store.database import Connection
from counterfoil.store.receipt_exports import PART_BYTES

KEPT: Final = timedelta(days=7)  # its file: it holds names and addresses, and can be made again
TOLD: Final = timedelta(days=90)  # that there was one, who asked for it, and what came of it
KEPT_MOST: Final = 20  # of a merchant in a mode: ten thousand PDFs are half a gigabyte of the database
LEASE: Final = timedelta(minutes=1)  # past any step that still runs
STEP_S: Final = 20.0  # what is drawn by then is kept: a step ends long before its lease
STEP_BYTES: Final = 8 << 20  # or when so much is drawn: however large receipts are, memory holds a few
# How long after each try that broke off the next one follows; the last of them is the end.
PAUSES: Final = (
    timedelta(seconds=10),
    timedelta(minutes=1),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
)
TRIES: Final = len(PAUSES) + 1
PRUNED_AT_ONCE: Final = 100  # parts: a hundred megabytes

# What changes of an export while it is made, and at its end.
_FURTHER: Final = ("total", "done", "done_id", "size", "listed", "tries", "error", "next_check_at")
_TO_AN_END: Final = (*_FURTHER, "state", "ended_at", "expires_at")

log = structlog.get_logger()


class _TakenAwayError(Exception):
    """It was cancelled, or its lease was over and another has it: what was made of it since is dropped."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """Which receipts, and as what: a format of receipts for a zip of them, or `book`."""

    issued_from: datetime
    issued_to: datetime
    format: str


async def ask(
    ctx: Context, caller: Caller, ask: Ask, *, id_: str, hold: Hold | None = None
) -> Export | Replay:
    """Have the receipts of a period that stand now put into one file; the worker does it.

    Raises SigningAwayError, InvalidRequestError where they are more than a book holds, and RateLimitedError where too many
    files are kept already.
    """
    await exporting.begin(ctx, ask.format)
    async with ctx.db.transaction() as conn:
        held = await idempotency.claim(ctx, conn, hold, id_) if hold else None
        if isinstance(held, Replay):
            return held
        if held is not None:
            return await _of(conn, caller, held.payment_id)
        if await store.kept(conn, caller.merchant_id, caller.mode) >= KEPT_MOST:
            raise RateLimitedError(
                f"{KEPT_MOST} exports are kept already: cancel one that nobody needs, or wait until one expires."
            )
        total, last = await stored_receipts.standing(
            conn, caller.merchant_id, caller.mode, ask.issued_from, ask.issued_to
        )
        exporting.fits(ask.format, total)
        export = _new(ctx, caller, ask, id_, total, last)
        await store.insert(conn, export)
        await _audit(ctx, conn, export, "request", caller.actor)
    return export


def _new(ctx: Context, caller: Caller, ask: Ask, id_: str, total: int, last: str) -> Export:
    now = ctx.now()
    return Export(
        id=id_,
        merchant_id=caller.merchant_id,
        mode=caller.mode,
        state=State.WAITING,
        format=ask.format,
        issued_from=ask.issued_from,
        issued_to=ask.issued_to,
        last_id=last,
        total=total,
        done=0,
        done_id="",
        size=0,
        listed=0,
        tries=0,
        error=None,
        asked_by=caller.actor,
        created_at=now,
        started_at=None,
        ended_at=None,
        expires_at=None,
        next_check_at=now,
    )


async def cancel(ctx: Context, caller: Caller, export_id: str) -> Export:
    """Leave it, or forget the file that came of it. For who asked for it, and for the role support.

    Raises WrongStateError where there is nothing left to cancel.
    """
    async with ctx.db.transaction() as conn:
        export = await _of(conn, caller, export_id, locked=True)
        if caller.actor != export.asked_by and not may(caller.role, Role.SUPPORT):
            raise NotPermittedError(needs=Role.SUPPORT.value, has=caller.role.value)
        state = DECISIONS.next(export.state, Command.CANCEL)
        if state is not export.state:
            await _end(ctx, conn, export, state)
            await _audit(ctx, conn, export, "cancel", caller.actor)
        return await _of(conn, caller, export_id)


async def get(ctx: Context, caller: Caller, export_id: str) -> Export:
    async with ctx.db.reading() as conn:
        return await _of(conn, caller, export_id)


async def page(
    ctx: Context, caller: Caller, *, limit: int, before: str | None
) -> tuple[list[Export], str | None]:
    """Exports, newest first."""
    async with ctx.db.reading() as conn:
        found = await store.page(conn, caller.merchant_id, caller.mode, limit=limit + 1, before=before)
    return found[:limit], found[limit - 1].id if len(found) > limit else None


async def ready(ctx: Context, caller: Caller, export_id: str) -> Export:
    """The export whose file is to be fetched. Raises WrongStateError where it is not ready, GoneError where it has expired."""
    export = await get(ctx, caller, export_id)
    if export.state is State.EXPIRED:
        raise GoneError(f"The file was kept until {records.instant(export.expires_at)}.")
    if export.state is not State.READY:
        raise WrongStateError(command="fetch the file", state=export.state.value, because=_because(export))
    return export


def _because(export: Export) -> str:
    if export.state in OPEN:
        return f"{export.done} of {export.total} receipts are in it"
    return (export.error or "").rstrip(".")


async def content(ctx: Context, export: Export, *, behind: int = 0) -> AsyncIterator[bytes]:
    """Its file behind so many bytes, part by part; no connection is held between them. Raises GoneError."""
    while behind < export.size:
        async with ctx.db.reading() as conn:
            found = await store.part(conn, export.id, behind)
        if found is None:
            raise GoneError("The file was forgotten meanwhile.")
        begins, part = found
        yield part[behind - begins :]
        behind = begins + len(part)


async def carry_out(ctx: Context) -> bool:
    """One step of an export that is due. True where there may be more."""
    async with ctx.db.reading() as conn:
        if not await store.any_due(conn, ctx.now()):
            return False
    async with ctx.db.transaction() as conn:
        export = await store.take_due(conn, now=ctx.now(), until=ctx.now() + LEASE)
    if export is None:
        return False
    try:
        await _step(ctx, export)
    except _TakenAwayError:
        log.info("export goes on without us, or not at all", export=export.id)
    except DatabaseAwayError:
        raise
    except Exception as error:  # noqa: BLE001  whatever it was, whoever asked reads it on the export
        log.warning("export broke off", export=export.id, tries=export.tries, error=type(error).__name__)
        sentence = (
            error.detail if isinstance(error, CounterfoilError) else f"It broke off: {type(error).__name__}."
        )
        await _put_off(ctx, export, sentence)
    return True


async def _step(ctx: Context, export: Export) -> None:
    if export.tries > TRIES:  # each try ended with its process
        await _put_off(
            ctx, export, export.error or f"Its process ended {TRIES} times over the same receipts."
        )
    elif export.format == BOOK:
        await _write_book(ctx, export)
    else:
        await _add_files(ctx, export)


async def _put_off(ctx: Context, export: Export, sentence: str) -> None:
    """It is tried again after a while; after the last try it has failed."""
    told = replace(export, error=sentence)
    with suppress(_TakenAwayError):
        async with _held(ctx, export) as conn:
            if export.tries >= TRIES:
                await _end(ctx, conn, told, DECISIONS.next(export.state, Command.FAIL))
            else:
                await _keep(conn, replace(told, next_check_at=ctx.now() + PAUSES[export.tries - 1]))


async def _add_files(ctx: Context, export: Export) -> None:
    """Draw the next receipts and keep them; where none comes behind them, the list of all closes the zip."""
    found = await exporting.page(
        ctx,
        _worker_for(export),
        export.issued_from,
        export.issued_to,
        after=export.done_id,
        last=export.last_id,
    )
    files = await _drawn(ctx, found, export.format)
    made = await asyncio.to_thread(archive.piece, files, export.size)
    done = export.done + len(files)
    further = replace(
        export,
        done=done,
        done_id=found[len(files) - 1][0].id if files else export.done_id,
        total=max(export.total, done),
        size=export.size + len(made.files),
        listed=export.listed + len(made.listed),
    )
    async with _held(ctx, export) as conn:
        await store.add(conn, export.id, export.size, [made.files])
        await store.add(conn, export.id, export.listed, [made.listed], listed=True)
        if len(files) == len(found) < exporting.PAGE:
            await _close(ctx, conn, further)
        else:
            await _go_on(conn, further, due=ctx.now())


async def _drawn(ctx: Context, found: list[Shown], chosen: str) -> list[archive.File]:
    """The first of these receipts as files: so many as one step may take."""
    files, size, began = list[archive.File](), 0, time.monotonic()
    for few in exporting.few_of(found):
        files += (drawn := await exporting.drawn(ctx, few, chosen))
        size += sum(len(file.content) for file in drawn)
        if size > STEP_BYTES or time.monotonic() - began > STEP_S:
            break
    return files


async def _close(ctx: Context, conn: Connection, export: Export) -> None:
    end = archive.end(export.done, files=export.size, listed=export.listed)
    await store.close_list(conn, export.id, export.size)
    size = await store.add(conn, export.id, export.size + export.listed, [end])
    await _finish(ctx, conn, replace(export, size=size))


async def _write_book(ctx: Context, export: Export) -> None:
    """Write the whole book to a file of this machine, then keep it in one commit."""
    with tempfile.TemporaryDirectory(prefix="counterfoil-") as folder:
        path = Path(folder, export.filename)
        book = exporting.booked(
            ctx, _worker_for(export), export.issued_from, export.issued_to, path, last=export.last_id
        )
        async with aclosing(book) as going:
            async for done in going:
                export = replace(export, done=done, total=max(export.total, done))
                async with _held(ctx, export) as conn:
                    export = await _go_on(conn, export, due=ctx.now() + LEASE, tries=export.tries)
        async with _held(ctx, export) as conn:
            size = await store.add(conn, export.id, 0, _chunks(path))
            await _finish(ctx, conn, replace(export, size=size))


def _chunks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while chunk := file.read(PART_BYTES):
            yield chunk


@asynccontextmanager
async def _held(ctx: Context, export: Export) -> AsyncIterator[Connection]:
    """A transaction in which nobody else gets on with it. Raises _TakenAwayError where somebody has since it was taken."""
    async with ctx.db.transaction() as conn:
        if not await store.hold(conn, export):
            raise _TakenAwayError
        yield conn


async def _go_on(conn: Connection, export: Export, *, due: datetime, tries: int = 0) -> Export:
    """Keep how far it is, and from when on whoever comes may take it; the export as it is held then."""
    further = replace(export, tries=tries, error=None, next_check_at=due)
    await _keep(conn, further)
    return further


async def _keep(conn: Connection, export: Export, names: Sequence[str] = _FURTHER) -> None:
    await store.update(conn, export.id, **{name: getattr(export, name) for name in names})


async def _finish(ctx: Context, conn: Connection, export: Export) -> None:
    state = DECISIONS.next(export.state, Command.FINISH)
    await _end(ctx, conn, replace(export, tries=0, error=None), state)


async def _end(ctx: Context, conn: Connection, export: Export, state: State) -> None:
    """It has come to an end: nothing but a file that is ready is kept.

    The merchant's own backend hears of that file, and of one that will not come; whoever cancels knows it.
    """
    now = ctx.now()
    ended = replace(
        export,
        state=state,
        ended_at=export.ended_at or now,
        expires_at=now + KEPT if state is State.READY else now,
        next_check_at=None,
    )
    await _keep(conn, ended, _TO_AN_END)
    if state is not State.CANCELLED:
        await publishing.receipt_export(ctx, conn, ended)


async def prune(ctx: Context) -> bool:
    """Forget files that have had their time, and after three months that there were any. True where there may be more."""
    async with ctx.db.transaction() as conn:
        await store.expire(conn, ctx.now())
        gone = await store.prune_parts(conn, ctx.now(), PRUNED_AT_ONCE)
        await store.prune(conn, ctx.now() - TOLD)
    return gone == PRUNED_AT_ONCE


def _worker_for(export: Export) -> Caller:
    return Caller("service", export.merchant_id, export.mode, Role.VIEWER)


async def _of(conn: Connection, caller: Caller, export_id: str, *, locked: bool = False) -> Export:
    try:
        return await store.get(conn, export_id, caller.merchant_id, caller.mode, locked=locked)
    except LookupError:
        raise NotFoundError("export", export_id) from None


async def _audit(ctx: Context, conn: Connection, export: Export, action: str, actor: str) -> None:
    await audit.record(
        conn,
        merchant_id=export.merchant_id,
        mode=export.mode,
        at=ctx.now(),
        actor=actor,
        action=f"receipt_export.{action}",
        object_id=export.id,
        detail={
            "format": export.format,
            "issued_from": records.instant(export.issued_from),
            "issued_to": records.instant(export.issued_to),
            "receipts": export.total,
        },
    )
