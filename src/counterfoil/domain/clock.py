"""Time, asked for in one place, so that a test or the sandbox can move it. Always UTC."""

from datetime import UTC, datetime, timedelta
from typing import Protocol


class Clock(Protocol):
    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SettableClock:
    """A clock that stands where it was put: for tests and for replays."""

    def __init__(self, at: datetime = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)) -> None:
        self._at = at

    def now(self) -> datetime:
        return self._at

    def advance(self, by: timedelta) -> None:
        self._at += by
