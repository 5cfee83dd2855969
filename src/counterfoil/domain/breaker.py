"""A circuit breaker: a gateway, or one method there, that fails in a row is left alone for a while.

    closed ──failures in a row──► open ──the pause is over──► half open: one payment tries
       ▲                           ▲                              │
       └────────it answers─────────┼──────────────────────────────┤
                                   └──it fails: a longer pause────┘

Pure: what happened goes in, the row to keep comes out. All processes share the rows.
"""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

WHOLE: Final = "*"  # the gateway as a whole; other rows are of one method
LONGEST: Final = timedelta(minutes=10)  # between two tries at a gateway that stays dark
PROBE: Final = timedelta(seconds=60)  # twice a call's timeout: whoever tried has an answer by then, or died


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    failures: int = 5  # in a row; a passing fault makes one or two
    open_s: int = 30  # the first pause; each further one is twice as long


@dataclass(frozen=True, slots=True, kw_only=True)
class Breaker:
    """How one account fares, as a whole or by one method."""

    account_id: str
    method: str
    failures: int = 0
    openings: int = 0
    opened_at: datetime | None = None
    retry_at: datetime | None = None
    probe_until: datetime | None = None
    reason: str | None = None

    def state(self, now: datetime) -> BreakerState:
        if self.opened_at is None or self.retry_at is None:
            return BreakerState.CLOSED
        return BreakerState.OPEN if now < self.retry_at else BreakerState.HALF_OPEN

    def may_try(self, now: datetime) -> bool:
        """Whether a payment may go there: a closed breaker lets all through, a half-open one a single payment."""
        state = self.state(now)
        trying = self.probe_until is not None and now < self.probe_until
        return state is BreakerState.CLOSED or (state is BreakerState.HALF_OPEN and not trying)

    def failed(self, policy: BreakerPolicy, now: datetime, reason: str) -> "Breaker":
        failures = self.failures + 1
        state = self.state(now)
        if state is BreakerState.OPEN:  # a call that left before it opened
            return replace(self, failures=failures)
        if state is BreakerState.CLOSED and failures < policy.failures:
            return replace(self, failures=failures, reason=reason)
        pause = min(timedelta(seconds=policy.open_s) * 2 ** min(self.openings, 10), LONGEST)
        return replace(
            self,
            failures=failures,
            openings=self.openings + 1,
            opened_at=self.opened_at or now,
            retry_at=now + pause,
            probe_until=None,
            reason=reason,
        )

    def answered(self) -> "Breaker":
        """It answers again: nothing of before counts."""
        return Breaker(account_id=self.account_id, method=self.method)

    def probed(self, now: datetime) -> "Breaker":
        return replace(self, probe_until=now + PROBE)
