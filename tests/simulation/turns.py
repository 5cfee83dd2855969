"""Whose turn it is: every task that wants the database or a gateway waits here until the seed names it.

One task has the turn at a time, and keeps it until its transaction has ended or its call was carried out; the next is
named only when nothing else can move. So the order of everything depends on the seed alone, although the database is
real.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any


@dataclass(eq=False)
class Process:
    """One process of the service, as far as it can die."""

    name: str
    turns: "Turns"
    context: Any = None
    alive: bool = True
    answers: list[asyncio.Future[Any]] = field(default_factory=list)  # what others wait for from it


# The process that the current task belongs to; whoever belongs to none is not stepped.
PROCESS: ContextVar[Process | None] = ContextVar("process", default=None)
# What the current task is a part of, for the trace.
DOING: ContextVar[str] = ContextVar("doing", default="")


@dataclass(eq=False)
class Waiter:
    process: Process
    what: str
    go: "asyncio.Future[None]"


class Turns:
    """The tasks that wait, and the one that has the turn."""

    def __init__(self) -> None:
        self.waiting: list[Waiter] = []
        # A task that nobody refers to would be collected, and run its clean-ups: a killed one may not.
        self._dead: list[Waiter] = []
        self._free = asyncio.Event()
        self._free.set()
        self._over = False

    @asynccontextmanager
    async def turn(self, process: Process, what: str) -> AsyncIterator[None]:
        """Wait for the turn, and have it for the block."""
        if self._over or not process.alive:
            raise asyncio.CancelledError
        waiter = Waiter(process, f"{DOING.get()}: {what}", asyncio.get_running_loop().create_future())
        self.waiting.append(waiter)
        await waiter.go
        try:
            yield
        finally:
            self._free.set()

    async def give(self, waiter: Waiter) -> None:
        """Let one go on, until everything stands still again."""
        self.waiting.remove(waiter)
        self._free.clear()
        waiter.go.set_result(None)
        await self.still()

    async def still(self) -> None:
        """Wait until nobody has the turn and nothing else can move."""
        ready: Any = asyncio.get_running_loop()._ready  # type: ignore[attr-defined]  # what would run next
        while True:
            await self._free.wait()
            if not ready:
                return
            await asyncio.sleep(0)

    def kill(self, process: Process) -> None:
        """Its tasks are never named again, and no line of theirs runs; whoever waits for an answer gets None."""
        process.alive = False
        self._dead += self.waiting
        self.waiting = [waiter for waiter in self.waiting if waiter.process is not process]
        for answer in process.answers:
            if not answer.done():
                answer.set_result(None)

    async def end(self) -> None:
        """Clear away what is left of dead processes: whatever those tasks still try is refused."""
        self._over = True
        left = asyncio.all_tasks() - {asyncio.current_task()}
        for task in left:
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
