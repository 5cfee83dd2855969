import pytest

from counterfoil.domain.attempt import AttemptState
from counterfoil.domain.payment import Status
from counterfoil.domain.surplus import may_pay


@pytest.mark.parametrize("state", ["open", "unknown", "won"])
@pytest.mark.parametrize("status", Status)
def test_money_on_an_attempt_that_lives_may_always_pay(state: str, status: Status):
    assert may_pay(AttemptState(state), status)


@pytest.mark.parametrize("state", ["fenced", "dead"])
def test_money_on_an_attempt_that_has_ended_pays_only_what_waits_for_it(state: str):
    paid = {status for status in Status if may_pay(AttemptState(state), status)}
    assert paid == {Status.CREATED, Status.PENDING}
