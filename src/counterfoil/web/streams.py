"""Event streams: Server-Sent Events, as the HTML standard has them. Many at once, each for a while.

A stream reads the same rows as the list of events, woken by LISTEN; a poll covers a notification that was lost. It ends
by itself, when its time is over, when the process ends and when the database is away: the reader comes again and says
with Last-Event-ID where it was.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from time import monotonic
from typing import Any, Final

import structlog
from starlette.responses import StreamingResponse
from starlette.types import Receive, Scope, Send

from counterfoil.domain.errors import DatabaseAwayError, RateLimitedError
from counterfoil.domain.event import Event
from counterfoil.services import views
from counterfoil.services.context import Context
from counterfoil.services.payments import Caller
from counterfoil.store import events

STREAMS_MOST: Final = 50  # of one process
STREAM_S: Final = 300.0  # and so long may a key that was revoked go on reading
STUCK_S: Final = 30.0  # past it, a reader who takes nothing is cut off
HEARTBEAT_S: Final = 15.0  # proxies close what is silent for a minute
POLL_S: Final = 2.0
AGAIN_MS: Final = 2_000  # after the end of one stream, the reader opens the next
BATCH: Final = 100

log = structlog.get_logger()


class Streams:
    """The streams of one process, and the bell that wakes them all."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._bell = asyncio.Event()
        self._leaving = False
        self.open = 0

    async def listen(self, url: str, stop: asyncio.Event) -> None:
        """Ring whenever events were numbered, until told to stop; a lost connection is opened again."""
        while not stop.is_set():
            try:
                async with events.listening(url, self._ring) as lost:
                    await _first(stop, lost)
            except DatabaseAwayError:
                log.warning("event streams poll", reason="database away")
            await _first(stop, at_most_s=POLL_S)

    def _ring(self) -> None:
        rung, self._bell = self._bell, asyncio.Event()
        rung.set()

    def leave(self) -> None:
        """End all streams: the process ends."""
        self._leaving = True
        self._ring()

    def stream(self, caller: Caller, sequence: int) -> "Stream":
        """What happened after the sequence, in the caller's mode. Raises RateLimitedError where there are too many."""
        if self.open >= STREAMS_MOST:
            raise RateLimitedError(f"{STREAMS_MOST} streams are open here already.")
        return Stream(self, self._lines(caller, sequence))

    async def _lines(self, caller: Caller, sequence: int) -> AsyncIterator[str]:
        yield f"retry: {AGAIN_MS}\n\n"
        ends = spoken = monotonic()
        ends += STREAM_S
        while monotonic() < ends and not self._leaving:
            bell = self._bell  # taken before the look, so that what comes after it rings this one
            try:
                found = await self._after(caller, sequence)
            except DatabaseAwayError:
                return
            for event in found:
                yield _told(event)
                sequence = event.sequence or sequence
            if found:
                spoken = monotonic()
                continue
            if monotonic() - spoken >= HEARTBEAT_S:
                yield ": nothing new\n\n"
                spoken = monotonic()
            await _first(bell, at_most_s=POLL_S)

    async def _after(self, caller: Caller, sequence: int) -> list[Event]:
        async with self._ctx.db.reading() as conn:
            return await events.after(conn, caller.merchant_id, caller.mode, sequence=sequence, limit=BATCH)


class Stream(StreamingResponse):
    """One stream, which is counted while it lasts."""

    def __init__(self, streams: Streams, lines: AsyncIterator[str]) -> None:
        super().__init__(lines, media_type="text/event-stream", headers={"x-accel-buffering": "no"})
        self._streams = streams

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self._streams.open += 1
        try:
            async with asyncio.timeout(STREAM_S + STUCK_S):
                await super().__call__(scope, receive, send)
        except TimeoutError:
            log.warning("event stream cut off", reason="its reader takes nothing")
        finally:
            self._streams.open -= 1


def _told(event: Event) -> str:
    body: dict[str, Any] = views.event(event)
    return f"id: {event.sequence}\nevent: {event.type}\ndata: {json.dumps(body, ensure_ascii=False)}\n\n"


async def _first(*rung: asyncio.Event, at_most_s: float | None = None) -> None:
    """Wait for the first of these, or so many seconds."""
    waiting = [asyncio.ensure_future(one.wait()) for one in rung]
    try:
        await asyncio.wait(waiting, timeout=at_most_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for one in waiting:
            one.cancel()
