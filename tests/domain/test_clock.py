from datetime import UTC, timedelta

from counterfoil.domain.clock import SettableClock


def test_a_settable_clock_stands_still_until_it_is_moved():
    clock = SettableClock()
    before = clock.now()
    assert clock.now() == before
    assert before.tzinfo is UTC
    clock.advance(timedelta(days=1, seconds=1))
    assert clock.now() - before == timedelta(days=1, seconds=1)
