import pytest

from counterfoil.domain import routing
from counterfoil.domain.errors import NoGatewayError, NotSupportedError
from counterfoil.domain.money import EXPONENT, Money, wire_of
from counterfoil.domain.routing import (
    CAPABILITIES,
    RUPEES_ONLY,
    Choice,
    Feature,
    choose,
    methods,
    obstacle,
    require,
)
from counterfoil.domain.routing_policy import Question

BOTH = ("stripe", "razorpay")


def chosen(money: Money, *enabled: str, **more: object) -> list[str]:
    return [choice.gateway for choice in choose(Question(money), enabled or BOTH, **more)]  # type: ignore[arg-type]  keywords of choose


def test_rupees_go_to_razorpay_first_and_all_else_to_the_first_enabled():
    assert chosen(Money(50_000, "INR")) == ["razorpay", "stripe"]
    assert chosen(Money(5_000, "USD")) == ["stripe", "razorpay"]
    assert chosen(Money(5_000, "USD"), "razorpay", "stripe") == ["razorpay", "stripe"]
    assert chosen(Money(5_000, "USD"), "razorpay") == ["razorpay"]


def test_each_choice_says_why():
    assert choose(Question(Money(50_000, "INR")), BOTH) == [
        Choice("razorpay", "razorpay offers the methods that payers in INR use"),
        Choice("stripe", "first enabled gateway that takes INR"),
    ]
    assert choose(Question(Money(50_000, "INR")), BOTH, named="stripe") == [
        Choice("stripe", "named by the caller")
    ]


def test_a_gateway_that_cannot_take_the_money_is_passed_over():
    assert chosen(Money(60, "INR")) == ["stripe"]  # Razorpay takes a rupee or more
    assert chosen(Money(1, "ISK")) == ["stripe", "razorpay"]
    assert chosen(Money(50, "MGA")) == ["razorpay"]  # Stripe takes whole ariary


def test_where_no_gateway_can_the_sentence_names_what_each_lacks():
    with pytest.raises(NoGatewayError) as refused:
        choose(Question(Money(1_231, "KWD")), BOTH)
    assert refused.value.detail == (
        "No gateway can take 1.231 KWD: 1.231 KWD is finer than stripe can charge; "
        "1.231 KWD is finer than razorpay can charge."
    )
    with pytest.raises(NoGatewayError, match="none is configured"):
        choose(Question(Money(100, "USD")), ())


def test_a_named_gateway_is_taken_or_refused_and_never_replaced():
    assert chosen(Money(50_000, "INR"), named="stripe") == ["stripe"]
    with pytest.raises(NoGatewayError, match="not configured or not enabled"):
        choose(Question(Money(100, "USD")), ("stripe",), named="razorpay")
    with pytest.raises(NotSupportedError, match=r"stripe takes no less than 0\.50 USD"):
        choose(Question(Money(49, "USD")), BOTH, named="stripe")


def test_what_is_needed_narrows_the_choice():
    assert chosen(Money(50_000, "INR"), needs=[Feature.SERVER_CONFIRM]) == ["stripe"]
    with pytest.raises(NotSupportedError, match="razorpay lacks server_confirm, cancel"):
        choose(
            Question(Money(50_000, "INR")),
            BOTH,
            named="razorpay",
            needs=[Feature.SERVER_CONFIRM, Feature.CANCEL],
        )


@pytest.mark.parametrize("gateway", BOTH)
def test_the_smallest_amount_is_taken_and_a_unit_less_is_not(gateway: str):
    for currency, smallest in CAPABILITIES[gateway].smallest.items():
        assert obstacle(gateway, Money(smallest, currency)) is None, currency
        sentence = obstacle(gateway, Money(smallest - 1, currency))
        assert sentence == f"{gateway} takes no less than {Money(smallest, currency)}"


@pytest.mark.parametrize("gateway", BOTH)
def test_every_currency_is_taken_in_whole_hundreds_or_refused_by_name(gateway: str):
    for currency, exponent in EXPONENT.items():
        sentence = obstacle(gateway, Money(1_000 * 10**exponent, currency))
        if currency in CAPABILITIES[gateway].without:
            assert sentence == f"{gateway} does not take {currency}"
        else:
            assert sentence is None, currency


def test_what_a_capability_names_are_currencies():
    for gateway, capability in CAPABILITIES.items():
        assert set(capability.smallest) <= set(EXPONENT), gateway
        assert all(wire_of(gateway, currency) for currency in capability.smallest)
        assert not capability.without & set(capability.smallest)


def test_methods_of_india_are_for_rupees():
    assert methods("razorpay", "INR") == ("card", "upi", "netbanking", "wallet", "emi")
    assert methods("razorpay", "USD") == ("card",)
    assert methods("stripe", "INR") == methods("stripe", "USD") == ("card", "redirect", "bank_debit")
    assert set(CAPABILITIES["razorpay"].methods) >= RUPEES_ONLY


@pytest.mark.parametrize("feature", Feature)
def test_what_a_gateway_lacks_is_refused_before_anything_is_sent(feature: Feature):
    able, lacking = BOTH if feature is not Feature.PARTIAL_CONTEST else BOTH[::-1]
    require(able, feature, "do it")
    with pytest.raises(NotSupportedError, match=f"{lacking} cannot do it") as refused:
        require(lacking, feature, "do it")
    assert refused.value.facts == {"gateway": lacking, "feature": feature.value}


def test_home_is_a_gateway_that_is_known():
    assert set(routing.HOME) <= set(CAPABILITIES)
