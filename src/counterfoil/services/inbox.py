"""The inbox: a verified webhook is stored as bytes and committed before it is answered; understanding comes later."""

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from counterfoil.domain.errors import (
    CounterfoilError,
    DatabaseAwayError,
    NotFoundError,
    SignatureRefusedError,
    WrongStateError,
)
from counterfoil.gateways.base import Event, Headers, UnreadableEventError
from counterfoil.gateways.wire import plain
from counterfoil.services import facts, health, settling
from counterfoil.services.accounts import Verifier
from counterfoil.services.context import Context
from counterfoil.services.exceptions import call_a_person
from counterfoil.services.facts import DisagreementError
from counterfoil.store import accounts, audit, inbox, payments, queue
from counterfoil.store.database import Connection
from counterfoil.store.exceptions import Again
from counterfoil.store.facts import Source
from counterfoil.store.inbox import Delivery, Filter, Letter

# Razorpay gives up after five seconds; a database that is away is told to it in two, so that it tries again.
ANSWER_S: Final = 2.0
BATCH: Final = 200  # rows a transaction; more would only hold their locks longer
WAITING: Final = 5_000  # deliveries that may queue for the next commit before new ones are told to come back
KEPT_HEADERS: Final = frozenset(
    {"stripe-signature", "x-razorpay-signature", "x-razorpay-event-id", "user-agent", "content-type"}
)
# Between one try and the next; together about a day, after which a letter waits for a person.
DELAYS: Final = tuple(
    timedelta(seconds=s) for s in (1, 2, 5, 15, 60, 300, 900, 3600, 7200, 14400, 28800, 43200)
)
TRIES: Final = len(DELAYS) + 1
# Letters replayed by one command: one transaction, and a few seconds of a worker's time.
REPLAYED_AT_ONCE: Final = 1_000


def verify(ctx: Context, gateway: str, headers: Headers, body: bytes) -> Verifier:
    """The account and mode whose secret vouches for these bytes. Raises SignatureRefusedError."""
    refusal = SignatureRefusedError(f"{gateway} is not configured here.", gateway=gateway)
    for verifier in ctx.directory.verifiers(gateway):
        try:
            ctx.directory.speak[gateway].verify(headers, body, secret=verifier.secret, now=ctx.now())
        except SignatureRefusedError as refused:
            refusal = refused
        else:
            return verifier
    raise refusal


def delivery(ctx: Context, verifier: Verifier, headers: Headers, body: bytes) -> Delivery:
    account = verifier.account
    return Delivery(
        id=ctx.new_id("webhook"),
        merchant_id=account.merchant_id,
        account_id=account.id,
        gateway=account.gateway,
        mode=account.mode,
        dedupe_key=ctx.directory.speak[account.gateway].dedupe_key(body),
        secret_id=verifier.secret_id,
        headers=kept_headers(headers),
        body=body,
        received_at=ctx.now(),
    )


def kept_headers(headers: Headers) -> Mapping[str, str]:
    """The headers worth keeping, as text that PostgreSQL can hold."""
    named = (
        (name.decode("latin-1").lower(), value.decode("latin-1").replace("\x00", ""))
        for name, value in headers
    )
    return {name: value[:1000] for name, value in named if name in KEPT_HEADERS}


class Writer:
    """Stores what has queued since the last commit in one transaction: group commit."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._waiting: asyncio.Queue[tuple[Delivery, asyncio.Future[None]]] = asyncio.Queue(WAITING)
        self._task: asyncio.Task[None] | None = None

    async def store(self, item: Delivery) -> None:
        """Return once the delivery is committed.

        Raises DatabaseAwayError where that did not happen within two seconds; should the commit come after all, the
        gateway's next try is a duplicate, which only counts.
        """
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        try:
            self._waiting.put_nowait((item, done))
            with self._ctx.traffic.arriving():
                await asyncio.wait_for(done, ANSWER_S)
        except (TimeoutError, asyncio.QueueFull):
            raise DatabaseAwayError("The webhook could not be stored in time.") from None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="inbox writer")

    async def stop(self) -> None:
        """Store what has queued, then end."""
        if self._task is None:
            return
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._waiting.join(), ANSWER_S)
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            batch = [await self._waiting.get()]
            while len(batch) < BATCH and not self._waiting.empty():
                batch.append(self._waiting.get_nowait())
            await asyncio.shield(self._write(batch))
            for _ in batch:
                self._waiting.task_done()

    async def _write(self, batch: Sequence[tuple[Delivery, asyncio.Future[None]]]) -> None:
        """Commit the batch; where it fails for one row, commit each alone, so that a bad row never fails its neighbours."""
        try:
            await self._commit([item for item, _ in batch])
        except Exception as failed:  # noqa: BLE001  whatever it was belongs to the callers who wait
            if len(batch) == 1 or isinstance(failed, DatabaseAwayError):
                _tell(batch, failed)
                return
            for one in batch:
                await self._write([one])
            return
        _tell(batch, None)

    async def _commit(self, items: Sequence[Delivery]) -> None:
        async with self._ctx.db.transaction() as conn:
            await inbox.store(conn, items)


def _tell(batch: Sequence[tuple[Delivery, asyncio.Future[None]]], failed: Exception | None) -> None:
    for _, done in batch:
        if done.done():  # its request gave up waiting
            continue
        if failed is None:
            done.set_result(None)
        else:
            done.set_exception(failed)


@dataclass(frozen=True, slots=True)
class Understood:
    """What a letter came to, and the payment that is to be looked after, if any."""

    status: str
    payment_id: str | None = None


async def understand(ctx: Context, letter_id: str) -> Understood | None:
    """Turn one letter into facts, in one transaction with marking it done.

    Any order and any number of times: facts are kept once. None where another worker has the letter, or it is done.
    """
    async with ctx.db.transaction() as conn:
        found = await inbox.lock(conn, letter_id)
        if found is None or found[0].status not in {"received", "parked"}:
            return None
        letter, body, headers = found
        pairs = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
        try:
            event = ctx.directory.speak[letter.gateway].read(pairs, body)
        except UnreadableEventError as unreadable:
            return await _end(ctx, conn, letter, "dead", f"unreadable: {unreadable}")
        if reason := await _foreign(conn, letter, event):
            return await _park(ctx, conn, letter, event, reason)
        for trouble in event.troubles:
            await health.keep_trouble(conn, letter.account_id, trouble)
        if not event.reports and event.troubles:
            return await _end(ctx, conn, letter, "processed", None, type_=event.type)
        if not event.reports:
            return await _end(ctx, conn, letter, "ignored", event.ignored_because, type_=event.type)
        return await _learn(ctx, conn, letter, event)


async def _foreign(conn: Connection, letter: Letter, event: Event) -> str | None:
    """Why this event is not for the account whose secret signed it."""
    if event.livemode is not None and event.livemode != (letter.mode == "live"):
        return f"mode: the event says livemode {event.livemode}, its secret is for {letter.mode}"
    if event.account is None:
        return None
    ours = await accounts.learn_external_id(conn, letter.account_id, event.account)
    return (
        None
        if ours == event.account
        else f"account: the event is of {event.account}, its secret is for {ours}"
    )


async def _learn(ctx: Context, conn: Connection, letter: Letter, event: Event) -> Understood:
    reports = event.reports
    refs = {
        ref for report in reports for ref in (report.attempt_ref, report.charge_ref, report.object_id) if ref
    }
    ours = {report.our_reference for report in reports if report.our_reference}
    payment_id = await payments.find_attempt(conn, letter.account_id, refs=sorted(refs), ours=sorted(ours))
    if payment_id is None:
        return await _park(
            ctx, conn, letter, event, f"unknown_object: {', '.join(sorted(refs))} is not known here (yet)"
        )
    family = await payments.lock(conn, payment_id)
    try:
        family = await facts.apply(ctx, conn, family, reports, Source(kind="webhook", id=letter.id))
    except DisagreementError as lie:
        await call_a_person(
            ctx,
            conn,
            family.payment,
            kind="webhook_contradicts",
            subject=letter.id,
            sentence=str(lie),
            again=Again.IF_NEWS,
        )
        return await _park(ctx, conn, letter, event, str(lie), payment_id=payment_id)
    if settling.is_due(ctx, family):
        await queue.enqueue(conn, queue.LOOK_AFTER, [payment_id])
    return await _end(ctx, conn, letter, "processed", None, type_=event.type, payment_id=payment_id)


async def _end(
    ctx: Context,
    conn: Connection,
    letter: Letter,
    status: str,
    reason: str | None,
    *,
    type_: str | None = None,
    payment_id: str | None = None,
) -> Understood:
    await inbox.mark(
        conn, letter.id, status, reason=reason, type_=type_, payment_id=payment_id, now=ctx.now()
    )
    return Understood(status, payment_id)


async def _park(
    ctx: Context, conn: Connection, letter: Letter, event: Event, reason: str, payment_id: str | None = None
) -> Understood:
    """Wait and try again; after the last try the letter is dead, where a person sees it."""
    last = letter.tries + 1 >= TRIES
    status = "dead" if last else "parked"
    await inbox.mark(
        conn,
        letter.id,
        status,
        reason=reason,
        type_=event.type,
        payment_id=payment_id,
        next_check_at=None if last else ctx.now() + DELAYS[letter.tries],
        now=ctx.now(),
    )
    return Understood(status)


async def failed(ctx: Context, letter_id: str, error: Exception) -> None:
    """Understanding broke: keep the error and the next try on the row."""
    detail = error.detail if isinstance(error, CounterfoilError) else f"{type(error).__name__}: {error}"
    async with ctx.db.transaction() as conn:
        found = await inbox.lock(conn, letter_id)
        if found is None or found[0].status not in {"received", "parked"}:
            return
        letter = found[0]
        last = letter.tries + 1 >= TRIES
        await inbox.mark(
            conn,
            letter.id,
            "dead" if last else "parked",
            reason=plain(f"error: {detail}"),
            next_check_at=None if last else ctx.now() + DELAYS[letter.tries],
            now=ctx.now(),
        )


async def replay(ctx: Context, actor: str, merchant_id: str, mode: str, letter_id: str) -> Letter:
    """Have a letter understood anew."""
    async with ctx.db.transaction() as conn:
        letter = await _get(conn, merchant_id, mode, letter_id, locked=True)
        await inbox.rearm_many(conn, [letter.id], ctx.now())
        await _audit(ctx, conn, actor, letter, "webhook.replay")
        return await _get(conn, merchant_id, mode, letter_id)


async def replay_many(ctx: Context, actor: str, narrow: Filter, *, limit: int) -> list[str]:
    """Have the oldest letters that the filter lets through understood anew; their ids. Each is audited.

    Letters in the hands of a worker are left out: what becomes of them is being found out.
    """
    async with ctx.db.transaction() as conn:
        letters = await inbox.lock_many(conn, narrow, limit=limit)
        await inbox.rearm_many(conn, [letter.id for letter in letters], ctx.now())
        for letter in letters:
            await _audit(ctx, conn, actor, letter, "webhook.replay")
    return [letter.id for letter in letters]


async def ignore(ctx: Context, actor: str, merchant_id: str, mode: str, letter_id: str) -> Letter:
    """Put a letter aside for good, by a person's decision. Raises WrongStateError where its facts were taken already."""
    async with ctx.db.transaction() as conn:
        letter = await _get(conn, merchant_id, mode, letter_id, locked=True)
        if letter.status == "processed":
            raise WrongStateError(command="ignore", state="processed", because="its facts are already taken")
        await inbox.mark(conn, letter.id, "ignored", reason=f"ignored by {actor}", now=ctx.now())
        await _audit(ctx, conn, actor, letter, "webhook.ignore")
        return await _get(conn, merchant_id, mode, letter_id)


async def _get(
    conn: Connection, merchant_id: str, mode: str, letter_id: str, *, locked: bool = False
) -> Letter:
    try:
        return (await inbox.get(conn, letter_id, merchant_id, mode, locked=locked))[0]
    except LookupError:
        raise NotFoundError("webhook", letter_id) from None


async def _audit(ctx: Context, conn: Connection, actor: str, letter: Letter, action: str) -> None:
    await audit.record(
        conn,
        merchant_id=letter.merchant_id,
        mode=letter.mode,
        at=ctx.now(),
        actor=actor,
        action=action,
        object_id=letter.id,
    )
