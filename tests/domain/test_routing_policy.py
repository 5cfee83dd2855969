from typing import Any

import pytest

from counterfoil.domain.breaker import BreakerPolicy
from counterfoil.domain.errors import GatewayAwayError, InvalidRequestError, NoGatewayError, NotSupportedError
from counterfoil.domain.money import Money
from counterfoil.domain.routing import Choice, Down, choose, weigh
from counterfoil.domain.routing_policy import RULES_MOST, Policy, Question, read

BOTH = ("stripe", "razorpay")
RUPEES = Question(Money(50_000, "INR"), method="card", country="IN")


def policy(*rules: dict[str, Any], **more: Any) -> Policy:
    return read({"rules": list(rules), **more}, BOTH)


def rule(use: list[str], **when: Any) -> dict[str, Any]:
    return {"name": "the rule", "when": when, "use": use}


def to(question: Question, rules: Policy, **more: Any) -> list[str]:
    return [choice.gateway for choice in choose(question, BOTH, rules, **more)]


@pytest.mark.parametrize(
    ("when", "holds"),
    [
        ({}, True),
        ({"currency": ["INR", "USD"]}, True),
        ({"currency": ["USD"]}, False),
        ({"country": ["IN"]}, True),
        ({"country": ["US"]}, False),
        ({"method": ["card"]}, True),
        ({"method": ["upi"]}, False),
        ({"amountFrom": {"INR": 50_000}}, True),
        ({"amountFrom": {"INR": 50_001}}, False),
        ({"amountFrom": {"USD": 1}}, False),
        ({"amountBelow": {"INR": 50_001}}, True),
        ({"amountBelow": {"INR": 50_000}}, False),
        ({"currency": ["INR"], "country": ["US"]}, False),
    ],
)
def test_a_rule_decides_where_all_of_its_conditions_hold(when, holds):
    assert to(RUPEES, policy(rule(["stripe"], **when))) == (["stripe"] if holds else ["razorpay", "stripe"])


def test_a_condition_on_what_a_payment_does_not_tell_does_not_hold():
    silent = Question(Money(50_000, "INR"))
    assert to(silent, policy(rule(["stripe"], country=["IN"]))) == ["razorpay", "stripe"]
    assert to(silent, policy(rule(["stripe"], method=["card"]))) == ["razorpay", "stripe"]


def test_the_first_rule_that_holds_decides_and_is_named():
    rules = policy(rule(["razorpay"], currency=["USD"]), rule(["stripe", "razorpay"]), rule(["razorpay"]))
    assert choose(RUPEES, BOTH, rules)[0] == Choice("stripe", 'by the rule "the rule"')


def test_a_rule_uses_only_the_gateways_it_names():
    with pytest.raises(NoGatewayError, match='the rule "the rule" does not use stripe'):
        choose(Question(Money(60, "INR")), BOTH, policy(rule(["razorpay"])))  # Razorpay takes a rupee or more


def test_the_order_of_preference_goes_before_home():
    assert to(RUPEES, policy(order=["stripe", "razorpay"])) == ["stripe", "razorpay"]
    assert to(RUPEES, policy(order=["razorpay"])) == ["razorpay", "stripe"]


def test_a_method_that_a_gateway_does_not_take_keeps_it_out():
    assert to(Question(Money(50_000, "INR"), method="upi"), policy()) == ["razorpay"]
    with pytest.raises(NotSupportedError, match="stripe takes no upi in INR"):
        choose(Question(Money(50_000, "INR"), method="upi"), BOTH, named="stripe")


def test_a_gateway_that_is_away_is_not_asked_and_the_reason_says_so():
    down = {"razorpay": Down("razorpay is left alone until 12:00:00 UTC (it answered 500)", away=True)}
    assert choose(RUPEES, BOTH, down=down) == [
        Choice(
            "stripe",
            "first enabled gateway that takes INR; razorpay is left alone until 12:00:00 UTC (it answered 500)",
        )
    ]


def test_a_gateway_in_trouble_is_asked_last():
    down = {"razorpay": Down("razorpay reports trouble with card", away=False)}
    chosen = choose(RUPEES, BOTH, down=down)
    assert [choice.gateway for choice in chosen] == ["stripe", "razorpay"]
    assert chosen[1].reason.endswith("although razorpay reports trouble with card")


def test_where_all_that_could_are_away_nothing_is_sent():
    down = {name: Down(f"{name} is away", away=True) for name in BOTH}
    with pytest.raises(GatewayAwayError, match="razorpay is away; stripe is away"):
        choose(RUPEES, BOTH, down=down)
    with pytest.raises(GatewayAwayError):
        choose(RUPEES, BOTH, named="stripe", down=down)


def test_every_gateway_is_weighed_and_none_left_out():
    verdicts = weigh(Question(Money(60, "INR")), BOTH)
    assert [(v.gateway, v.obstacle is None) for v in verdicts] == [("stripe", True), ("razorpay", False)]


@pytest.mark.parametrize(
    ("section", "field"),
    [
        ({"rule": []}, "routing.rule"),
        ({"rules": {}}, "routing.rules"),
        ({"rules": [rule(["stripe"])] * (RULES_MOST + 1)}, "routing.rules"),
        ({"rules": [[]]}, "routing.rules.0"),
        ({"rules": [{"name": "x", "use": ["stripe"], "whem": {}}]}, "routing.rules.0.whem"),
        ({"rules": [{"name": " ", "use": ["stripe"]}]}, "routing.rules.0.name"),
        ({"rules": [{"name": "x", "use": []}]}, "routing.rules.0.use"),
        ({"rules": [{"name": "x"}]}, "routing.rules.0.use"),
        ({"rules": [rule(["paypal"])]}, "routing.rules.0.use"),
        ({"rules": [rule(["stripe", "stripe"])]}, "routing.rules.0.use"),
        ({"rules": [rule(["stripe"], currency=["inr"])]}, "routing.rules.0.when.currency"),
        ({"rules": [rule(["stripe"], currency=[])]}, "routing.rules.0.when.currency"),
        ({"rules": [rule(["stripe"], country=["IND"])]}, "routing.rules.0.when.country"),
        ({"rules": [rule(["stripe"], amountFrom={"INR": 1.5})]}, "routing.rules.0.when.amountFrom.INR"),
        ({"rules": [rule(["stripe"], amountFrom={"INR": True})]}, "routing.rules.0.when.amountFrom.INR"),
        ({"rules": [rule(["stripe"], amountFrom=[])]}, "routing.rules.0.when.amountFrom"),
        ({"rules": [rule(["stripe"], day=["Monday"])]}, "routing.rules.0.when.day"),
        ({"order": ["stripe", "paypal"]}, "routing.order"),
        ({"breaker": {"failures": 0}}, "routing.breaker.failures"),
        ({"breaker": {"openSeconds": "30"}}, "routing.breaker.openSeconds"),
        ({"breaker": {"pause": 3}}, "routing.breaker.pause"),
        ({"breaker": []}, "routing.breaker"),
        ({"lateAuthorization": "keep"}, "routing.lateAuthorization"),
        ([], "routing"),
    ],
)
def test_what_is_wrong_is_named(section, field):
    with pytest.raises(InvalidRequestError) as refused:
        read(section, BOTH)
    assert refused.value.facts["field"] == field
    assert refused.value.detail.startswith(field)


def test_an_empty_section_is_the_standard_policy():
    assert read({}, BOTH) == Policy()
    told = policy(breaker={"failures": 2, "openSeconds": 60}, lateAuthorization="refund")
    assert (told.breaker, told.late_authorization) == (BreakerPolicy(2, 60), "refund")
