"""Words on the pages."""

import pytest

from counterfoil.web.checkout import views
from counterfoil.web.checkout.standing import Standing


@pytest.mark.parametrize(
    ("gateway", "currency", "text"),
    [
        ("razorpay", "INR", "cards, UPI, netbanking, wallets and EMI"),
        ("razorpay", "USD", "cards"),
    ],
)
def test_methods_are_listed_as_a_person_lists_them(gateway, currency, text):
    assert views.methods(gateway, currency) == text


@pytest.mark.parametrize(
    ("detail", "text"),
    [
        ({"method": "card", "brand": "visa", "last4": "4242"}, "Visa ending in 4242"),
        ({"method": "card", "brand": "amex", "last4": "0005"}, "American Express ending in 0005"),
        ({"method": "card"}, "Card"),
        ({}, ""),
        ({"method": "upi", "vpa": "su***@razorpay"}, "UPI, su***@razorpay"),
        ({"method": "netbanking", "bank": "HDFC"}, "Netbanking, HDFC"),
        ({"method": "bank_debit", "last4": "6789"}, "Bank debit ending in 6789"),
        ({"method": "wallet", "wallet": "mobikwik"}, "Wallet, mobikwik"),
    ],
)
def test_the_means_of_payment_is_told_so_that_its_owner_knows_it(detail, text):
    assert views._paid_with(detail) == text


def test_there_are_words_for_every_way_a_payment_may_stand():
    assert set(views.RESULTS) == set(Standing)
    for words in views.RESULTS.values():
        told = words.text.format(merchant="{}", amount="{}")
        assert told.endswith(".")
        assert words.tone in {"good", "wait", "bad"}
