"""An export: what may be done with it in each state, and what its file is called."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from counterfoil.domain.errors import WrongStateError
from counterfoil.domain.receipt_export import DECISIONS, OPEN, Command, Export, State

AT = datetime(2026, 11, 23, tzinfo=UTC)
EXPORT = Export(
    id="exp_1", merchant_id="mer_1", mode="sandbox", state=State.READY, format="pdf",
    issued_from=datetime(2026, 10, 1, tzinfo=UTC), issued_to=datetime(2026, 11, 1, tzinfo=UTC), last_id="", total=0,
    done=0, done_id="", size=22, listed=0, tries=0, error=None, asked_by="anna", created_at=AT, started_at=AT,
    ended_at=AT, expires_at=AT, next_check_at=None,
)  # fmt: skip


def test_only_what_is_open_is_worked_on():
    for state in State:
        assert DECISIONS.allows(state, Command.TAKE) == (state in OPEN)
    assert {state for state in State if DECISIONS.allows(state, Command.FINISH)} == {State.RUNNING}


def test_what_is_open_or_ready_can_be_cancelled_and_what_failed_or_expired_cannot():
    may = {state for state in State if DECISIONS.allows(state, Command.CANCEL)}
    assert may == OPEN | {State.READY, State.CANCELLED}
    with pytest.raises(WrongStateError):
        DECISIONS.next(State.EXPIRED, Command.CANCEL)


def test_only_a_file_that_is_ready_expires():
    assert DECISIONS.next(State.READY, Command.EXPIRE) is State.EXPIRED
    assert not DECISIONS.allows(State.FAILED, Command.EXPIRE)


def test_its_file_is_called_by_its_period_and_what_it_is():
    assert EXPORT.filename == "receipts-2026-10-01-2026-11-01.zip"
    assert replace(EXPORT, format="book").filename == "receipts-2026-10-01-2026-11-01.xlsx"
