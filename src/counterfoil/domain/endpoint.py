"""An endpoint: where the merchant's own backend hears of events; when a delivery is tried again, and given up."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

# Deliveries wait in a lane an object and a slot an endpoint; so many endpoints cannot crowd one another out.
MOST: Final = 16  # a merchant and mode
FILTERS_MOST: Final = 32
DESCRIPTION_CHARS: Final = 200

# Svix's schedule: at once, then after each of these; 27 hours and a half together.
DELAYS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=10),
)
TRIES: Final = len(DELAYS) + 1
JITTER: Final = 0.2  # so much later at most: what failed together is not tried again together

NOTICE_AFTER: Final = timedelta(days=1)  # of nothing but failures: a person is told
DISABLE_AFTER: Final = timedelta(days=5)  # it is disabled,
NOTICE_BEFORE: Final = timedelta(days=1)  # but not sooner than this after the notice
GONE: Final = 410  # it says itself that it wants no more

OVERLAP: Final = timedelta(hours=24)  # how long a replaced secret goes on signing, unless asked otherwise
OVERLAP_MOST: Final = timedelta(days=7)
SECRETS_MOST: Final = 4  # signing at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """`types` are what it wants to hear of; none means all. It is enabled while `disabled_at` is None."""

    id: str
    merchant_id: str
    mode: str
    url: str
    description: str
    types: list[str]
    disabled_at: datetime | None
    disabled_because: str | None
    failing_since: datetime | None
    noticed_at: datetime | None
    created_at: datetime
    updated_at: datetime


def again_after(tries: int, chance: float) -> timedelta | None:
    """How long to wait after so many failed tries; None where that was the last. `chance` is from 0 to 1."""
    return DELAYS[tries - 1] * (1 + JITTER * chance) if tries < TRIES else None
