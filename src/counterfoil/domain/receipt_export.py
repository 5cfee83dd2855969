"""An export: the receipts of a period in one file, made in the background and kept for a while."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from counterfoil.domain.machine import Machine

# One Excel book with a row for each receipt; every other format is a zip with a file for each
BOOK: Final = "book"


class State(StrEnum):
    WAITING = "waiting"
    RUNNING = "running"
    READY = "ready"  # its file can be fetched
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"  # its file has had its time


class Command(StrEnum):
    TAKE = "take"
    FINISH = "finish"
    FAIL = "fail"
    CANCEL = "cancel"
    EXPIRE = "expire"


# A file that is ready may be withdrawn too: it need not lie there for a week.
DECISIONS: Final = Machine.read(
    State,
    Command,
    """
                 take      finish   fail     cancel      expire
    waiting      running   !        failed   cancelled   !
    running      .         ready    failed   cancelled   !
    ready        !         !        !        cancelled   expired
    failed       !         !        !        !           !
    cancelled    !         !        !        .           !
    expired      !         !        !        !           .
    """,
)
OPEN: Final = frozenset({State.WAITING, State.RUNNING})


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """Receipts issued from `issued_from` until before `issued_to`, of those that stood when it was asked for.

    `last_id` is the last of these, `done_id` the last that is in the file. `size` and `listed` are bytes: of its files, and
    of the list of them that goes behind. `next_check_at` also tells one worker's hold on it from the next one's.
    """

    id: str
    merchant_id: str
    mode: str
    state: State
    format: str
    issued_from: datetime
    issued_to: datetime
    last_id: str
    total: int
    done: int
    done_id: str
    size: int
    listed: int
    tries: int
    error: str | None
    asked_by: str
    created_at: datetime
    started_at: datetime | None
    ended_at: datetime | None
    expires_at: datetime | None
    next_check_at: datetime | None

    @property
    def filename(self) -> str:
        """What its file is called where it is saved."""
        ending = "xlsx" if self.format == BOOK else "zip"
        return f"receipts-{self.issued_from:%Y-%m-%d}-{self.issued_to:%Y-%m-%d}.{ending}"
