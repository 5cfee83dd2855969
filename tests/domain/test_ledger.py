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
