from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain.errors import InvalidRequestError, RefundLimitError, RefundRefusedError
from counterfoil.domain.money import Money
from counterfoil.domain.refund_policy import (
    Ask,
    Limits,
    Policy,
    check,
    check_approver,
    check_limits,
    decide,
    read,
)


def policy(**changes: Any) -> Policy:
    """Nobody has to agree, and nothing is limited."""
    made = read(
        {"refundProcessing": {"refundApprovalRequired": False, "refundReasons": ["duplicate", "other"]}}
    )
    return replace(made, **changes)


def ask(amount: int = 1_000, **changes: Any) -> Ask:
    """A refund of 10 dollars, the first of its payment, customer and requester."""
    made = Ask(
        money=Money(amount, "USD"),
        reason="duplicate",
        of_payment=amount,
        of_customer_day=amount,
        of_person_day=amount,
        role="support",
        person="key_anna",
        fulfilled=False,
    )
    return replace(made, **changes)


def test_a_document_that_says_nothing_asks_for_an_approval_of_everything():
    made = read({})
    assert (made.always, made.automated, made.partial, made.speed) == (True, False, True, "normal")
    assert (made.expiry, made.reminder) == (timedelta(hours=72), timedelta(hours=24))
    assert (made.note_reasons, made.reasons, made.people) == (("other",), (), {})
    assert made.roles == dict.fromkeys(("support", "approver", "admin"), Limits())


def test_every_rule_of_the_document_is_read():
    made = read(
        {
            "refundProcessing": {
                "automatedRefunds": True,
                "refundApprovalRequired": False,
                "refundThreshold": {"USD": 1},
                "secondApprovalThreshold": {"USD": 2},
                "partialRefundsEnabled": False,
                "refundReasons": ["a", "b"],
                "noteReasons": ["b"],
                "approvalExpiryHours": 5,
                "approvalReminderHours": 3,
                "speed": "optimum",
                "limits": {
                    "support": {"perRefund": {"USD": 3}, "perDay": {"USD": 4}},
                    "approver": {"perRefund": {"USD": 5}},
                    "people": {"key_anna": {"USD": 6}},
                },
                "automatic": {
                    "smallAmounts": {"USD": 7},
                    "beforeFulfilment": True,
                    "duplicatePayments": True,
                    "earlyFraudWarnings": True,
                },
            }
        }
    )
    assert made == Policy(
        reasons=("a", "b"),
        note_reasons=("b",),
        partial=False,
        automated=True,
        always=False,
        threshold={"USD": 1},
        second={"USD": 2},
        expiry=timedelta(hours=5),
        reminder=timedelta(hours=3),
        roles={
            "support": Limits({"USD": 3}, {"USD": 4}),
            "approver": Limits({"USD": 5}, {}),
            "admin": Limits(),
        },
        people={"key_anna": Limits(per_day={"USD": 6})},
        small={"USD": 7},
        before_fulfilment=True,
        duplicates=True,
        early_warnings=True,
        speed="optimum",
    )


# Who must agree.

NEVER: dict[str, Any] = {}
ALWAYS = {"always": True}
FROM_50 = {"threshold": {"USD": 5_000}}
TWO_FROM_80 = {"second": {"USD": 8_000}}
SMALL = {"small": {"USD": 500}}
EARLY = {"before_fulfilment": True}
BY_CUSTOMER = {"reason": "requested_by_customer"}


@pytest.mark.parametrize(
    ("rules", "asked", "needed", "rule"),
    [
        (NEVER, {}, 0, "no approval is required"),
        (ALWAYS, {}, 1, "every refund needs an approval"),
        (FROM_50, {"amount": 4_999}, 0, "below 50.00 USD"),
        (FROM_50, {"amount": 5_000}, 1, "approval from 50.00 USD of one payment"),
        (FROM_50, {"of_payment": 5_000}, 1, "approval from 50.00 USD of one payment"),
        (FROM_50, {"of_customer_day": 5_000}, 1, "approval from 50.00 USD of one customer and day"),
        (FROM_50, {"of_customer_day": 4_999, "of_payment": 4_999}, 0, "below 50.00 USD"),
        (ALWAYS | FROM_50, {"amount": 4_999}, 0, "below 50.00 USD"),  # the threshold says from where on
        (ALWAYS | {"threshold": {"EUR": 5_000}}, {}, 1, "every refund needs an approval"),
        ({"threshold": {"EUR": 1}}, {}, 0, "no approval is required"),
        ({"threshold": {"USD": 0}}, {}, 1, "approval from 0.00 USD of one payment"),
        (TWO_FROM_80, {"amount": 7_999}, 0, "no approval is required"),
        (TWO_FROM_80, {"amount": 8_000}, 2, "two must agree from 80.00 USD"),
        (TWO_FROM_80, {"of_payment": 8_000}, 2, "two must agree from 80.00 USD"),
        (TWO_FROM_80, {"of_customer_day": 8_000}, 2, "two must agree from 80.00 USD"),
        (TWO_FROM_80, {"amount": 8_000, "manual": True}, 2, "two must agree from 80.00 USD"),
        (ALWAYS | FROM_50 | TWO_FROM_80, {"amount": 8_000}, 2, "two must agree from 80.00 USD"),
        (ALWAYS | SMALL, {"amount": 500}, 0, "automatic: small amounts up to 5.00 USD"),
        (ALWAYS | SMALL, {"amount": 501}, 1, "every refund needs an approval"),
        (ALWAYS | SMALL, {"amount": 500, "of_payment": 501}, 1, "every refund needs an approval"),
        (ALWAYS | SMALL, {"amount": 500, "of_customer_day": 501}, 1, "every refund needs an approval"),
        (ALWAYS | {"small": {"EUR": 500}}, {"amount": 1}, 1, "every refund needs an approval"),
        (ALWAYS | EARLY, BY_CUSTOMER, 0, "automatic: cancelled before fulfilment"),
        (ALWAYS | EARLY, BY_CUSTOMER | {"fulfilled": True}, 1, "every refund needs an approval"),
        (ALWAYS | EARLY, {}, 1, "every refund needs an approval"),
        (ALWAYS, BY_CUSTOMER, 1, "every refund needs an approval"),
        (FROM_50 | EARLY, BY_CUSTOMER | {"amount": 9_000}, 0, "automatic: cancelled before fulfilment"),
        (EARLY | TWO_FROM_80, BY_CUSTOMER | {"amount": 8_000}, 2, "two must agree from 80.00 USD"),
        ({"small": {"USD": 9_000}} | TWO_FROM_80, {"amount": 8_000}, 2, "two must agree from 80.00 USD"),
        (NEVER, {"manual": True}, 1, "a manual refund needs an approval"),
        (FROM_50, {"amount": 10, "manual": True}, 1, "a manual refund needs an approval"),
        (FROM_50, {"amount": 5_000, "manual": True}, 1, "approval from 50.00 USD of one payment"),
        (SMALL | EARLY, BY_CUSTOMER | {"amount": 1, "manual": True}, 1, "a manual refund needs an approval"),
    ],
)  # fmt: skip
def test_who_must_agree_and_by_which_rule(
    rules: dict[str, Any], asked: dict[str, Any], needed: int, rule: str
):
    decision = decide(policy(**rules), ask(**asked))
    assert (decision.needed, decision.rule) == (needed, rule)


AMOUNTS = st.integers(1, 20_000)
MAYBE = st.one_of(st.just({}), AMOUNTS.map(lambda most: {"USD": most}))
RULES = st.fixed_dictionaries({"always": st.booleans(), "threshold": MAYBE, "second": MAYBE})


@given(RULES, AMOUNTS, AMOUNTS, st.booleans())
def test_asking_for_more_never_needs_fewer(rules: dict[str, Any], less: int, more: int, manual: bool):
    less, more = sorted((less, more))
    rules_of = policy(**rules)
    needed = [decide(rules_of, ask(amount, manual=manual)).needed for amount in (less, more)]
    assert needed[0] <= needed[1]


@given(RULES, st.lists(st.integers(1, 5_000), min_size=2, max_size=6))
def test_splitting_needs_no_fewer_in_the_end_than_asking_at_once(rules: dict[str, Any], parts: list[int]):
    rules_of, total = policy(**rules), sum(parts)
    last = ask(parts[-1], of_payment=total, of_customer_day=total)
    assert decide(rules_of, last).needed >= decide(rules_of, ask(total)).needed


@given(RULES, AMOUNTS, st.booleans(), st.booleans())
def test_a_manual_refund_always_needs_somebody(
    rules: dict[str, Any], amount: int, fulfilled: bool, early: bool
):
    rules_of = policy(**rules, before_fulfilment=early, small={"USD": 99_999})
    asked = ask(amount, manual=True, fulfilled=fulfilled, **BY_CUSTOMER)
    assert decide(rules_of, asked).needed >= 1


# What nobody may ask for.


def refused(rules: Policy, asked: Ask, *, note: str | None = None, whole: bool = True) -> Any:
    with pytest.raises((InvalidRequestError, RefundRefusedError, RefundLimitError)) as told:
        check(rules, asked, note=note, whole=whole)
    return told.value


def test_a_reason_that_is_not_allowed_is_answered_with_those_that_are():
    error = refused(policy(), ask(reason="because"))
    assert error.detail == "reason must be one of: duplicate, other."
    assert (error.facts["field"], error.facts["allowed"]) == ("reason", ["duplicate", "other"])


@pytest.mark.parametrize("note", [None, ""])
def test_a_reason_that_says_nothing_needs_a_note(note: str | None):
    error = refused(policy(), ask(reason="other"), note=note)
    assert (error.detail, error.facts["field"]) == (
        "The reason other needs a note that says more.",
        "note",
    )
    check(policy(), ask(reason="other"), note="he asked twice", whole=True)


def test_a_part_is_refused_where_parts_are_switched_off():
    error = refused(policy(partial=False), ask(), whole=False)
    assert error.detail == "Partial refunds are switched off: leave amount out to refund all of it."
    check(policy(partial=False), ask(), note=None, whole=True)
    check(policy(), ask(), note=None, whole=False)


PER_REFUND, PER_DAY = Limits(per_refund={"USD": 2_000}), Limits(per_day={"USD": 3_000})


@pytest.mark.parametrize(
    ("limits", "asked", "sentence"),
    [
        (
            {"roles": {"support": PER_REFUND}},
            {"amount": 2_001},
            "A refund by the role support may be 20.00 USD at most.",
        ),
        (
            {"roles": {"support": PER_DAY}},
            {"of_person_day": 3_001},
            "With this, refunds asked for today would come to 30.01 USD; the role support may ask for 30.00 USD a day.",
        ),
        (
            {"people": {"key_anna": PER_DAY}},
            {"of_person_day": 3_001},
            "With this, refunds asked for today would come to 30.01 USD; key_anna may ask for 30.00 USD a day.",
        ),
    ],
)  # fmt: skip
def test_who_asks_for_more_than_they_may_is_told_how_much_that_is(
    limits: dict[str, Any], asked: dict[str, Any], sentence: str
):
    assert refused(policy(**limits), ask(**asked)).detail == sentence
    with pytest.raises(RefundLimitError, match="USD"):
        check_limits(policy(**limits), ask(**asked))


@pytest.mark.parametrize(
    ("limits", "asked"),
    [
        ({"roles": {"support": PER_REFUND}}, {"amount": 2_000}),
        ({"roles": {"support": PER_DAY}}, {"of_person_day": 3_000}),
        ({"roles": {"approver": PER_REFUND}}, {"amount": 2_001}),
        ({"roles": {"support": Limits(per_refund={"EUR": 1}, per_day={"EUR": 1})}}, {}),
        ({"people": {"key_bob": PER_DAY}}, {"of_person_day": 9_000}),
        ({"roles": {}}, {"amount": 9_999_999}),
    ],
)
def test_limits_bind_whom_they_name_in_their_currency_alone(limits: dict[str, Any], asked: dict[str, Any]):
    check(policy(**limits), ask(**asked), note=None, whole=True)


def agrees(rules: Policy, amount: int, role: str = "approver", person: str = "key_bob") -> None:
    check_approver(rules, Money(amount, "USD"), role=role, person=person)


def test_who_may_not_ask_for_so_much_may_not_let_it_go_either():
    rules = policy(roles={"approver": PER_REFUND}, people={"key_bob": Limits(per_refund={"USD": 1_000})})
    sentence = "A refund that {} agrees to may be {} USD at most."
    with pytest.raises(RefundLimitError, match=sentence.format("the role approver", "20.00")):
        agrees(rules, 2_001)
    with pytest.raises(RefundLimitError, match=sentence.format("key_bob", "10.00")):
        agrees(rules, 1_001)
    agrees(rules, 1_000)
    agrees(rules, 2_001, role="admin", person="key_carl")
    check_approver(rules, Money(9_999, "EUR"), role="approver", person="key_bob")
