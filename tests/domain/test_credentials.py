from counterfoil.domain.credentials import LAST, SHOWN_FROM, last


def test_of_a_long_secret_its_end_is_shown_and_of_a_short_one_nothing():
    assert last("x" * (SHOWN_FROM - LAST) + "abcd"[:LAST]) == "abcd"[:LAST]
    assert last("x" * (SHOWN_FROM - 1)) is None
