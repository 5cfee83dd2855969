"""Sandbox time: real time and an offset, with timers that fire when time passes by itself or by a jump."""

import asyncio
import logging
import time
from collections.abc import Callable

from counterfoil.sandbox.truth import Truth

log = logging.getLogger(__name__)

Timer = Callable[[str], None]

# Nobody needs to jump out of this: 2000-01-01 to 2100-01-01.
EARLIEST, LATEST = 946684800, 4102444800


class Clock:
    """The time both gateways live in. Timers are kept in the truth and survive a restart.

    A timer is due at a moment; while it fires, now() is that moment, so what a jump of ten days brings is dated as if
    the ten days had passed. Each fires once, alone in a transaction of its own.
    """

    def __init__(self, truth: Truth) -> None:
        self._truth = truth
        self._offset = float(truth.setting("clock_offset", 0.0))
        self._frozen: float | None = None
        self._handlers: dict[str, Timer] = {}
        self._changed = asyncio.Event()

    @property
    def offset(self) -> float:
        """Seconds by which sandbox time is ahead of real time."""
        return self._offset

    def now(self) -> float:
        """Unix seconds."""
        return time.time() + self._offset if self._frozen is None else self._frozen

    def on(self, name: str, handler: Timer) -> None:
        """What to do when a timer of this name is due; the handler gets the timer's `about`."""
        self._handlers[name] = handler

    def at(self, due: float, name: str, about: str) -> None:
        """Set a timer, inside the caller's transaction."""
        self._truth.sql.execute("INSERT INTO timers (due, name, about) VALUES (?, ?, ?)", (due, name, about))
        self._changed.set()

    def advance(self, seconds: float) -> None:
        """Jump, and let everything that has become due happen. Raises ValueError outside 2000 to 2100."""
        if not EARLIEST <= self.now() + seconds <= LATEST:
            raise ValueError("the clock goes from the year 2000 to 2100")
        with self._truth.transaction():
            self._offset += seconds
            self._truth.set("clock_offset", self._offset)
        self.fire()
        # run() sleeps until a moment that has come nearer.
        self._changed.set()

    def restart(self) -> None:
        """Take the offset from the truth again, after it was cleared."""
        self._offset = float(self._truth.setting("clock_offset", 0.0))
        self._changed.set()

    def fire(self) -> None:
        """Fire every timer that is due, in the order of their moments; those they set too."""
        while (timer := self._next()) and timer[1] <= self.now():
            self._fire(*timer)

    def _next(self) -> tuple[int, float, str, str] | None:
        found: tuple[int, float, str, str] | None = self._truth.sql.execute(
            "SELECT id, due, name, about FROM timers ORDER BY due, id LIMIT 1"
        ).fetchone()
        return found

    def _fire(self, id_: int, due: float, name: str, about: str) -> None:
        self._frozen = due
        try:
            with self._truth.transaction():
                self._truth.sql.execute("DELETE FROM timers WHERE id = ?", (id_,))
                self._handlers[name](about)
        except Exception:
            # A timer that cannot be carried out must not stop all the others.
            log.exception("timer %s about %s failed", name, about)
            self._truth.sql.execute("DELETE FROM timers WHERE id = ?", (id_,))
        finally:
            self._frozen = None

    async def run(self) -> None:
        """Fire timers as time passes, until cancelled."""
        while True:
            self._changed.clear()
            self.fire()
            timer = self._next()
            wait = None if timer is None else max(0.0, timer[1] - self.now())
            try:
                await asyncio.wait_for(self._changed.wait(), wait)
            except TimeoutError:
                continue
