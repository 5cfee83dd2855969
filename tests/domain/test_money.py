import ast
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import counterfoil
from counterfoil.domain import money
from counterfoil.domain.errors import AmountNotValidError
from counterfoil.domain.money import (
    EXPONENT,
    MAX_MINOR,
    NO_MONEY,
    WIRE,
    Money,
    from_wire,
    owed,
    to_wire,
    wire_of,
)

DATA = Path(__file__).parents[1] / "data"
LISTED = json.loads((DATA / "currencies.json").read_text())
GATEWAYS = ("stripe", "razorpay")

currencies = st.sampled_from(sorted(EXPONENT))
amounts = st.integers(-MAX_MINOR, MAX_MINOR)
gateways = st.sampled_from(GATEWAYS)


# What money is.


@pytest.mark.parametrize("minor", [1.0, True, "1", None, 10**2 / 1])
def test_money_is_a_whole_number_of_minor_units_and_nothing_that_looks_like_one(minor: object):
    with pytest.raises(AmountNotValidError, match="must be an integer of minor units"):
        Money(minor, "USD")  # type: ignore[arg-type]  that is the point


@pytest.mark.parametrize("code", ["usd", "XXX", "", "US", "USDT", "₹"])
def test_money_has_a_currency_of_iso_4217_in_capitals(code: str):
    with pytest.raises(AmountNotValidError, match="is not a currency"):
        Money(1, code)


@given(amounts, amounts, currencies, currencies)
def test_two_currencies_never_mix(a: int, b: int, one: str, other: str):
    left, right = Money(a, one), Money(b, other)
    operations = [lambda: left + right, lambda: left - right, lambda: left < right, lambda: left <= right]
    if one == other:
        assert [operation() for operation in operations] == [
            Money(a + b, one),
            Money(a - b, one),
            a < b,
            a <= b,
        ]
        return
    assert left != right
    for operation in (*operations, lambda: left > right, lambda: left >= right):
        with pytest.raises(AmountNotValidError, match="do not mix"):
            operation()


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (Money(1250, "USD"), "12.50 USD"),
        (Money(5, "USD"), "0.05 USD"),
        (Money(-5, "USD"), "-0.05 USD"),
        (Money(-1250, "INR"), "-12.50 INR"),
        (Money(1250, "JPY"), "1250 JPY"),
        (Money(-1, "JPY"), "-1 JPY"),
        (Money(1250, "KWD"), "1.250 KWD"),
        (Money(1, "CLF"), "0.0001 CLF"),
        (Money(0, "EUR"), "0.00 EUR"),
    ],
)
def test_money_is_written_in_major_units_with_its_currency(amount: Money, text: str):
    assert str(amount) == text


@given(amounts, currencies)
def test_what_is_written_can_be_read_back_to_the_last_unit(minor: int, currency: str):
    digits, code = str(Money(minor, currency)).split(" ")
    assert code == currency
    assert int(digits.replace(".", "")) == minor
    assert len(digits.partition(".")[2]) == EXPONENT[currency]


@pytest.mark.parametrize("minor", [0, -1, MAX_MINOR + 1])
def test_nobody_owes_nothing_or_more_than_there_is_room_for(minor: int):
    with pytest.raises(AmountNotValidError, match=f"between 1 and {MAX_MINOR}"):
        owed(minor, "USD")


def test_what_is_owed_may_name_its_currency_in_small_letters():
    assert owed(1, "usd") == Money(1, "USD")
    assert owed(MAX_MINOR, "JPY") == Money(MAX_MINOR, "JPY")


# The table of currencies.


def test_no_money_is_of_no_currency_and_nothing_else_is():
    assert str(NO_MONEY) == "0 XXX"
    for minor in (1, -1):
        with pytest.raises(AmountNotValidError, match="is not a currency"):
            Money(minor, NO_MONEY.currency)
    for write in (lambda: owed(1, "XXX"), lambda: from_wire("stripe", 0, "xxx")):
        with pytest.raises(AmountNotValidError, match="is not a currency"):
            write()


def test_every_currency_stands_once_with_an_exponent_that_iso_knows():
    written = f"{money._ZERO} {money._TWO} {money._THREE} {money._FOUR}".split()
    assert len(written) == len(set(written)) == len(EXPONENT)
    assert set(EXPONENT.values()) == {0, 2, 3, 4}
    assert all(len(code) == 3 and code.isupper() for code in EXPONENT)


def test_stripes_exceptions_are_those_it_lists():
    listed = LISTED["stripe"]
    for code in listed["zero_decimal"]:
        assert wire_of("stripe", code.upper()).exponent == 0, code
    for code in listed["two_decimal_on_wire_whole_units_only"]:
        wire = wire_of("stripe", code.upper())
        assert (wire.exponent, wire.step) == (2, 100), code
    for code in listed["three_decimal_last_digit_must_be_0"]:
        wire = wire_of("stripe", code.upper())
        assert (wire.exponent, wire.step) == (3, 10), code
    named = {code.upper() for codes in listed.values() for code in codes}
    assert set(WIRE["stripe"]) <= named


def test_razorpays_exceptions_are_those_it_lists():
    listed = LISTED["razorpay"]
    three = {code.upper() for code in listed["three_decimal_last_digit_must_be_0"]}
    assert {code: (wire.exponent, wire.step) for code, wire in WIRE["razorpay"].items()} == dict.fromkeys(
        three, (3, 10)
    )
    assert wire_of("razorpay", "JPY").exponent == 0
    assert wire_of("razorpay", "INR").exponent == 2


def test_a_gateway_without_exceptions_writes_as_iso_does():
    assert {code: wire_of("another", code).exponent for code in EXPONENT} == dict(EXPONENT)


# On the wire.


@given(gateways, amounts, currencies)
def test_what_goes_out_comes_back_to_the_last_unit_or_is_refused(gateway: str, minor: int, currency: str):
    amount, wire = Money(minor, currency), wire_of(gateway, currency)
    try:
        written = to_wire(gateway, amount)
    except AmountNotValidError:
        finer = 10 ** max(0, EXPONENT[currency] - wire.exponent) * wire.step
        assert minor % finer, f"{amount} can be written"
        return
    assert type(written) is int
    assert from_wire(gateway, written, currency.lower()) == amount
    assert written * 10 ** EXPONENT[currency] == minor * 10**wire.exponent


@given(gateways, st.integers(0, 10**14), currencies)
def test_what_comes_in_is_what_was_meant_or_is_refused(gateway: str, amount: int, currency: str):
    try:
        meant = from_wire(gateway, amount, currency)
    except AmountNotValidError:
        assert wire_of(gateway, currency).exponent > EXPONENT[currency]
        return
    assert meant.minor * 10 ** wire_of(gateway, currency).exponent == amount * 10 ** EXPONENT[currency]


@pytest.mark.parametrize("gateway", GATEWAYS)
@pytest.mark.parametrize("currency", sorted(EXPONENT))
def test_a_hundred_whole_units_survive_the_way_there_and_back(gateway: str, currency: str):
    hundred = Money(100 * 10 ** EXPONENT[currency], currency)
    assert from_wire(gateway, to_wire(gateway, hundred), currency) == hundred


@pytest.mark.parametrize(
    ("gateway", "amount", "written"),
    [
        ("stripe", Money(500, "USD"), 500),
        ("stripe", Money(500, "JPY"), 500),
        ("stripe", Money(5, "ISK"), 500),
        ("stripe", Money(7, "UGX"), 700),
        ("stripe", Money(500, "MGA"), 5),
        ("stripe", Money(1230, "KWD"), 1230),
        ("razorpay", Money(500, "INR"), 500),
        ("razorpay", Money(1230, "KWD"), 1230),
        ("razorpay", Money(500, "MGA"), 500),
    ],
)
def test_each_gateway_gets_the_number_it_means(gateway: str, amount: Money, written: int):
    assert to_wire(gateway, amount) == written


@pytest.mark.parametrize(
    ("gateway", "amount"),
    [
        ("stripe", Money(1231, "KWD")),
        ("stripe", Money(550, "MGA")),
        ("razorpay", Money(1, "BHD")),
    ],
)
def test_what_a_gateway_cannot_write_is_refused_and_never_rounded(gateway: str, amount: Money):
    with pytest.raises(AmountNotValidError, match=f"finer than {gateway} can charge"):
        to_wire(gateway, amount)


def test_a_fraction_that_our_unit_cannot_hold_is_refused():
    with pytest.raises(AmountNotValidError, match="finer than the currency"):
        from_wire("stripe", 550, "ISK")


def test_a_currency_that_no_standard_knows_is_refused():
    with pytest.raises(AmountNotValidError, match="is not a currency"):
        from_wire("stripe", 1, "doge")


# No float anywhere near money.

# The rooms through which amounts pass. What counts seconds there says so by its name.
ROOMS = (
    "domain/*.py",
    "gateways/**/*.py",
    "services/*.py",
    "store/*.py",
    "sandbox/stripe/*.py",
    "sandbox/razorpay/*.py",
)
# Modules of these rooms where a slash joins the parts of a path, or a number that is no amount is a fraction.
APART = {
    "domain/endpoint.py": "how much a wait before a delivery is tried again may differ, as a fraction of it",
    "services/delivering.py": "the wait before a delivery is tried again, in seconds",
    "services/hands.py": "when an endpoint may be called next, in seconds",
    "services/recovering.py": "half of a window of time",
    "sandbox/stripe/carrier.py": "the wait before a webhook is sent again, in seconds",
    "sandbox/stripe/pages.py": "paths of templates",
    "sandbox/razorpay/checkout.py": "paths of templates",
    "sandbox/razorpay/hooks.py": "the wait before a webhook is sent again, in seconds",
}
SECONDS = ("_s", "_S", "seconds")


def test_no_float_stands_where_money_goes():
    root = Path(counterfoil.__file__).parent
    files = {path for room in ROOMS for path in root.glob(room)}
    assert len(files) > 60
    found = {
        f"{path.relative_to(root)}:{line} {what}"
        for path in files
        if str(path.relative_to(root)) not in APART
        for line, what in fractions(ast.parse(path.read_text()))
    }
    assert found == set()


@pytest.mark.parametrize(
    ("code", "what"),
    [
        ("amount = 0.5", "the literal 0.5"),
        ("amount = total / 2", "a division"),
        ("amount /= 2", "a division"),
        ("amount = float(text)", "a call of float"),
        ("amount = round(amount * rate)", "a call of round"),
        ("amount = Decimal('1.5')", "a call of Decimal"),
        ("wait(0.5)", "the literal 0.5"),
    ],
)
def test_a_float_near_money_would_be_found(code: str, what: str):
    assert [found for _, found in fractions(ast.parse(code))] == [what]


@pytest.mark.parametrize(
    "code", ["ANSWER_S: Final = 2.0", "wait_s = 0.5", "wait(seconds=0.5)", "amount // 2"]
)
def test_seconds_and_whole_divisions_are_no_floats_near_money(code: str):
    assert list(fractions(ast.parse(code))) == []


def fractions(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Where code makes or may make a fraction, but for what is named as seconds."""
    seconds = {id(inner) for node in ast.walk(tree) if _is_of_seconds(node) for inner in ast.walk(node)}
    for node in ast.walk(tree):
        match node:
            case ast.Constant(value=float() | complex()) if id(node) not in seconds:
                yield node.lineno, f"the literal {node.value}"
            case ast.BinOp(op=ast.Div()) | ast.AugAssign(op=ast.Div()):
                yield node.lineno, "a division"
            case ast.Call(func=ast.Name(id="float" | "round" | "Decimal" | "Fraction" as name)):
                yield node.lineno, f"a call of {name}"


def _is_of_seconds(node: ast.AST) -> bool:
    match node:
        case ast.AnnAssign(target=ast.Name(id=name)) | ast.Assign(targets=[ast.Name(id=name)]):
            return name.endswith(SECONDS)
        case ast.keyword(arg=str(name)):
            return name.endswith(SECONDS)
    return False


@pytest.mark.parametrize(
    ("minor", "currency", "major"),
    [
        (1_250, "USD", "12.50"),
        (5, "JPY", "5"),
        (-1, "USD", "-0.01"),
        (999_999_999_999, "KWD", "999999999.999"),
    ],
)
def test_major_units_are_exact_and_have_all_their_digits(minor: int, currency: str, major: str):
    assert Money(minor, currency).major == major
