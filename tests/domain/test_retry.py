"""Further tries: what may follow each decline, and when."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from counterfoil.domain import retry
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.failure import Advice, FailureCode
from counterfoil.domain.retry import RETRIES_MOST, Step

NOW = datetime(2026, 11, 22, 18, 30, tzinfo=UTC)


def test_every_decline_there_is_has_its_answer():
    assert set(retry.AWAY) == set(Advice)
    assert {code.advice for code in FailureCode} <= set(retry.AWAY)


@pytest.mark.parametrize("code", FailureCode)
@pytest.mark.parametrize("away", [True, False])
def test_only_funds_limits_and_passing_faults_are_charged_again_and_only_with_the_customer_away(code, away):
    charges = retry.step(code.advice, away=away) in {Step.SOON, Step.LATER}
    assert charges == (away and code.advice in {Advice.LATER, Advice.NOW})


@pytest.mark.parametrize(
    "code", [FailureCode.LOST_OR_STOLEN, FailureCode.FRAUD_SUSPECTED, FailureCode.DUPLICATE]
)
@pytest.mark.parametrize("away", [True, False])
def test_after_a_lost_card_a_suspicion_or_the_merchants_own_fault_nothing_follows(code, away):
    assert retry.step(code.advice, away=away) is Step.END


def test_who_must_authenticate_is_asked_and_never_charged_silently():
    assert retry.step(FailureCode.AUTHENTICATION_REQUIRED.advice, away=True) is Step.INVITE


def days(start, zone, count=RETRIES_MOST):
    at = [start]
    for number in range(1, count + 1):
        at.append(retry.due(Step.LATER, number, at[-1], zone, away=True))
    return at[1:]


def test_short_funds_are_asked_for_on_the_first_third_fifth_and_seventh_day_and_within_a_month():
    found = [(at - NOW).days for at in days(NOW, UTC)]
    assert found == [1, 3, 5, 7, 10, 14, 21, 29]


def test_the_hour_stays_when_the_clocks_change():
    berlin = ZoneInfo("Europe/Berlin")
    start = datetime(2026, 10, 24, 16, 0, tzinfo=UTC)  # the clocks go back in the night
    [due] = days(start, berlin, 1)
    assert (due.astimezone(berlin).hour, due - start) == (18, timedelta(hours=25))
    assert due.tzinfo is UTC


def test_passing_faults_are_tried_again_ever_less_often():
    waits = [retry.due(Step.SOON, n, NOW, UTC, away=True) - NOW for n in range(1, RETRIES_MOST + 1)]
    assert waits[0] == timedelta(minutes=15)
    assert waits == sorted(waits)
    assert len(retry.LATER_DAYS) == RETRIES_MOST


def test_a_customer_who_was_there_is_left_in_peace_for_a_while():
    assert retry.due(Step.INVITE, 1, NOW, UTC, away=True) == NOW
    assert retry.due(Step.INVITE, 1, NOW, UTC, away=False) == NOW + retry.INVITE_AFTER


def test_the_policy_is_read_from_the_settings():
    document = {"productionSettings": {"paymentRetryAttempts": 8}, "business": {"timeZone": "Asia/Kolkata"}}
    assert retry.read(document) == retry.Policy(8, ZoneInfo("Asia/Kolkata"))
    assert retry.read({}) == retry.Policy(0, ZoneInfo("UTC"))


@pytest.mark.parametrize(
    ("section", "field", "value"),
    [
        *(("productionSettings", "paymentRetryAttempts", bad) for bad in (-1, 9, True, 1.5, "3", None)),
        *(("business", "timeZone", bad) for bad in ("Mars/Base", "", "../etc/passwd", None, 3)),
    ],
)
def test_what_is_wrong_in_the_settings_is_named(section, field, value):
    with pytest.raises(InvalidRequestError) as wrong:
        retry.read({section: {field: value}})
    assert wrong.value.facts["field"] == f"{section}.{field}"
