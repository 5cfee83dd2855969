"""Payment methods: cards and bank accounts of the test list, made from numbers or taken by token."""

from datetime import UTC, datetime
from typing import Any, Final

from counterfoil.sandbox.calls import Answer, RefusedError
from counterfoil.sandbox.stripe import errors
from counterfoil.sandbox.stripe.api import Endpoint
from counterfoil.sandbox.stripe.instruments import (
    ACCOUNT_OF,
    ACCOUNT_TOKENS,
    CARD_OF,
    CARD_TOKENS,
    Account,
    Card,
)
from counterfoil.sandbox.stripe.params import (
    BILLING,
    Readers,
    Shape,
    anything,
    expand,
    merged,
    metadata,
    one_of,
    text,
    word,
)
from counterfoil.sandbox.stripe.plans import DECLINES, PLANS, Decline, Plan
from counterfoil.sandbox.stripe.session import Session
from counterfoil.sandbox.truth import Json

NO_ADDRESS: Final = dict.fromkeys(("city", "country", "line1", "line2", "postal_code", "state"))
NO_BILLING: Final = {"address": NO_ADDRESS, "email": None, "name": None, "phone": None, "tax_id": None}
# What a token's card is valid until.
TOKEN_EXPIRY: Final = (12, 2034)

CARD: Final = Shape(number=word, exp_month=word, exp_year=word, cvc=text, token=word, networks=anything)
BANK: Final = Shape(
    "account_number",
    account_number=word,
    routing_number=word,
    account_holder_type=one_of("individual", "company"),
    account_type=one_of("checking", "savings"),
)
# What payment_method_data takes too.
DATA: Final[Readers] = {
    "allow_redisplay": one_of("always", "limited", "unspecified"),
    "billing_details": BILLING,
    "card": CARD,
    "metadata": metadata,
    "sepa_debit": Shape("iban", iban=word),
    "type": one_of("card", "us_bank_account", "sepa_debit"),
    "us_bank_account": BANK,
}
METHOD_DATA: Final = Shape("type", **DATA)


def plan_of(session: Session, method: Json) -> Plan:
    """What becomes of a charge on this payment method."""
    return PLANS[session.hidden(method["id"])["plan"]]


def refuse(session: Session, id_: str, name: str, times: int) -> Json:
    """Let the bank say this no to the next `times` charges of a payment method, whatever its plan. Raises ValueError."""
    method = session.get("payment_method", id_)
    if method is None:
        raise ValueError(f"there is no payment method {id_!r}")
    if name not in DECLINES:
        raise ValueError(f"decline is one of {', '.join(DECLINES)}")
    session.save(method, hidden={**session.hidden(id_), "refuse": {"name": name, "times": times}})
    return {"payment_method": id_, "decline": name, "times": times}


def refusal(session: Session, method: Json) -> Decline | None:
    """What the bank says to this charge: the no that was asked for, as often as it was, else what is planned."""
    hidden = session.hidden(method["id"])
    asked = hidden.get("refuse", {"times": 0})
    if asked["times"] < 1:
        return plan_of(session, method).decline
    session.save(method, hidden={**hidden, "refuse": {**asked, "times": asked["times"] - 1}})
    return DECLINES[asked["name"]]


def make(session: Session, given: Json) -> Json:
    """Store a new payment method from what METHOD_DATA or `create` read. Raises RefusedError."""
    kind = given["type"]
    if kind not in given:
        raise errors.missing(kind)
    source = _account(kind, given[kind]) if kind != "card" else _card(session, given["card"])
    if isinstance(source, Account):
        return _save(session, kind, source.plan, _bank_facts(source, given[kind]), given)
    card, month, year, checked = source
    return _save(session, "card", card.plan, _card_facts(card, month, year, checked=checked), given)


def take(session: Session, id_: str, param: str) -> Json:
    """The payment method of an id; a test token makes a new one each time. Raises RefusedError (404)."""
    if id_ in CARD_TOKENS and id_.startswith("pm_"):
        card = CARD_TOKENS[id_]
        return _save(session, "card", card.plan, _card_facts(card, *TOKEN_EXPIRY, checked=True), {})
    if id_ in ACCOUNT_TOKENS:
        account = ACCOUNT_TOKENS[id_]
        return _save(session, account.kind, account.plan, _bank_facts(account, {}), {})
    return session.need("payment_method", id_, param)


def _save(session: Session, kind: str, plan: str, facts: Json, given: Json) -> Json:
    method: Json = {
        "id": session.new_id("pm", 1),
        "object": "payment_method",
        "allow_redisplay": given.get("allow_redisplay") or "unspecified",
        "billing_details": billing(given.get("billing_details", {})),
        kind: facts,
        "created": session.now,
        "customer": None,
        "customer_account": None,
        "livemode": session.world.config.livemode,
        "metadata": merged({}, given.get("metadata")),
        "type": kind,
    }
    session.save(method, hidden={"plan": plan})
    return method


def billing(given: Json) -> Json:
    return {**NO_BILLING, **given, "address": {**NO_ADDRESS, **given.get("address", {})}}


def _card(session: Session, given: Json) -> tuple[Card, int, int, bool]:
    """The test card, its month and year, and whether its code was checked. Raises RefusedError."""
    if token := given.get("token"):
        if token not in CARD_TOKENS or not token.startswith("tok_"):
            raise errors.no_such("token", token, "card[token]")
        return (CARD_TOKENS[token], *TOKEN_EXPIRY, True)
    for name in ("number", "exp_month", "exp_year"):
        if name not in given:
            raise errors.missing(f"card[{name}]")
    month, year = _expiry(session, given["exp_month"], given["exp_year"])
    card = _numbered(given["number"].replace(" ", ""))
    cvc = given.get("cvc")
    if cvc is not None and not (cvc.isdecimal() and len(cvc) == (4 if card.brand == "amex" else 3)):
        raise _wrong("invalid_cvc", "Your card's security code is invalid.", "cvc")
    return card, month, year, cvc is not None


def _numbered(number: str) -> Card:
    if not (number.isascii() and number.isdecimal() and 12 <= len(number) <= 19):
        raise _wrong("invalid_number", "The card number is not a valid credit card number.", "number")
    if not _luhn(number):
        raise _wrong("incorrect_number", "Your card number is incorrect.", "number")
    if number not in CARD_OF:
        message = "Your card was declined. The sandbox takes no real card; use one of its test cards."
        raise _wrong("card_declined", message, None, decline_code="test_mode_live_card")
    return CARD_OF[number]


def _luhn(number: str) -> bool:
    odd, even = number[::-1][::2], number[::-1][1::2]
    return (sum(map(int, odd)) + sum(sum(divmod(int(digit) * 2, 10)) for digit in even)) % 10 == 0


def _expiry(session: Session, month: str, year: str) -> tuple[int, int]:
    today = datetime.fromtimestamp(session.now, UTC)
    if not (month.isdecimal() and month.isascii() and 1 <= int(month[:3]) <= 12):
        raise _wrong("invalid_expiry_month", "Your card's expiration month is invalid.", "exp_month")
    full = f"20{year}" if len(year) == 2 else year
    valid = full.isdecimal() and full.isascii() and len(full) == 4
    if not valid or not (today.year, today.month) <= (int(full), int(month)) <= (today.year + 50, 12):
        raise _wrong("invalid_expiry_year", "Your card's expiration year is invalid.", "exp_year")
    return int(month), int(full)


def _wrong(code: str, message: str, param: str | None, **more: str) -> RefusedError:
    return errors.failed(message, status=402, kind=errors.CARD, code=code, param=param, **more)


def _account(kind: str, given: Json) -> Account:
    name = "iban" if kind == "sepa_debit" else "account_number"
    number = given[name].replace(" ", "").upper()
    account = ACCOUNT_OF.get(number)
    if account is None or account.kind != kind:
        raise errors.failed(
            "The sandbox knows only the account numbers of its test list.",
            code="payment_method_invalid_parameter_testmode",
            param=f"{kind}[{name}]",
        )
    return account


def _card_facts(card: Card, month: int, year: int, *, checked: bool) -> Json:
    return {
        "brand": card.brand,
        "checks": {
            "address_line1_check": None,
            "address_postal_code_check": None,
            "cvc_check": "pass" if checked else None,
        },
        "country": card.country,
        "display_brand": card.brand,
        "exp_month": month,
        "exp_year": year,
        "fingerprint": card.fingerprint,
        "funding": card.funding,
        "generated_from": None,
        "last4": card.last4,
        "networks": {"available": [card.brand], "preferred": None},
        "regulated_status": "unregulated",
        "three_d_secure_usage": {"supported": True},
        "wallet": None,
    }


def _bank_facts(account: Account, given: Json) -> Json:
    shared = {"fingerprint": account.fingerprint, "last4": account.last4}
    if account.kind == "sepa_debit":
        bank = {"bank_code": account.number[4:9], "branch_code": "", "country": account.number[:2]}
        return {**shared, **bank, "generated_from": None}
    return {
        **shared,
        "account_holder_type": given.get("account_holder_type") or "individual",
        "account_type": given.get("account_type") or "checking",
        "bank_name": "STRIPE TEST BANK",
        "financial_connections_account": None,
        "networks": {"preferred": "ach", "supported": ["ach"]},
        "routing_number": given.get("routing_number") or "110000000",
        "status_details": None,
    }


def create(session: Session, params: Json) -> Json:
    if "type" not in params:
        raise errors.missing("type")
    return make(session, params)


def retrieve(session: Session, _params: Json) -> Json:
    return take(session, session.id, "payment_method")


def attach(session: Session, params: Json) -> Json | Answer:
    customer = session.need("customer", params["customer"], "customer")
    method = take(session, session.id, "payment_method")
    if method["customer"] is not None:
        raise errors.failed(
            "The payment method is already attached to a customer.", code="payment_method_unexpected_state"
        )
    plan = plan_of(session, method)
    if plan.decline is not None and not plan.attaches:
        return declined(plan.decline)
    method["customer"] = customer["id"]
    session.save(method)
    session.emit("payment_method.attached", method)
    return method


def declined(decline: Decline, **more: Any) -> Answer:
    """The 402 of a bank that said no; `more` are the objects concerned."""
    return errors.answer(
        402,
        decline.message,
        kind=errors.CARD,
        code=decline.code,
        decline_code=decline.reason,
        advice_code=decline.advice,
        network_decline_code=decline.network,
        **more,
    )


ENDPOINTS: Final = [
    Endpoint(
        "payment_methods.create",
        "POST",
        "/v1/payment_methods",
        Shape(**DATA, expand=expand),
        create,
        browser=True,
    ),
    Endpoint("payment_methods.retrieve", "GET", "/v1/payment_methods/{id}", Shape(expand=expand), retrieve),
    Endpoint(
        "payment_methods.attach",
        "POST",
        "/v1/payment_methods/{id}/attach",
        Shape("customer", customer=word, expand=expand),
        attach,
    ),
]
