"""How a payment stands, as far as its customer is concerned."""

from dataclasses import replace
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest

import builders
from builders import NOW
from counterfoil.domain.attempt import AttemptState
from counterfoil.domain.fact import Kind, Report
from counterfoil.domain.failure import FailureCode
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Status
from counterfoil.gateways.base import Accepted, Declined, Outcome, Refused, Unknown
from counterfoil.store.payments import Family
from counterfoil.web.checkout import standing
from counterfoil.web.checkout.standing import Standing

CONTEXT: Any = SimpleNamespace(
    merchant_id="mer_1",
    mode="sandbox",
    now=lambda: NOW,
    new_id=lambda noun: f"{noun}_1",
    directory=SimpleNamespace(active=lambda *_: SimpleNamespace(account_id="gwa_1")),
)


def family(
    status: Status, *, attempt: dict[str, Any] | None = None, attempts: int = 1, **changes: Any
) -> Family:
    payment = builders.payment(CONTEXT, status=status, **changes)
    tries = tuple(builders.attempt(CONTEXT, payment, **(attempt or {})) for _ in range(attempts))
    return Family(payment, tries)


def report(kind: Kind, *, seconds: int = 0, **detail: Any) -> Report:
    return Report(
        kind=kind, object_id="x", amount=Money(1, "USD"), at=NOW + timedelta(seconds=seconds), detail=detail
    )


def said(*kinds: Kind, action: bool = False) -> Accepted:
    return Accepted(reports=tuple(map(report, kinds)), next_action={"type": "t"} if action else None)


DECLINE = Declined(code=FailureCode.CARD_DECLINED, gateway_code="x", message="x")
REFUSAL = Refused(code=FailureCode.GATEWAY_UNAVAILABLE, gateway_code="x", message="x")
LATE = {"expires_at": NOW}
OPENED = Kind.ATTEMPT_OPENED


@pytest.mark.parametrize(
    ("case", "outcome", "expected"),
    [
        ({"status": Status.CREATED}, None, Standing.OPEN),
        ({"status": Status.CREATED}, said(OPENED), Standing.OPEN),
        ({"status": Status.CREATED}, REFUSAL, Standing.OPEN),
        ({"status": Status.CREATED, **LATE}, None, Standing.EXPIRED),
        ({"status": Status.CREATED, "attempts": 0}, None, Standing.CHECKING),
        ({"status": Status.CREATED, "attempt": {"ref": None}}, None, Standing.CHECKING),
        ({"status": Status.CREATED, "attempt": {"state": AttemptState.DEAD}}, None, Standing.CHECKING),
        # Tried, and the gateway was not asked or did not answer.
        ({"status": Status.PENDING}, None, Standing.CHECKING),
        ({"status": Status.PENDING}, Unknown(message="x"), Standing.CHECKING),
        ({"status": Status.PENDING}, REFUSAL, Standing.CHECKING),
        ({"status": Status.PENDING, "attempt": {"state": AttemptState.UNKNOWN}}, DECLINE, Standing.CHECKING),
        # Tried, and it answered.
        ({"status": Status.PENDING}, DECLINE, Standing.DECLINED),
        ({"status": Status.PENDING}, said(Kind.ATTEMPT_DECLINED, Kind.CHARGE_FAILED), Standing.DECLINED),
        ({"status": Status.PENDING}, said(Kind.CHARGE_FAILED), Standing.DECLINED),
        ({"status": Status.PENDING}, said(Kind.ATTEMPT_ACTION, action=True), Standing.ACTION),
        (
            {"status": Status.PENDING},
            said(Kind.ATTEMPT_ACTION, Kind.CHARGE_FAILED, action=True),
            Standing.ACTION,
        ),
        ({"status": Status.PENDING}, said(Kind.ATTEMPT_PROCESSING), Standing.PROCESSING),
        ({"status": Status.PENDING}, said(OPENED, Kind.CHARGE_CREATED), Standing.PROCESSING),
        ({"status": Status.PENDING}, said(Kind.CHARGE_FAILED, Kind.CHARGE_CREATED), Standing.PROCESSING),
        ({"status": Status.PENDING}, said(Kind.CHARGE_FAILED, Kind.CHARGE_CAPTURED), Standing.CHECKING),
        ({"status": Status.PENDING}, said(Kind.CHARGE_AUTHORIZED), Standing.CHECKING),
        ({"status": Status.PENDING}, said(OPENED), Standing.OPEN),
        ({"status": Status.PENDING, **LATE}, DECLINE, Standing.CHECKING),
        # Decided.
        ({"status": Status.CAPTURED}, None, Standing.PAID),
        ({"status": Status.CAPTURED, **LATE}, DECLINE, Standing.PAID),
        ({"status": Status.AUTHORIZED}, None, Standing.PROCESSING),
        ({"status": Status.AUTHORIZED, "capture": "manual"}, None, Standing.APPROVED),
        (
            {"status": Status.AUTHORIZED, "capture": "manual", "capture_requested": 1},
            None,
            Standing.PROCESSING,
        ),
        ({"status": Status.CANCELLED}, None, Standing.CANCELLED),
        ({"status": Status.FAILED}, None, Standing.FAILED),
        ({"status": Status.FAILED, **LATE}, None, Standing.EXPIRED),
    ],
)
def test_what_we_know_decides_and_what_we_do_not_know_is_called_checking(
    case: dict[str, Any], outcome: Outcome | None, expected: Standing
):
    assert standing.of(family(**case), outcome, NOW) is expected


@pytest.mark.parametrize("outcome", [None, DECLINE, said(OPENED)])
def test_while_a_call_is_under_way_nobody_is_told_to_pay(outcome):
    for status in (Status.CREATED, Status.PENDING):
        assert standing.of(family(status), outcome, NOW, under_way=True) is Standing.CHECKING
    assert standing.of(family(Status.CAPTURED), None, NOW, under_way=True) is Standing.PAID


def test_the_newest_attempt_counts():
    tried = family(Status.PENDING, attempts=2)
    ended = replace(tried.attempts[0], state=AttemptState.FENCED)
    assert standing.of(replace(tried, attempts=(ended, tried.attempts[1])), DECLINE, NOW) is Standing.DECLINED


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        (Declined(code=FailureCode.LOST_OR_STOLEN, gateway_code="x", message="stolen"), "lost_or_stolen"),
        (
            Accepted(
                reports=(
                    report(Kind.ATTEMPT_DECLINED, failure="authentication_failed"),
                    report(Kind.CHARGE_FAILED, seconds=9, failure="insufficient_funds"),
                )
            ),
            "authentication_failed",
        ),
        (
            Accepted(
                reports=(
                    report(Kind.ATTEMPT_DECLINED, seconds=9, failure="timed_out"),
                    report(Kind.ATTEMPT_DECLINED, failure="insufficient_funds"),
                )
            ),
            "timed_out",
        ),
        (
            Accepted(
                reports=(
                    report(Kind.CHARGE_FAILED, seconds=9, failure="insufficient_funds"),
                    replace(report(Kind.CHARGE_FAILED, failure="expired_card"), at=None),
                )
            ),
            "expired_card",
        ),
        (Accepted(reports=(report(Kind.CHARGE_FAILED, failure="expired_card"),)), "expired_card"),
        (Accepted(reports=(report(Kind.CHARGE_FAILED, failure="never_heard_of"),)), "other"),
        (Accepted(reports=(report(Kind.CHARGE_FAILED),)), "other"),
        (None, "other"),
    ],
)
def test_the_last_failure_is_told_in_the_customers_words(outcome, code):
    told = next(failure for failure in FailureCode if failure.slug == code).tell_customer
    assert standing.why_declined(outcome) == told
