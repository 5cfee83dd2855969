"""Events go out: numbered in the order of commit, addressed to the endpoints that want them, sent until acknowledged.

At least once: a delivery is pushed on before it is sent, so that one whose process dies comes back after its lease. Each
endpoint has hands of its own in each process, so that a slow one delays no other; and each object a lane, so that its
versions go one after the other.
"""

import json
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

import structlog
from standardwebhooks import Webhook

from counterfoil.courier import TOTAL_S, Reply
from counterfoil.domain import ids
from counterfoil.domain.endpoint import (
    DISABLE_AFTER,
    GONE,
    NOTICE_AFTER,
    NOTICE_BEFORE,
    Endpoint,
    again_after,
)
from counterfoil.log import scrub
from counterfoil.services import mailing, records, views
from counterfoil.services.context import Context
from counterfoil.services.exceptions import call_a_person_about_account
from counterfoil.store import deliveries, endpoints, events
from counterfoil.store.database import Connection
from counterfoil.store.deliveries import Taken, Try
from counterfoil.store.endpoints import Secret

BATCH: Final = 500  # events numbered in a transaction
ROUND_S: Final = 0.1  # of sending, before what happened meanwhile is numbered
HANDS: Final = 8  # an endpoint's, in one process
LEASE: Final = timedelta(seconds=4 * TOTAL_S)  # past any sending that still runs
KEPT: Final = timedelta(days=30)  # events, with their deliveries
PRUNED_AT_ONCE: Final = 2_000

log = structlog.get_logger()


async def number(ctx: Context) -> int:
    """Give the committed events their sequence, and address them; how many. Others who are at it are left alone."""
    async with ctx.db.reading() as conn:
        if not await events.any_unnumbered(conn):
            return 0
    total = 0
    while True:
        async with ctx.db.transaction() as conn:
            count = await events.number(conn, limit=BATCH, now=ctx.now())
        total += count
        if count < BATCH:
            return total


async def tell(ctx: Context) -> bool:
    """One round: number what is new, then send what is due for as long as hands come free. True where some are busy."""
    await number(ctx)
    await due(ctx)
    ends = monotonic() + ROUND_S
    while ctx.hands.busy and await ctx.hands.freed(ends - monotonic()):
        await due(ctx)
    return bool(ctx.hands.busy)


async def due(ctx: Context) -> int:
    """Begin to send what is due, as far as hands are free; how many were begun."""
    async with ctx.db.reading() as conn:
        if not await deliveries.any_due(conn, ctx.now()):
            return 0
    begun = 0
    while True:
        now = ctx.now()
        async with ctx.db.transaction() as conn:
            taken, looked = await deliveries.take_due(
                conn, now=now, until=now + LEASE, hands=HANDS, busy=ctx.hands.busy
            )
            secrets = await endpoints.secrets(conn, sorted({one.endpoint_id for one in taken}), now)
        for one in taken:
            ctx.hands.give(one.endpoint_id, _carry(ctx, one, secrets.get(one.endpoint_id, [])))
        begun += len(taken)
        if not looked:
            return begun


async def _carry(ctx: Context, one: Taken, secrets: list[Secret]) -> None:
    """Send one delivery and write down what came of it. What fails here is tried again when its lease ends."""
    try:
        await deliver(ctx, one, secrets)
    except Exception as error:  # noqa: BLE001  the row stands, and comes back
        log.warning(
            "delivery broke off; it comes again",
            endpoint=one.endpoint_id,
            outgoing=one.event.id,
            error=type(error).__name__,
        )


async def deliver(ctx: Context, one: Taken, secrets: list[Secret]) -> None:
    """One try of one delivery."""
    at = ctx.now()
    body = json.dumps(views.event(one.event), ensure_ascii=False, separators=(",", ":"))
    headers = signed(one.event.id, body, [opened(ctx, secret) for secret in secrets])
    reply = await ctx.courier.post(one.url, one.event.mode, headers, body.encode())
    how = Try(
        at=at,
        number=one.tries,
        duration_ms=reply.duration_ms,
        status=reply.status,
        answer=scrub(reply.answer),
        error=reply.error,
    )
    async with ctx.db.transaction() as conn:
        outcome = await _settle(ctx, conn, one, how, reply)
    ctx.metrics.deliveries.labels(outcome).inc()


async def _settle(ctx: Context, conn: Connection, one: Taken, how: Try, reply: Reply) -> str:
    """Write down the try, and what it means for the endpoint. What came of it, as the metric calls it."""
    now = ctx.now()
    if reply.error is None:
        await deliveries.end(conn, one, how, outcome="delivered", now=now)
        return "delivered"
    wait = again_after(one.tries, ctx.chance(1)[0] / 255)
    if wait is None:
        await deliveries.end(conn, one, how, outcome="failed", now=now)
    else:
        await deliveries.put_off(conn, one, how, until=now + wait)
    endpoint = await endpoints.failing(conn, one.endpoint_id, now)
    if endpoint is not None:
        await _judge(ctx, conn, endpoint, reply, now)
    return "put_off" if wait else "failed"


async def _judge(ctx: Context, conn: Connection, endpoint: Endpoint, reply: Reply, now: datetime) -> None:
    """What a further failure means for the endpoint: nothing yet, a notice, or its end. Never an end without notice."""
    since, noticed = endpoint.failing_since or now, endpoint.noticed_at
    if reply.status == GONE:
        await _disable(ctx, conn, endpoint, "it answered 410, which asks for no more", now)
    elif noticed is None and now - since >= NOTICE_AFTER:
        await endpoints.update(conn, endpoint.id, noticed_at=now)
        ends = max(since + DISABLE_AFTER, now + NOTICE_BEFORE)
        sentence = (
            f"Nothing could be delivered to {_named(endpoint)} since {records.instant(since)}; the last try:"
            f" {reply.error}. If that goes on, it is disabled after {records.instant(ends)}."
        )
        await _call(ctx, conn, endpoint, "endpoint_failing", since, sentence)
    elif noticed and now >= max(since + DISABLE_AFTER, noticed + NOTICE_BEFORE):
        because = f"nothing could be delivered for {DISABLE_AFTER.days} days"
        await _disable(ctx, conn, endpoint, because, now)


async def _disable(ctx: Context, conn: Connection, endpoint: Endpoint, because: str, now: datetime) -> None:
    await endpoints.update(conn, endpoint.id, disabled_at=now, disabled_because=because, updated_at=now)
    await mailing.tell_disabled(ctx, conn, endpoint, now)
    sentence = (
        f"{_named(endpoint)} was disabled: {because}. What is due to it is kept for {KEPT.days} days;"
        " mend it, enable it, and replay what it missed."
    )
    await _call(ctx, conn, endpoint, "endpoint_disabled", now, sentence)


async def _call(
    ctx: Context, conn: Connection, endpoint: Endpoint, kind: str, since: datetime, sentence: str
) -> None:
    """Once for each time that it fails, not once for ever."""
    await call_a_person_about_account(
        ctx,
        conn,
        merchant_id=endpoint.merchant_id,
        mode=endpoint.mode,
        kind=kind,
        subject=f"{endpoint.id}/{since.isoformat()}",
        sentence=sentence,
    )


def _named(endpoint: Endpoint) -> str:
    """For a person: the rest of the URL may be known to nobody else."""
    return f"{endpoint.id} at {urlsplit(endpoint.url).netloc}"


def opened(ctx: Context, secret: Secret) -> str:
    return ctx.vault.open(secret.secret, f"{secret.id}/secret")


def signed(id_: str, body: str, secrets: list[str]) -> dict[str, str]:
    """The headers of a delivery, with a signature of every secret that is valid, the newest first.

    The time is the machine's own, whatever clock the service follows: the receiver refuses what is five minutes off.
    """
    at = datetime.now(UTC)
    marks = [Webhook(secret).sign(msg_id=id_, timestamp=at, data=body) for secret in secrets]
    return {
        "content-type": "application/json",
        "webhook-id": id_,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(marks),
    }


async def prune(ctx: Context) -> None:
    """Forget events that have had their time, with their deliveries, a few thousand at a time."""
    oldest = ctx.now() - KEPT
    async with ctx.db.transaction() as conn:
        await endpoints.prune(conn, deleted_before=oldest, now=ctx.now())
    gone = PRUNED_AT_ONCE
    while gone == PRUNED_AT_ONCE:
        async with ctx.db.transaction() as conn:
            gone = await events.prune(conn, ids.make("outgoing", oldest, bytes(10)), PRUNED_AT_ONCE)
