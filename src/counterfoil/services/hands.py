"""Hands: work of this process that is under way, counted by whom it is for."""

import asyncio
from collections import Counter
from collections.abc import Coroutine
from typing import Any


class Hands:
    """Tasks by endpoint. One that hangs keeps a hand of its own endpoint busy, and no other's."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._freed = asyncio.Event()
        self.busy: Counter[str] = Counter()

    def give(self, whose: str, work: Coroutine[Any, Any, None]) -> None:
        """Begin work; it must not raise."""
        self.busy[whose] += 1
        task = asyncio.create_task(work, name="deliver event")
        self._tasks.add(task)
        task.add_done_callback(lambda ended: self._done(whose, ended))

    def _done(self, whose: str, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        self.busy -= Counter({whose: 1})  # and none that is zero is kept
        self._freed.set()

    async def freed(self, at_most_s: float) -> bool:
        """Wait until a hand is free that was not when this was last asked; False where none is in that time."""
        try:
            await asyncio.wait_for(self._freed.wait(), max(0.0, at_most_s))
        except TimeoutError:
            return False
        self._freed.clear()
        return True

    async def rest(self, at_most_s: float) -> None:
        """Let what is in hand finish; what takes longer is left, and comes again by itself."""
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=at_most_s)
        for task in set(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
