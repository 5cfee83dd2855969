"""Past payments are brought along from a file: every row is checked before anything is written, and what is here stays.

An imported payment is captured, on an attempt that won, with the facts that its gateway is taken to have told and an
opening journal for each. Nothing is published and nobody is told: it happened before. What its gateway says of it later
is learned as of any other. Rows are read, checked and written a few hundred at a time, so that the length of the file
costs no memory.
"""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from hashlib import sha256
from typing import Any, Final, TypeVar

import msgspec

from counterfoil.domain import importing
from counterfoil.domain.errors import NoGatewayError
from counterfoil.domain.importing import Past, RowRefusedError, Told
from counterfoil.services import past as before
from counterfoil.services import verifying
from counterfoil.services.context import Context
from counterfoil.store import audit
from counterfoil.store import importing as store
from counterfoil.store.database import Connection
from counterfoil.store.importing import Imported, Known
from counterfoil.store.spool import Line, Spool

# Rows checked and written at once: a transaction of a fraction of a second.
BATCH: Final = 500
# Rows asked about at their gateways at once: a tenth of what either allows a second.
AT_ONCE: Final = 4

# What becomes of a row.
IMPORTED: Final = "imported"
SKIPPED: Final = "skipped"  # it is here already
REFUSED: Final = "refused"
READY: Final = "ready"  # it would be imported
HELD: Final = "held"  # it would be, but for the rows that are refused

READERS: Final = {"csv": importing.of_csv, "jsonl": importing.of_json_lines}

T = TypeVar("T")
Progress = Callable[[str, int, int | None], None]


def nobody_watches(_stage: str, _done: int, _of: int | None) -> None:
    """Progress that is shown to nobody."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How a file is taken over. `as_of` is when its figures were true.

    verify: ask the gateway about each row. partial: import what is right although other rows are refused. dry_run: only
    check.
    """

    name: str
    format: str
    as_of: datetime
    verify: bool = False
    partial: bool = False
    dry_run: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What came of an import: how many rows have each fate. `id` names it in the audit log, where something was written."""

    id: str | None
    sha256: str
    tally: dict[str, int] = field(default_factory=dict)

    @property
    def rows(self) -> int:
        return sum(self.tally.values())


@dataclass(frozen=True, slots=True)
class Row:
    """A row on its way: what is kept of it, and the payment that it tells of while nothing speaks against it."""

    line: Line
    past: Past | None = None

    def ended(self, fate: str, reason: str, payment: str | None = None) -> "Row":
        return Row(replace(self.line, fate=fate, reason=reason, payment=payment))


async def bring(
    ctx: Context,
    actor: str,
    lines: Iterable[bytes],
    plan: Plan,
    spool: Spool,
    *,
    progress: Progress = nobody_watches,
) -> Result:
    """Check every row, then write those that are right; the spool tells what became of each.

    Raises InvalidRequestError, with nothing written, where the file as a whole cannot be read.
    """
    digest = sha256()
    await _check_all(
        ctx, READERS[plan.format](importing.texts(_digested(lines, digest))), plan, spool, progress
    )
    refused = spool.tally().get(REFUSED, 0)
    if plan.dry_run:
        return Result(id=None, sha256=digest.hexdigest(), tally=spool.tally())
    if refused and not plan.partial:
        spool.rename(READY, HELD, f"nothing was imported, since other rows are refused: {refused}")
        return Result(id=None, sha256=digest.hexdigest(), tally=spool.tally())
    id_ = ctx.new_id("import")
    about = {"file": plan.name, "sha256": digest.hexdigest(), "verified": plan.verify}
    await _audit(
        ctx, actor, "payments.import", id_, {**about, "as_of": plan.as_of.isoformat(), **spool.tally()}
    )
    await _write_all(ctx, id_, plan, spool, progress)
    await _audit(ctx, actor, "payments.imported", id_, spool.tally())
    return Result(id=id_, sha256=digest.hexdigest(), tally=spool.tally())


def _digested(lines: Iterable[bytes], digest: Any) -> Iterator[bytes]:
    for line in lines:
        digest.update(line)
        yield line


def _batches(items: Iterable[T]) -> Iterator[list[T]]:
    batch: list[T] = []
    for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


async def _audit(ctx: Context, actor: str, action: str, id_: str, detail: dict[str, Any]) -> None:
    async with ctx.db.transaction() as conn:
        await audit.record(
            conn,
            merchant_id=ctx.merchant_id,
            mode=ctx.mode,
            at=ctx.now(),
            actor=actor,
            action=action,
            object_id=id_,
            detail=detail,
        )


# Checking


async def _check_all(
    ctx: Context, told: Iterable[Told], plan: Plan, spool: Spool, progress: Progress
) -> None:
    done = 0
    for batch in _batches(told):
        async with ctx.db.reading() as conn:
            rows = await _left(conn, [_read(ctx, spool, one) for one in batch])
        if plan.verify:
            rows = await _verified(ctx, rows)
        spool.add(_spooled(row) for row in rows)
        done += len(batch)
        progress("checked", done, None)


def _read(ctx: Context, spool: Spool, told: Told) -> Row:
    ref = (told.row or {}).get("charge")
    line = Line(line=told.line, ref=ref if importing.is_charge(ref) else None, fate=READY)
    try:
        past = importing.read(told, now=ctx.now())
        past = replace(past, account_id=_account(ctx, past))
        _expect_first(spool, past, told.line)
    except RowRefusedError as refused:
        return Row(line).ended(REFUSED, str(refused))
    return Row(line, past)


def _account(ctx: Context, past: Past) -> str:
    """The account of the row: the named one, or the one that takes new payments."""
    try:
        if past.account_id is None:
            return ctx.directory.active(past.gateway, ctx.mode).account_id
        account = ctx.directory.account(past.account_id)
    except (NoGatewayError, KeyError):
        raise RowRefusedError(f"there is no such account of {past.gateway} in {ctx.mode} mode") from None
    if (account.gateway, account.mode) != (past.gateway, ctx.mode):
        raise RowRefusedError(f"{account.id} is an account of {account.gateway} in {account.mode} mode")
    return account.id


def _refs(past: Past) -> list[str]:
    """The gateway's ids that a row names, each of which stands for one thing."""
    return [past.charge_ref, *([past.attempt_ref] if past.attempt_ref else []), *_refund_refs(past)]


def _refund_refs(past: Past) -> list[str]:
    return [one.ref for one in past.refunds]


def _expect_first(spool: Spool, past: Past, line: int) -> None:
    for ref in _refs(past):
        first = spool.first_of(f"{past.account_id}/{ref}", line)
        if first != line:
            raise RowRefusedError(f"{ref} stands on line {first} already")


async def _left(conn: Connection, rows: Sequence[Row]) -> list[Row]:
    """The rows, of which those end here that are here already."""
    known: dict[tuple[str, str], Known] = {}
    for account_id, pasts in _by_account(rows).items():
        refs = [ref for past in pasts for ref in _refs(past)]
        found = await store.known(conn, account_id, refs)
        known |= {(account_id, ref): what for ref, what in found.items()}
    return [_unless_known(row, row.past, known) if row.past else row for row in rows]


def _by_account(rows: Iterable[Row]) -> dict[str, list[Past]]:
    grouped: dict[str, list[Past]] = {}
    for row in rows:
        if row.past is not None:
            grouped.setdefault(row.past.account_id or "", []).append(row.past)
    return grouped


def _unless_known(row: Row, past: Past, known: dict[tuple[str, str], Known]) -> Row:
    account_id = past.account_id or ""
    here = known.get((account_id, past.charge_ref)) or known.get((account_id, past.attempt_ref or ""))
    if here is not None:
        return row.ended(SKIPPED, _already(past, here), here.payment_id)
    for ref in _refund_refs(past):
        if other := known.get((account_id, ref)):
            return row.ended(REFUSED, f"{ref} is a refund of {other.payment_id}")
    return row


def _already(past: Past, here: Known) -> str:
    """Already here, and whether as the row says: what was given back may have grown since."""
    if (here.captured, here.currency) in {(past.captured, past.currency), (None, past.currency)}:
        return "already here"
    return f"already here, with {here.captured} {here.currency} captured"


async def _verified(ctx: Context, rows: Sequence[Row]) -> list[Row]:
    found: list[Row] = []
    for start in range(0, len(rows), AT_ONCE):
        found += await asyncio.gather(*(_asked(ctx, row) for row in rows[start : start + AT_ONCE]))
    return found


async def _asked(ctx: Context, row: Row) -> Row:
    reason = await verifying.difference(ctx, row.past) if row.past else None
    return row.ended(REFUSED, reason) if reason else row


def _spooled(row: Row) -> Line:
    return replace(row.line, record=msgspec.json.encode(row.past)) if row.past else row.line


# Writing


async def _write_all(ctx: Context, id_: str, plan: Plan, spool: Spool, progress: Progress) -> None:
    done, of = 0, spool.tally().get(READY, 0)
    for batch in spool.batches(READY, BATCH):
        spool.put(await _write(ctx, id_, plan, batch))
        done += len(batch)
        progress("imported", done, of)


async def _write(ctx: Context, id_: str, plan: Plan, batch: Sequence[Line]) -> list[Line]:
    """One transaction; what has come to be known since it was checked is left as it is."""
    rows = [Row(line, msgspec.json.decode(line.record or b"", type=Past)) for line in batch]
    async with ctx.db.transaction() as conn:
        await store.one_at_a_time(conn)
        rows = await _left(conn, rows)
        made = {
            row.line.line: before.rows_of(ctx, row.past, as_of=plan.as_of)
            for row in rows
            if row.past is not None
        }
        if made:
            await store.insert(conn, list(made.values()), source_id=id_, now=ctx.now())
    return [_written(row, made.get(row.line.line)) for row in rows]


def _written(row: Row, made: Imported | None) -> Line:
    if made is None:
        return row.line
    return replace(row.line, fate=IMPORTED, payment=made.payment.id, record=None)
