import pytest

from counterfoil.domain import settings
from counterfoil.domain.settings import enabled, initial


@pytest.mark.parametrize(("mode", "live"), [("live", True), ("sandbox", False)])
def test_a_new_document_is_of_one_mode_and_the_profile_of_live_mode_is_strict(mode: str, live: bool):
    document = initial(business="A shop", mode=mode, gateways=["stripe"])
    production = document["productionSettings"]
    assert (production["liveMode"], production["sandboxMode"]) == (live, not live)
    assert document["securityEnhancements"]["pciDssCompliance"] is live
    assert document["business"]["name"] == "A shop"


def test_nothing_is_sent_back_without_a_person_until_someone_decides_so():
    refunds = initial(business="A shop", mode="live", gateways=[])["refundProcessing"]
    assert refunds["refundApprovalRequired"] is True
    assert refunds["automatedRefunds"] is False
    assert refunds["refundReasons"] == list(settings.REFUND_REASONS)


def test_a_gateway_takes_part_only_where_the_document_says_so():
    document = initial(business="A shop", mode="sandbox", gateways=["stripe"])
    assert enabled(document, "stripe")
    assert not enabled(document, "razorpay")
    assert not enabled({}, "stripe")
    assert not enabled({"paymentGateways": {"stripe": {"enabled": False}}}, "stripe")


def test_a_document_is_made_anew_each_time():
    initial(business="A shop", mode="live", gateways=[])["refundProcessing"]["refundReasons"].append("x")
    assert (
        "x" not in initial(business="A shop", mode="live", gateways=[])["refundProcessing"]["refundReasons"]
    )
