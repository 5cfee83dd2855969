from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain import ledger
from counterfoil.domain.ledger import Entry

amounts = st.integers(-(10**12), 10**12)


@given(amounts, st.booleans(), st.sampled_from([ledger.capture, ledger.refund]))
def test_every_movement_balances(amount: int, surplus: bool, rule: object):
    entries = rule(amount, surplus=surplus)  # type: ignore[operator]  a rule of the books
    assert sum(entry.amount for entry in entries) == 0
    assert len({entry.account for entry in entries}) == 2


@given(st.lists(st.tuples(st.booleans(), st.booleans(), amounts)))
def test_whatever_moves_all_accounts_together_hold_nothing(moves: list[tuple[bool, bool, int]]):
    held: Counter[str] = Counter()
    for is_capture, surplus, amount in moves:
        for entry in (ledger.capture if is_capture else ledger.refund)(amount, surplus=surplus):
            held[entry.account] += entry.amount
    assert sum(held.values()) == 0


@pytest.mark.parametrize(("surplus", "account"), [(False, "sales"), (True, "owed_to_customers")])
def test_a_capture_is_ours_at_the_gateway_and_a_refund_takes_it_back(surplus: bool, account: str):
    captured = ledger.capture(100, surplus=surplus)
    assert captured == (Entry("gateway_balance", 100), Entry(account, -100))
    assert ledger.refund(100, surplus=surplus) == ledger.capture(-100, surplus=surplus)


@given(st.integers(0, 10**12), st.integers(0, 10**12))
def test_a_disputes_money_leaves_the_balance_and_comes_back_or_is_lost(taken: int, lost: int):
    entries = ledger.dispute(taken, lost)
    assert sum(entry.amount for entry in entries) == 0
    assert all(entry.amount for entry in entries)
    assert {entry.account: entry.amount for entry in entries}.get("gateway_balance", 0) == -taken


def test_what_a_dispute_took_and_lost_later_ends_as_what_it_took_when_it_was_lost():
    later = Counter[str]()
    for entry in (*ledger.dispute(100, 0), *ledger.dispute(0, 100)):
        later[entry.account] += entry.amount
    at_once = Counter({entry.account: entry.amount for entry in ledger.dispute(100, 100)})
    assert {name: amount for name, amount in later.items() if amount} == at_once
    assert at_once == {"gateway_balance": -100, "dispute_losses": 100}
    assert ledger.dispute(0, 0) == ()


@given(amounts)
def test_what_was_taken_before_is_no_sale(amount: int):
    assert ledger.opening(amount) == (Entry("gateway_balance", amount), Entry("opening_balance", -amount))
