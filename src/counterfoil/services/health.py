"""How gateways fare: every outcome is heard, failures are counted in rows that all processes share, and routing asks.

Nothing of it stands in a payment's way: what is heard is kept in memory and written by a task of its own, and what is
asked is answered from a copy that is a second old at most. What a crash loses of it, the next failures bring back.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Mapping
from typing import Final

import structlog

from counterfoil.domain.breaker import WHOLE, Breaker, BreakerPolicy, BreakerState
from counterfoil.domain.clock import Clock
from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.domain.fact import Kind, Report
from counterfoil.domain.failure import FailureCode
from counterfoil.domain.routing import Down
from counterfoil.gateways.base import Outcome, Refused, Trouble, Unknown
from counterfoil.services.metrics import Metrics
from counterfoil.store import audit, breakers
from counterfoil.store.breakers import Downtime
from counterfoil.store.database import Connection, Database

REFRESH_S: Final = 1.0
# What waits to be written; past it a gateway that fails a thousand times a second is known to fail.
WAITING: Final = 1_000
# The gateway itself cannot be used: keys that are no longer good, too many requests.
_UNUSABLE: Final = frozenset({401, 403, 429})
# A charge that failed for these failed for the bank's or network's sake, and not for the customer's.
_BANKS_FAULT: Final = frozenset(
    code.slug
    for code in (FailureCode.BANK_UNAVAILABLE, FailureCode.GATEWAY_UNAVAILABLE, FailureCode.PROCESSING_ERROR)
)
_WENT_WELL: Final = frozenset({Kind.CHARGE_AUTHORIZED, Kind.CHARGE_CAPTURED})
# Gateways call a downtime high when most payments of the instrument fail.
_SERIOUS: Final = "high"
_SHOWN: Final = {BreakerState.CLOSED: 0, BreakerState.HALF_OPEN: 1, BreakerState.OPEN: 2}

log = structlog.get_logger()


class Health:
    """The breakers and downtimes of all accounts, as of the last second."""

    def __init__(
        self, db: Database, clock: Clock, metrics: Metrics, policy: Callable[[], BreakerPolicy]
    ) -> None:
        self._db, self._clock, self._metrics = db, clock, metrics
        self.policy = policy
        self._breakers: dict[tuple[str, str], Breaker] = {}
        self._downtimes: list[Downtime] = []
        self._heard: deque[tuple[str, str, str | None]] = deque(maxlen=WAITING)
        self._news = asyncio.Event()

    def told(self, account_id: str, outcome: Outcome) -> None:
        """A call to the gateway ended. Never blocks and never fails: called in the middle of payments.

        One that belongs to no account, with keys that are only tried, tells nothing of how an account fares.
        """
        if account_id:
            self._hear(account_id, WHOLE, _trouble(outcome))

    def reported(self, account_id: str, report: Report) -> None:
        """A charge was made or failed by some method: the gateway may be well while one method is not."""
        method = report.detail.get("method")
        if not isinstance(method, str):
            return
        if report.kind in _WENT_WELL:
            self._hear(account_id, method, None)
        elif report.kind is Kind.CHARGE_FAILED and report.detail.get("failure") in _BANKS_FAULT:
            self._hear(account_id, method, f"{method} fails there ({report.detail['failure']})")

    def _hear(self, account_id: str, method: str, trouble: str | None) -> None:
        """Good news is only news where something failed before: a gateway that is well costs nothing."""
        if trouble is not None or self._of(account_id, method).failures:
            self._heard.append((account_id, method, trouble))
            self._news.set()

    def _of(self, account_id: str, method: str) -> Breaker:
        return self._breakers.get((account_id, method)) or Breaker(account_id=account_id, method=method)

    def down(self, accounts: Mapping[str, str], method: str | None) -> dict[str, Down]:
        """Of gateways by name (and their account), those that do not fare well for this method."""
        found = {name: self._down(name, account_id, method) for name, account_id in accounts.items()}
        return {name: down for name, down in found.items() if down}

    def _down(self, gateway: str, account_id: str, method: str | None) -> Down | None:
        now = self._clock.now()
        for key in (WHOLE, method):
            breaker = self._of(account_id, key) if key else None
            if breaker and not breaker.may_try(now):
                part = gateway if key == WHOLE else f"{method} at {gateway}"
                why = breaker.reason or "it failed"
                return Down(f"{part} is left alone until {breaker.retry_at:%H:%M:%S} UTC ({why})", away=True)
        for trouble in self._downtimes:
            whole_method = (
                trouble.method == method and trouble.severity == _SERIOUS and not trouble.instrument
            )
            if trouble.account_id == account_id and whole_method:
                return Down(f"{gateway} reports trouble with {method}", away=False)
        return None

    async def admit(self, account_id: str, method: str | None) -> bool:
        """Whether a payment may be opened there now; where the pause is over, only the first to ask may try."""
        keys = (WHOLE, method) if method else (WHOLE,)
        for key in keys:
            closed = self._of(account_id, key).state(self._clock.now()) is BreakerState.CLOSED
            if not closed and not await self._probe(account_id, key):
                return False
        return True

    async def _probe(self, account_id: str, method: str) -> bool:
        async with self._db.transaction() as conn:
            breaker = await breakers.lock(conn, account_id, method)
            now = self._clock.now()
            admitted = breaker.may_try(now)
            if admitted and breaker.state(now) is BreakerState.HALF_OPEN:
                breaker = breaker.probed(now)
                await breakers.save(conn, breaker, now)
        self._breakers[account_id, method] = breaker
        return admitted

    async def keep(self) -> None:
        """Write what was heard and read what others wrote, until cancelled."""
        while True:
            try:
                await self.write()
                await self.refresh()
            except DatabaseAwayError:
                log.warning("health not kept", reason="database away")
            except Exception as error:  # noqa: BLE001  how gateways fare must not end the process
                log.warning("health not kept", error=type(error).__name__)
            try:
                await asyncio.wait_for(self._news.wait(), REFRESH_S)
            except TimeoutError:
                continue

    async def refresh(self) -> None:
        async with self._db.reading() as conn:
            rows = await breakers.all_breakers(conn)
            self._downtimes = list(await breakers.downtimes_now(conn))
        self._breakers = {(row.account_id, row.method): row for row in rows}
        now = self._clock.now()
        self._metrics.breakers({(row.account_id, row.method): _SHOWN[row.state(now)] for row in rows})

    async def write(self) -> None:
        """Count what was heard. While the database is away it waits; what cannot be written at all is passed over.

        Raises DatabaseAwayError.
        """
        self._news.clear()
        while self._heard:
            heard = self._heard.popleft()
            try:
                await self._count(*heard)
            except DatabaseAwayError:
                self._heard.appendleft(heard)
                raise
            except Exception as error:  # noqa: BLE001  it is one failure among many, and must not hide the others
                log.warning("news of a gateway not kept", account=heard[0], error=type(error).__name__)

    async def _count(self, account_id: str, method: str, trouble: str | None) -> None:
        async with self._db.transaction() as conn:
            before = await breakers.lock(conn, account_id, method)
            now = self._clock.now()
            after = before.answered() if trouble is None else before.failed(self.policy(), now, trouble)
            if after != before:
                await breakers.save(conn, after, now)
            if (after.opened_at is None) != (before.opened_at is None):
                await audit.of_account(
                    conn,
                    account_id,
                    at=now,
                    action="breaker.close" if after.opened_at is None else "breaker.open",
                    detail={"method": method, "reason": trouble, "failures": after.failures},
                )
        self._breakers[account_id, method] = after


async def keep_trouble(conn: Connection, account_id: str, said: Trouble) -> None:
    """Keep what a gateway says of its own banks, networks and handles."""
    await breakers.keep_downtime(
        conn,
        Downtime(
            account_id=account_id,
            id=said.id,
            method=said.method,
            instrument=dict(said.instrument),
            severity=said.severity,
            began_at=said.began_at,
            ended_at=said.ended_at,
            said_at=said.at,
        ),
    )


def _trouble(outcome: Outcome) -> str | None:
    """What is wrong with the gateway itself; None where it answered, whatever it said of the payment."""
    if isinstance(outcome, Unknown):
        return f"it answered {outcome.status}" if outcome.status else "it gave no answer in time"
    if isinstance(outcome, Refused) and outcome.gateway_code == "not_connected":
        return "it cannot be reached"
    if isinstance(outcome, Refused) and outcome.status in _UNUSABLE:
        return f"it answered {outcome.status}"
    return None
