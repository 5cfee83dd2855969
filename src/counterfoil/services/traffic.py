"""Receiving goes before understanding: in a process that does both, the worker waits for a lull at the door.

A gateway waits for its answer and gives up on an endpoint that is slow; what is stored can be understood a moment later.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager


class Traffic:
    """How many webhooks wait to be stored in this process."""

    def __init__(self) -> None:
        self._waiting = 0
        self._lull = asyncio.Event()
        self._lull.set()

    @contextmanager
    def arriving(self) -> Iterator[None]:
        """Counted while a webhook waits for its commit."""
        self._waiting += 1
        self._lull.clear()
        try:
            yield
        finally:
            self._waiting -= 1
            if not self._waiting:
                self._lull.set()

    async def lull(self, at_most_s: float) -> None:
        """Return when nothing waits at the door, or after so many seconds: a flood slows understanding, no more."""
        if self._lull.is_set():
            return
        try:
            await asyncio.wait_for(self._lull.wait(), at_most_s)
        except TimeoutError:
            return
