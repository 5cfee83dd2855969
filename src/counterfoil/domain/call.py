"""Calls that move money or make objects at a gateway, and how each may be repeated when its outcome is not known."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Final

# A call without an outcome is asked about first after this long.
FIRST_CHECK: Final = timedelta(seconds=30)


class Verb(StrEnum):
    OPEN = "open"
    CONFIRM = "confirm"
    CAPTURE = "capture"
    CANCEL = "cancel"
    REFUND = "refund"
    SUBMIT_EVIDENCE = "submit_evidence"
    ACCEPT_DISPUTE = "accept_dispute"


# What makes the attempt, or its money, what it is. The others are about money taken already, and leave it as it stands.
OF_ATTEMPT: Final = frozenset({Verb.OPEN, Verb.CONFIRM, Verb.CAPTURE, Verb.CANCEL})


class Repeat(StrEnum):
    """The repeat class a gateway declares for each call."""

    KEYED = "keyed"  # one resend with the same key within 23 h, for lost connections
    SINGLE_SHOT = "single_shot"  # does nothing the second time: resend, then fetch
    LOOKUP = "lookup"  # list by parent and our id; absence counts only after waiting and two empty reads
    HARMLESS = "harmless"  # nothing was disclosed: abandon it and open another


class Settled(StrEnum):
    """What became of a call. A row without one is on its way, or its process died: unknown either way."""

    ACCEPTED = "accepted"
    DECLINED = "declined"
    REFUSED = "refused"
    UNKNOWN = "unknown"
    ABANDONED = "abandoned"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One intent of ours: the row that is committed before its call leaves, and what became of it."""

    id: str
    payment_id: str
    attempt_id: str
    verb: Verb
    key: str
    charge_ref: str | None
    amount: int | None
    started_at: datetime
    settled: Settled | None
    settled_at: datetime | None
    reads: int
    message: str | None
    refund_id: str | None = None
    dispute_id: str | None = None

    @property
    def is_settled(self) -> bool:
        """Whether its outcome is known. One on its way, or whose process died, has none yet."""
        return self.settled not in {None, Settled.UNKNOWN}
