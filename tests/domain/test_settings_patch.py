"""A change of the settings: every wrong thing names its path, and what is right is merged."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain import routing_policy
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.settings import initial
from counterfoil.domain.settings_fields import BY_PATH, FIELDS, GATEWAYS, Kind
from counterfoil.domain.settings_patch import (
    Change,
    apart_from_version,
    changes,
    complete,
    expect,
    merge,
    settle,
    split,
    take,
    value_at,
    with_both_modes,
)

BEGUN = initial(business="A shop", mode="sandbox", gateways=GATEWAYS)


def patched(patch: Any, before: Any = BEGUN) -> dict[str, Any]:
    """The document after a change, checked as the service checks it."""
    expect(patch)
    rest, _ = split(patch)
    return settle(merge(before, with_both_modes(rest)))


def nested(path: str, value: Any) -> dict[str, Any]:
    for name in reversed(path.split(".")):
        value = {name: value}
    return value


def refusal(patch: Any) -> InvalidRequestError:
    with pytest.raises(InvalidRequestError) as refused:
        patched(patch)
    return refused.value


# Where it is asked, and after > what in the value is wrong; the value; what is said.
WRONG = [
    ("business.nmae", "x", "is not a setting; did you mean name?"),
    ("bussiness", {"name": "x"}, "bussiness is not a setting; did you mean business?"),
    ("retention.payments", 10, "is not a setting; there are none here."),
    ("routing.breaker.failure", 3, "did you mean failures?"),
    ("business", 7, "must be an object with name"),
    ("business", [], "must be an object with name"),
    ("business.name", "", "must be a text of 1 to 100 characters"),
    ("business.name", "x" * 101, "must be a text of 1 to 100 characters"),
    ("business.name", "a\nb", "on one line"),
    ("business.name", 5, "must be a text"),
    ("business.name", None, "cannot be removed; it always has a value"),
    ("business", None, "cannot be removed: business.name always has a value"),
    ("business.country", "XX", "must be a country of ISO 3166"),
    ("business.country", "in", "must be a country"),
    ("business.timeZone", "Mars/Olympus", "must be a time zone"),
    ("business.timeZone", "../../etc/passwd", "must be a time zone"),
    ("business.timeZone", "America", "must be a time zone"),
    ("business.timeZone", "A" * 500, "must be a time zone"),
    ("business.locale", "english", "must be a locale"),
    ("business.locale", "en_GB", "must be a locale"),
    ("business.defaultCurrency", "usd", "must be a currency"),
    ("business.defaultCurrency", "XXX", "must be a currency"),
    ("business.financialYearStart", "02-29", "must be a day of every year"),
    ("business.financialYearStart", "13-01", "must be a day of every year"),
    ("business.financialYearStart", "4-1", "must be a day of every year"),
    ("productionSettings.liveMode", 1, "must be true or false"),
    ("productionSettings.liveMode", "true", "must be true or false"),
    ("productionSettings.paymentRetryAttempts", 9, "whole number from 0 to 8"),
    ("productionSettings.paymentRetryAttempts", -1, "whole number from 0 to 8"),
    ("productionSettings.paymentRetryAttempts", 1.0, "whole number"),
    ("productionSettings.paymentRetryAttempts", True, "whole number"),
    ("productionSettings.failedPaymentNotification", "yes", "must be true or false"),
    ("refundProcessing.refundReasons", [], "must be a list of 1 to 50"),
    ("refundProcessing.refundReasons", ["a", "a"], "holds something twice"),
    ("refundProcessing.refundReasons > 1", ["a", 5], "must be a text"),
    ("refundProcessing.refundThreshold > usd", {"usd": 5}, "is not a currency"),
    ("refundProcessing.refundThreshold > USD", {"USD": 5.0}, "whole number from 0 to 999999999999"),
    ("refundProcessing.refundThreshold > USD", {"USD": -1}, "whole number"),
    ("refundProcessing.refundThreshold > USD", {"USD": "5"}, "whole number"),
    ("refundProcessing.refundThreshold", "5", "must map currencies to minor units"),
    ("refundProcessing.refundThreshold", True, "must map currencies to minor units"),
    ("receiptGeneration.customTemplates", {}, "must be a list of at most 50"),
    ("receiptGeneration.customTemplates > 0.template", [{"when": {}}], "is needed beside the rest"),
    ("receiptGeneration.customTemplates > 0.template", [{"template": "No Name"}], "must be 1 to 40 small letters"),
    ("receiptGeneration.customTemplates > 0.when.kinds", [{"template": "a", "when": {"kinds": []}}], "did you mean kind?"),
    ("receiptGeneration.customTemplates > 0.when.kind.0", [{"template": "a", "when": {"kind": ["bill"]}}], "must be"),
    ("receiptGeneration.customTemplates > 0.when.metadata", [{"template": "a", "when": {"metadata": []}}], "must be an object"),
    ("receiptGeneration.customTemplates > 0.when.amountFrom", [{"template": "a", "when": {"amountFrom": 5}}], "must map currencies"),
    ("reconciliationSystem.reconciliationSchedule", "every day", "must have five fields"),
    ("reconciliationSystem.reconciliationSchedule", "61 * * * *", "for the minute"),
    ("reconciliationSystem.reconciliationSchedule", 3, "must be a cron expression"),
    ("routing.order > 0", ["paypal"], "must be one of stripe, razorpay"),
    ("routing.order", ["stripe", "stripe"], "holds something twice"),
    ("routing.rules", "stripe", "must be a list"),
    ("routing.rules > 0.use", [{"name": "a", "use": []}], "must be a list of gateways"),
    ("routing.breaker.failures", 0, "whole number from 1 to 1000"),
    ("routing.lateAuthorization", "keep", "must be one of leave, refund"),
    ("monitoring.onError", "shrug", "must be one of allow, review, block"),
    ("delivery.sms > url", {"url": "https://sms.example"}, "is not a setting"),
    ("delivery.operators > 0", ["no address"], "must be an e-mail address"),
    ("delivery.smtp > host", {"port": 25, "from": "a@b.example"}, "must be the name or address"),
    ("delivery.smtp > hots", {"hots": "mail.example"}, "is not a setting"),
    ("delivery.quietHours", "at night", "must be an object with from, to"),
    ("delivery.quietHours > to", {"from": "22:00"}, "is needed beside the rest"),
    ("delivery.quietHours > from", {"from": "25:00", "to": "07:00"}, "must be a time of day"),
    ("delivery.quietHours > till", {"from": "22:00", "till": "07:00"}, "there are from, to"),
    ("paymentGateways.paypal", {}, "is not a setting; there are stripe, razorpay"),
    ("paymentGateways.stripe.enabled", None, "cannot be removed"),
    ("paymentGateways.stripe.webhookSecretOverlapHours", 721, "whole number from 0 to 720"),
    ("paymentGateways.stripe.secretKey", None, "cannot be removed; replace it"),
    *((field.path, 1, "is read only") for field in FIELDS if field.kind is Kind.READ_ONLY),
]  # fmt: skip


@pytest.mark.parametrize(("path", "value", "said"), WRONG)
def test_what_is_wrong_names_its_path(path, value, said):
    asked, _, inside = path.partition(" > ")
    refused = refusal(nested(asked, value))
    assert said in refused.detail
    assert refused.facts["field"] == (f"{asked}.{inside}" if inside else asked)
    assert refused.detail.startswith(refused.facts["field"])


def test_a_wrong_thing_leaves_the_document_as_it_was():
    before = json.dumps(BEGUN)
    refusal({"business": {"name": "New", "country": "XX"}})
    assert json.dumps(BEGUN) == before


@pytest.mark.parametrize("patch", [None, [], "x", 5, True])
def test_a_change_is_an_object(patch):
    assert "must be an object" in refusal(patch).detail


@pytest.mark.parametrize("text", ["a\x00b", "\ud800"])
def test_text_that_cannot_be_stored_is_refused_wherever_it_stands(text):
    rule = {"name": text, "use": ["stripe"]}
    for patch in (nested("business.name", text), {text: 1}, nested("routing.rules", [rule])):
        detail = refusal(patch).detail
        assert detail.isascii()
        assert "text may not contain" in detail


def test_a_change_is_not_endlessly_deep():
    deep: Any = 1
    for _ in range(500):
        deep = [deep]
    assert "at most 12 levels" in refusal(nested("routing.rules", deep)).detail


def test_what_is_not_named_stays_and_null_takes_back_what_may_be_absent():
    one = patched(nested("routing.breaker.failures", 3))
    two = patched(nested("routing.breaker.openSeconds", 60), one)
    assert two["routing"]["breaker"] == {"failures": 3, "openSeconds": 60}
    three = patched(nested("routing.breaker.failures", None), two)
    assert three["routing"]["breaker"] == {"openSeconds": 60}
    assert complete(three)["routing"]["breaker"] == {"failures": 5, "openSeconds": 60}
    assert complete(patched({"routing": None}, three))["routing"]["breaker"] == {
        "failures": 5,
        "openSeconds": 30,
    }


def test_a_map_of_amounts_is_merged_by_currency_and_a_bare_number_is_of_the_default_one():
    path = "refundProcessing.refundThreshold"
    first = patched(nested(path, {"USD": 5_000, "INR": 100_000}))
    assert value_at(patched(nested(path, {"USD": None, "EUR": 1}), first), path) == {"INR": 100_000, "EUR": 1}
    both = {"business": {"defaultCurrency": "JPY"}} | nested(path, 700)
    assert value_at(patched(both, first), path) == {"JPY": 700}


def test_of_the_two_modes_the_one_that_is_not_named_follows_and_both_together_are_refused():
    live = patched(nested("productionSettings.liveMode", True))["productionSettings"]
    assert (live["liveMode"], live["sandboxMode"]) == (True, False)
    sandbox = patched(nested("productionSettings.liveMode", False))["productionSettings"]
    assert (sandbox["liveMode"], sandbox["sandboxMode"]) == (False, True)
    for both in (True, False):
        refused = refusal({"productionSettings": {"liveMode": both, "sandboxMode": both}})
        assert "exactly one must be true" in refused.detail


def test_secrets_and_instructions_do_not_reach_the_document():
    patch = nested(
        "paymentGateways.stripe", {"enabled": False, "secretKey": "sk_test_counterfoil", "sameAccount": True}
    )
    rest, apart = split(patch)
    assert rest == nested("paymentGateways.stripe", {"enabled": False})
    assert apart == {
        "paymentGateways.stripe.secretKey": "sk_test_counterfoil",
        "paymentGateways.stripe.sameAccount": True,
    }
    assert "secretKey" in patch["paymentGateways"]["stripe"]  # what was asked is not touched


def test_a_new_document_says_what_the_table_of_fields_says():
    """Of what differs by installation: the name, which gateways, and the profile of live mode."""
    told = list(changes(complete(BEGUN), complete({})))
    assert told == [Change("business.name", "A shop", "Your shop")]
    assert settle(BEGUN) == settle(settle(BEGUN))


def test_a_document_of_an_older_version_is_completed_and_what_is_no_setting_any_more_is_left_out():
    old = {"business": {"name": "A shop"}, "bygone": {"x": 1}}
    whole = complete(old)
    assert whole["productionSettings"]["sandboxMode"] is True
    assert "bygone" not in whole
    assert settle(old) == {"business": {"name": "A shop"}}


def test_the_table_has_every_name_that_the_rules_of_routing_know():
    with pytest.raises(InvalidRequestError) as refused:
        routing_policy.read({"nonsense": 1}, GATEWAYS)
    known = refused.value.detail.partition("there are ")[2].rstrip(".").split(", ")
    assert set(known) == {path.split(".")[1] for path in BY_PATH if path.startswith("routing.")}


def test_a_version_is_told_apart_from_what_is_changed():
    assert apart_from_version({"version": 7, "business": {}}) == ({"business": {}}, 7)
    assert apart_from_version({"business": {}}) == ({"business": {}}, None)
    for wrong in (0, -1, True, "7", 2**63):
        with pytest.raises(InvalidRequestError, match="version must be"):
            apart_from_version({"version": wrong})


def test_what_is_taken_is_gone():
    document = nested("a.b", 1)
    assert (take(document, "a.b"), document) == (1, {"a": {}})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inside: (
        st.lists(inside, max_size=3)
        | st.dictionaries(st.sampled_from(["from", "name", "use", "when", "USD", "x"]), inside, max_size=3)
    ),
    max_leaves=8,
)


@given(path=st.sampled_from(sorted(BY_PATH)), value=JSON)
def test_whatever_is_sent_is_taken_or_refused_with_a_sentence(path, value):
    try:
        settled = patched(nested(path, value))
    except InvalidRequestError as refused:
        said = refused.detail
    else:
        said = "taken." if settle(settled) == settled else "taken, and otherwise the second time"
    assert said.endswith(".")


def test_the_time_of_the_last_change_is_not_ours_to_write():
    with pytest.raises(InvalidRequestError, match="updated_at is read only"):
        expect({"updated_at": "2026-11-22T12:00:00Z"})
