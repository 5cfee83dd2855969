"""Turns: what costs much and may be asked for by strangers is done a little at a time, so that ours goes on beside it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from counterfoil.domain.errors import RateLimitedError


class Turns:
    """So many at once; so many more wait for their turn, and who comes then is sent away."""

    def __init__(self, at_once: int, waiting: int) -> None:
        self._free, self._places = asyncio.Semaphore(at_once), waiting

    @asynccontextmanager
    async def taken(self) -> AsyncIterator[None]:
        """A turn, once it comes. Raises RateLimitedError where too many wait already."""
        if self._places == 0:
            raise RateLimitedError("Too many receipts are being asked for right now.")
        self._places -= 1
        try:
            await self._free.acquire()
        finally:
            self._places += 1
        try:
            yield
        finally:
            self._free.release()
