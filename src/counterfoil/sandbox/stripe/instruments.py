"""Test cards and test bank accounts, with the tokens that stand for them. Real ones are refused."""

from dataclasses import dataclass
from hashlib import sha256
from typing import Final

from counterfoil.sandbox.stripe.plans import PLANS


@dataclass(frozen=True, slots=True)
class Card:
    """A test card. Its tokens are pm_card_NAME and tok_NAME for every name."""

    number: str
    plan: str
    names: tuple[str, ...]
    brand: str = "visa"
    funding: str = "credit"
    country: str = "US"

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def fingerprint(self) -> str:
        """The same for the same card, as Stripe's."""
        return sha256(self.number.encode()).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Account:
    """A test bank account: an American one by its number, a European one by its IBAN."""

    kind: str  # us_bank_account, sepa_debit
    number: str
    plan: str
    names: tuple[str, ...] = ()  # tokens are pm_usBankAccount_NAME

    @property
    def last4(self) -> str:
        return self.number[-4:]

    @property
    def fingerprint(self) -> str:
        return sha256(self.number.encode()).hexdigest()[:16]


def _declines(name: str) -> tuple[str, ...]:
    return (f"chargeDeclined{name}", f"visa_chargeDeclined{name}")


CARDS: Final = (
    Card("4242424242424242", "paid", ("visa",)),
    Card("4000056655665556", "paid", ("visa_debit",), funding="debit"),
    Card("4000003560000008", "paid", ("in",), country="IN"),
    Card("5555555555554444", "paid", ("mastercard",), "mastercard"),
    Card("5200828282828210", "paid", ("mastercard_debit",), "mastercard", "debit"),
    Card("378282246310005", "paid", ("amex",), "amex"),
    Card("6011111111111117", "paid", ("discover",), "discover"),
    Card("3056930009020004", "paid", ("diners",), "diners"),
    Card("3566002020360505", "paid", ("jcb",), "jcb"),
    Card("6200000000000005", "paid", ("unionpay",), "unionpay"),
    Card("4000000000000259", "disputed", ("createDispute",)),
    Card("4000000000002685", "not_received", ("createDisputeProductNotReceived",)),
    Card("4000000000001976", "asked_about", ("createDisputeInquiry",)),
    Card("4000000000005423", "warned", ("createIssuerFraudRecord",)),
    Card("4000000000000002", "declined", _declines("")),
    Card("4000000000009995", "insufficient_funds", _declines("InsufficientFunds")),
    Card("4000000000009987", "lost_card", _declines("LostCard")),
    Card("4000000000009979", "stolen_card", _declines("StolenCard")),
    Card("4100000000000019", "fraudulent", _declines("Fraudulent")),
    Card("4000000000006975", "velocity", _declines("VelocityLimitExceeded")),
    Card("4000000000000069", "expired_card", _declines("ExpiredCard")),
    Card("4000000000000127", "incorrect_cvc", _declines("IncorrectCvc")),
    Card("4000000000000119", "processing_error", _declines("ProcessingError")),
    Card("4000000000000341", "charge_fails", ("chargeCustomerFail",)),
    Card("4000000000003220", "challenge", ("threeDSecure2Required", "threeDSecureRequired")),
    Card("4000002760003184", "challenge", ("authenticationRequired",)),
    Card("4000002500003155", "challenge_once", ("authenticationRequiredOnSetup",)),
    Card("4000008260003178", "challenge_poor", ("authenticationRequiredChargeDeclinedInsufficientFunds",)),
    Card("4000008400001629", "challenge_declined", ("threeDSecureRequiredChargeDeclined",)),
    Card("4000000000000077", "available", ("bypassPending",)),
    Card("4000000000007726", "refund_pending", ("pendingRefund",)),
    Card("4000000000005126", "refund_fails", ("refundFail",)),
)

ACCOUNTS: Final = (
    Account("us_bank_account", "000123456789", "debit", ("success",)),
    Account("us_bank_account", "000000000009", "debit_slow", ("processing",)),
    Account("us_bank_account", "000222222227", "debit_poor", ("insufficientFunds",)),
    Account("us_bank_account", "000111111113", "debit_closed", ("accountClosed",)),
    Account("sepa_debit", "AT611904300234573201", "debit"),
    Account("sepa_debit", "AT321904300235473204", "debit_slow"),
    Account("sepa_debit", "AT861904300235473202", "debit_poor"),
    Account("sepa_debit", "AT051904300235473205", "debit_slow_poor"),
)

# Kinds of payment method that settle later, and the currency each pays in.
CURRENCY_OF: Final = {"us_bank_account": "usd", "sepa_debit": "eur"}

CARD_OF: Final = {card.number: card for card in CARDS}
ACCOUNT_OF: Final = {account.number: account for account in ACCOUNTS}
CARD_TOKENS: Final = {
    prefix + name: card for card in CARDS for name in card.names for prefix in ("pm_card_", "tok_")
}
ACCOUNT_TOKENS: Final = {
    f"pm_usBankAccount_{name}": account for account in ACCOUNTS for name in account.names
}


def shown() -> list[tuple[str, str]]:
    """Every test value and what it does, for the index page."""
    cards = [(f"{card.number} · {card.brand} · pm_card_{card.names[0]}", card.plan) for card in CARDS]
    accounts = [(f"{one.number} · {one.kind}", one.plan) for one in ACCOUNTS]
    return [(value, PLANS[plan].says) for value, plan in cards + accounts]
