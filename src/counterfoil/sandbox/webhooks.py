"""Webhook delivery: posts events, tries again as the gateway would, and misbehaves on demand."""

import asyncio
import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, Protocol

import aiohttp

from counterfoil.sandbox.clock import Clock
from counterfoil.sandbox.faults import WEBHOOKS, Fault, Faults
from counterfoil.sandbox.truth import Json, Truth

# So many posts are under way at once at most, so that bursts flow.
PARALLEL: Final = 64
# How often the table is looked at without being told to, so that sandbox time that passes by itself is seen.
LOOK_S: Final = 0.5
# Tries that end within this time of each other are recorded in one transaction.
GATHER_S: Final = 0.005
# How long a jump of the clock waits for tries that are under way.
QUIET_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event on its way to one endpoint."""

    id: int
    gateway: str
    event: str
    endpoint: str
    created: float  # sandbox time at which it was announced
    tries: int  # made so far


@dataclass(frozen=True, slots=True)
class Target:
    """Where a try goes, and what it carries."""

    url: str
    headers: Mapping[str, str]
    body: bytes


class Try(NamedTuple):
    """One post and what came of it."""

    at: float  # sandbox time
    status: int | None  # None: no answer, and the error says why
    ms: int  # real milliseconds
    error: str | None


class Carrier(Protocol):
    """What differs between the gateways' webhooks."""

    timeout_s: float  # how long the endpoint may take to answer

    def target(self, delivery: Delivery) -> Target | None:
        """Where this try goes, signed anew; None where the endpoint is gone or disabled, which ends the delivery.

        The body has the same bytes at every try.
        """
        ...

    def wait(self, delivery: Delivery) -> float | None:
        """Seconds from a failed try (already counted in `tries`) to the next one; None to give up."""
        ...

    def settled(self, delivery: Delivery, *, ok: bool) -> None:
        """The delivery succeeded, or was given up; called inside the transaction that records it."""
        ...


class Deliverer:
    """The queue of deliveries, kept in the truth, and the posting of what is due in sandbox time.

    States: pending, held, delivered, failed (given up), cancelled (the endpoint is gone), dropped (by a fault).
    """

    def __init__(self, truth: Truth, clock: Clock, faults: Faults, *, jump_pause_ms: int) -> None:
        self._truth = truth
        self._clock = clock
        self._faults = faults
        self._pause_s = jump_pause_ms / 1000
        self._carriers: dict[str, Carrier] = {}
        self._session: aiohttp.ClientSession | None = None
        self._wake = asyncio.Event()
        self._resume_at = 0.0
        self._posting: dict[int, asyncio.Task[None]] = {}
        self._ends: list[tuple[Delivery, Try | None]] = []
        self._gathered: dict[str, list[int]] = {}
        self._followers: dict[int, int] = {}  # of a delivery, the one that goes once it was tried

    def carry(self, gateway: str, carrier: Carrier) -> None:
        self._carriers[gateway] = carrier

    def announce(self, gateway: str, event: str, endpoints: list[str]) -> None:
        """Queue an event, whose object is stored already, for its endpoints; inside the caller's transaction."""
        for endpoint in endpoints:
            self._announce(gateway, event, endpoint, self._faults.take(gateway, WEBHOOKS))
        # The sender is another task: it looks only after the caller's transaction has ended.
        self.wake()

    def _announce(self, gateway: str, event: str, endpoint: str, fault: Fault | None) -> None:
        kind = None if fault is None else fault.fault
        params = {} if fault is None else fault.params
        state = {"drop": "dropped", "hold": "held", "reorder": "held"}.get(kind or "", "pending")
        later = params["seconds"] if kind == "delay" else 0.0
        for _ in range(params["copies"] if kind == "duplicate" else 1):
            id_ = self._queue(gateway, event, endpoint, state, later)
            if kind == "reorder":
                self._gather(gateway, id_, params["seconds"])

    def _queue(self, gateway: str, event: str, endpoint: str, state: str, later: float) -> int:
        now = self._clock.now()
        added = self._truth.sql.execute(
            "INSERT INTO deliveries (gateway, event, endpoint, state, created, next_at) VALUES (?, ?, ?, ?, ?, ?)",
            (gateway, event, endpoint, state, now, now + later),
        )
        return int(added.lastrowid or 0)

    def replay(self, gateway: str, event: str) -> int:
        """Send an event once more to every endpoint it went to; how many those are."""
        with self._truth.transaction():
            rows = self._truth.sql.execute(
                "SELECT DISTINCT endpoint FROM deliveries WHERE gateway = ? AND event = ?", (gateway, event)
            ).fetchall()
            for row in rows:
                self._queue(gateway, event, row[0], "pending", 0.0)
        self.wake()
        return len(rows)

    @property
    def holding(self) -> bool:
        """Whether all deliveries are held."""
        return bool(self._truth.setting("hold", default=False))

    def hold(self, *, holding: bool) -> None:
        """Hold all deliveries, or release them with those that a fault held."""
        with self._truth.transaction():
            self._truth.set("hold", holding)
            if not holding:
                self._truth.sql.execute("UPDATE deliveries SET state = 'pending' WHERE state = 'held'")
        self.wake()

    def wake(self) -> None:
        """There may be something to send."""
        self._wake.set()

    async def pause(self) -> None:
        """Send nothing for a moment: the clock is about to jump. What is under way ends before, if it ends soon."""
        self._resume_at = time.monotonic() + self._pause_s
        if self._posting:
            await asyncio.wait(self._posting.values(), timeout=QUIET_S)
        self._record_all()
        self.wake()

    def restart(self) -> None:
        """The truth was emptied: forget the pause and what was gathered."""
        self._resume_at = 0.0
        self._gathered.clear()
        self._followers.clear()
        self.wake()

    def list(self) -> list[Json]:
        """Every delivery with its tries, oldest first."""
        tries: dict[int, list[Json]] = {}
        for delivery, *one in self._truth.sql.execute("SELECT * FROM tries ORDER BY rowid"):
            tries.setdefault(delivery, []).append(
                dict(zip(("at", "status", "ms", "error"), one, strict=True))
            )
        names = ("id", "gateway", "event", "endpoint", "state", "created", "next_at")
        rows = self._truth.sql.execute(f"SELECT {', '.join(names)} FROM deliveries ORDER BY id")
        return [{**dict(zip(names, row, strict=True)), "tries": tries.get(row[0], [])} for row in rows]

    async def run(self) -> None:
        """Send what is due as it becomes due, until cancelled."""
        connector = aiohttp.TCPConnector(limit=PARALLEL)
        async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
            self._session = session
            try:
                while True:
                    await self._next_round()
            finally:
                for task in self._posting.values():
                    task.cancel()
                await asyncio.gather(*self._posting.values(), return_exceptions=True)
                self._record_all()

    async def _next_round(self) -> None:
        self._wake.clear()
        wait = self._resume_at - time.monotonic()
        if wait <= 0:
            self._start_due()
            wait = self._until_due()
        try:
            await asyncio.wait_for(self._wake.wait(), wait)
        except TimeoutError:
            return

    def _until_due(self) -> float:
        """Seconds until the next delivery is due, at most LOOK_S."""
        now = self._clock.now()
        row = self._truth.sql.execute(
            "SELECT min(next_at) FROM deliveries WHERE state = 'pending' AND next_at > ?", (now,)
        ).fetchone()
        return LOOK_S if row[0] is None else min(LOOK_S, float(row[0]) - now)

    def _start_due(self) -> None:
        free = PARALLEL - len(self._posting)
        if free <= 0 or self.holding:
            return
        rows = self._truth.sql.execute(
            "SELECT id, gateway, event, endpoint, created, tries FROM deliveries"
            " WHERE state = 'pending' AND next_at <= ? ORDER BY next_at, id LIMIT ?",
            (self._clock.now(), free + len(self._posting)),
        ).fetchall()
        for row in [row for row in rows if row[0] not in self._posting][:free]:
            self._start(Delivery(*row))

    def _start(self, delivery: Delivery) -> None:
        self._posting[delivery.id] = asyncio.create_task(self._try(delivery))

    async def _try(self, delivery: Delivery) -> None:
        carrier = self._carriers[delivery.gateway]
        target = carrier.target(delivery)
        if target is None:
            return self._ended(delivery, None)
        started, at = time.monotonic(), self._clock.now()
        status, error = await self._post(target, carrier.timeout_s)
        ms = round((time.monotonic() - started) * 1000)
        return self._ended(delivery, Try(at, status, ms, error))

    def _ended(self, delivery: Delivery, made: Try | None) -> None:
        """Note the end of a try, to be recorded with others in one transaction; None: there was nowhere to send it."""
        if not self._ends:
            asyncio.get_running_loop().call_later(GATHER_S, self._record_all)
        self._ends.append((delivery, made))

    def _record_all(self) -> None:
        ends, self._ends = self._ends, []
        if not ends:
            return
        try:
            with self._truth.transaction():
                for delivery, made in ends:
                    self._record(delivery, made)
                    if delivery.id in self._followers:
                        self._release(self._followers.pop(delivery.id))
        finally:
            for delivery, _ in ends:
                del self._posting[delivery.id]
            self.wake()

    async def _post(self, target: Target, timeout_s: float) -> tuple[int | None, str | None]:
        """The status of the answer, or what went wrong on the way."""
        if self._session is None:
            raise RuntimeError("the deliverer is not running")
        timeout = aiohttp.ClientTimeout(total=timeout_s)
        try:
            async with self._session.post(
                target.url, data=target.body, headers=target.headers, timeout=timeout, allow_redirects=False
            ) as response:
                await response.read()
                return response.status, None
        except (aiohttp.ClientError, OSError, TimeoutError, ValueError) as error:
            return None, f"{type(error).__name__}: {error}"[:200]

    def _record(self, delivery: Delivery, made: Try | None) -> None:
        if made is None:
            self._move(delivery, "cancelled")
            return
        self._truth.sql.execute("INSERT INTO tries VALUES (?, ?, ?, ?, ?)", (delivery.id, *made))
        carrier, tried = self._carriers[delivery.gateway], replace(delivery, tries=delivery.tries + 1)
        ok = made.status is not None and 200 <= made.status < 300
        wait = None if ok else carrier.wait(tried)
        state = "delivered" if ok else "failed" if wait is None else "pending"
        self._move(tried, state, made.at + (wait or 0.0))
        if state != "pending":
            carrier.settled(tried, ok=ok)

    def _move(self, delivery: Delivery, state: str, next_at: float = 0.0) -> None:
        self._truth.sql.execute(
            "UPDATE deliveries SET state = ?, tries = ?, next_at = ? WHERE id = ?",
            (state, delivery.tries, next_at, delivery.id),
        )

    def _gather(self, gateway: str, id_: int, seconds: float) -> None:
        """Collect a delivery for sending in reverse; the first one collected sets the end of the collection."""
        if gateway not in self._gathered:
            asyncio.get_running_loop().call_later(seconds, self._scatter, gateway)
        self._gathered.setdefault(gateway, []).append(id_)

    def _scatter(self, gateway: str) -> None:
        """Let the collected deliveries go, newest first, each once the try of the one before has ended."""
        ids = self._gathered.pop(gateway, [])[::-1]
        self._followers.update(itertools.pairwise(ids))
        with self._truth.transaction():
            for first in ids[:1]:
                self._release(first)
        self.wake()

    def _release(self, id_: int) -> None:
        """Let a held delivery go."""
        self._truth.sql.execute(
            "UPDATE deliveries SET state = 'pending', next_at = ? WHERE id = ? AND state = 'held'",
            (self._clock.now(), id_),
        )
