"""The process that is ended: a desk over a house of its own, told what to do through a pipe."""

import asyncio
import os
import signal
from contextlib import AsyncExitStack, nullcontext
from dataclasses import dataclass
from datetime import UTC, datetime
from multiprocessing.connection import Connection
from typing import Any
from unittest.mock import patch

import structlog
from pgqueuer.errors import RetryRequested

import unguarded
from counterfoil import wiring
from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.gateways.http import Http, open_session
from counterfoil.settings import Settings
from counterfoil.web.app import create_app
from desk import Desk
from sandbox_by_hand import BEGINNING


@dataclass(frozen=True)
class Life:
    """What a process is started with. `ends_at` is the number of the point at which it ends."""

    settings: Settings
    addresses: wiring.Addresses
    ends_at: int | None
    without: str | None


class Points:
    """Counts every commit and every call since the first command, and ends the process at one of them."""

    def __init__(self, ends_at: int | None) -> None:
        self.counting = False
        self.passed: list[str] = []
        self._ends_at = ends_at

    def reach(self, what: str) -> None:
        if not self.counting:
            return
        self.passed.append(what)
        if len(self.passed) == self._ends_at:
            os.kill(os.getpid(), signal.SIGKILL)

    async def on_commit(self, moment: str) -> None:
        self.reach(moment)

    def before_send(self, gateway: str, call: str) -> None:
        self.reach(f"before {gateway} {call}")

    def after_answer(self, gateway: str, call: str) -> None:
        self.reach(f"after {gateway} {call}")


class Clock:
    """A clock that is told the time."""

    def __init__(self) -> None:
        self.moment = BEGINNING

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.moment, UTC)


def live(pipe: Connection, life: Life) -> None:
    """Do what comes through the pipe until it ends: (moment, what, arguments) → (answer, points passed)."""
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    with unguarded.RULES.get(life.without or "", nullcontext)(), asyncio.Runner() as runner:
        runner.run(_live(pipe, life))


async def _live(pipe: Connection, life: Life) -> None:
    clock, points = Clock(), Points(life.ends_at)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(open_session())
        http = Http(session, before_send=points.before_send, after_answer=points.after_answer)
        opening = wiring.open_house(life.settings, life.addresses, on_commit=points.on_commit, http=http)
        with patch.object(wiring, "RealClock", lambda: clock):
            house = await stack.enter_async_context(opening)
        desk = Desk(house, create_app(house, work=False))
        desk.open()
        pipe.send("ready")
        while (asked := pipe.recv()) is not None:
            clock.moment, points.counting, what, arguments = asked
            pipe.send((await _do(desk, what, arguments), list(points.passed)))
        await desk.close()


async def _do(desk: Desk, what: str, arguments: tuple[Any, ...]) -> Any:
    try:
        return await getattr(desk, what)(*arguments)
    except RetryRequested as again:
        if not isinstance(again.__cause__, DatabaseAwayError):
            raise
        return None
