import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain import batch
from counterfoil.domain.batch import ROWS_MOST, Command, Row, State
from counterfoil.domain.errors import CounterfoilError, InvalidRequestError, WrongStateError

ONE = "pmt_01m81j18g058kz5g52d9cyekhn"
HEAD = "payment,amount,reason,note\n"


def test_a_file_is_read_row_by_row_with_the_line_on_which_each_stands():
    rows, faults = batch.read(f"\ufeff{HEAD}{ONE},500,duplicate,\n\n{ONE},,other,twice billed\n")
    assert faults == []
    assert rows == [
        Row(number=2, payment_id=ONE, amount=500, reason="duplicate", note=None),
        Row(number=4, payment_id=ONE, amount=None, reason="other", note="twice billed"),
    ]


def test_columns_may_stand_in_any_order_and_two_may_be_left_out():
    assert batch.read(f"Reason,Payment\nduplicate,{ONE}\n")[0][0].payment_id == ONE


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "must name the columns"),
        ("payment,amount\n", "must name the columns"),
        ("payment,reason,secret\n", "must name the columns"),
        ("payment,reason,reason\n", "must name the columns"),
        (HEAD, "has no rows"),
        (f'{HEAD}{ONE},"5\n', "Line 2 is no CSV"),
        (f"{HEAD}{ONE},5,dup\x00licate,\n", "U+0000"),
        (HEAD + f"{ONE},1,duplicate,\n" * (ROWS_MOST + 1), f"{ROWS_MOST} rows at most"),
    ],
)
def test_what_is_no_such_file_is_refused_as_a_whole(text: str, says: str):
    with pytest.raises(InvalidRequestError) as refused:
        batch.read(text)
    assert says in refused.value.detail


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("rfn_01m81j18g058kz5g52d9cyekhn,5,duplicate,", "payment is no id of a payment"),
        (f"{ONE},0,duplicate,", "amount must be a whole number"),
        (f"{ONE},-5,duplicate,", "amount must be a whole number"),
        (f"{ONE},1.5,duplicate,", "amount must be a whole number"),
        (f"{ONE},٥,duplicate,", "amount must be a whole number"),
        (f"{ONE},{'9' * 40},duplicate,", "amount must be a whole number"),
        (f"{ONE},5,,", "reason is missing"),
        (f"{ONE},5,duplicate", "has 3 cells, and the header 4"),
        (f"{ONE},5,duplicate,{'n' * 501}", "note may have 500 characters"),
        (f"{ONE},5,duplicate,card 4242424242424242", "a card number stands in it"),
    ],
)
def test_a_row_that_cannot_be_taken_says_why(line: str, says: str):
    rows, [fault] = batch.read(f"{HEAD}{line}\n")
    assert (rows, fault.row) == ([], 2)
    assert says in fault.problem
    assert "4242" not in fault.problem


@given(st.text(max_size=300))
def test_whatever_comes_is_read_or_refused_in_our_own_words(text: str):
    try:
        rows, faults = batch.read(text)
    except CounterfoilError:
        return
    assert rows or faults


def test_a_batch_is_decided_once():
    assert batch.DECISIONS.next(State.PENDING_APPROVAL, Command.APPROVE) is State.RUNNING
    for state in (State.DONE, State.REJECTED, State.CANCELLED):
        with pytest.raises(WrongStateError):
            batch.DECISIONS.next(state, Command.APPROVE)


@pytest.mark.parametrize("command", [Command.EXPIRE, Command.CANCEL])
def test_what_waits_can_end_undecided_and_what_was_decided_cannot(command: Command):
    assert batch.DECISIONS.next(State.PENDING_APPROVAL, command) is State.CANCELLED
    assert batch.DECISIONS.next(State.CANCELLED, command) is State.CANCELLED
    for state in (State.RUNNING, State.DONE, State.REJECTED):
        with pytest.raises(WrongStateError):
            batch.DECISIONS.next(state, command)
