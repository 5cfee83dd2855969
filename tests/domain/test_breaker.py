from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.breaker import LONGEST, PROBE, Breaker, BreakerPolicy, BreakerState

NOW = datetime(2026, 11, 1, tzinfo=UTC)
POLICY = BreakerPolicy(failures=3, open_s=30)
NEW = Breaker(account_id="gwa_1", method="*")


def after(times: int, at: datetime = NOW, begun: Breaker = NEW) -> Breaker:
    for _ in range(times):
        begun = begun.failed(POLICY, at, "it gave no answer in time")
    return begun


def test_failures_in_a_row_open_it_and_one_answer_in_between_does_not_let_them_add_up():
    assert after(2).state(NOW) is BreakerState.CLOSED
    assert after(3).state(NOW) is BreakerState.OPEN
    assert after(2, begun=after(2).answered()).state(NOW) is BreakerState.CLOSED


def test_while_open_nobody_tries_and_after_the_pause_one_does():
    opened = after(3)
    assert not opened.may_try(NOW + timedelta(seconds=29))
    late = NOW + timedelta(seconds=30)
    assert (opened.state(late), opened.may_try(late)) == (BreakerState.HALF_OPEN, True)
    trying = opened.probed(late)
    assert not trying.may_try(late)
    assert trying.may_try(late + PROBE)  # whoever tried has died


def test_each_failed_try_doubles_the_pause_up_to_the_longest():
    breaker, at, pauses = after(3), NOW, []
    for _ in range(8):
        assert breaker.retry_at is not None
        pauses.append(int((breaker.retry_at - at).total_seconds()))
        at = breaker.retry_at
        breaker = breaker.probed(at).failed(POLICY, at, "it cannot be reached")
    assert pauses == [30, 60, 120, 240, 480, 600, 600, 600]


def test_an_answer_closes_it_and_forgets():
    assert after(9).answered() == NEW


def test_calls_that_left_before_it_opened_do_not_make_the_pause_longer():
    opened = after(3)
    assert after(5, begun=opened).retry_at == opened.retry_at


@given(
    st.lists(st.tuples(st.sampled_from(["failed", "answered", "probed"]), st.integers(0, 900)), max_size=60)
)
def test_whatever_happens_it_lets_somebody_try_within_the_longest_pause(steps):
    breaker, at = NEW, NOW
    for what, seconds in steps:
        at += timedelta(seconds=seconds)
        if what == "failed":
            breaker = breaker.failed(POLICY, at, "it answered 500")
        elif what == "answered":
            breaker = breaker.answered()
        elif breaker.may_try(at):
            breaker = breaker.probed(at)
        assert (breaker.opened_at is None) == (breaker.retry_at is None)
    assert breaker.may_try(at + max(LONGEST, PROBE))
