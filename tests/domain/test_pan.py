import random
import re
import uuid
from datetime import UTC, datetime
from time import process_time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from counterfoil.domain import ids
from counterfoil.domain.pan import find_card, looks_like_card
from counterfoil.log import scrub

# Test numbers that the networks and gateways publish, one or more a brand.
BRANDS = {
    "visa": ["4242424242424242", "4000056655665556", "4222222222222"],
    "mastercard": ["5555555555554444", "5200828282828210", "5105105105105100"],
    "mastercard 2": ["2223003122003222", "2720990000000007"],
    "amex": ["378282246310005", "371449635398431"],
    "discover": ["6011111111111117", "6011000990139424", "6511111111111112"],
    "diners": ["30569309025904", "38520000023237", "3056930009020004"],
    "jcb": ["3566002020360505", "3530111333300000"],
    "unionpay": ["6200000000000005", "6205500000000000004"],
    "maestro": ["6759649826438453", "6799990100000000019", "5018000000000009"],
    "rupay": ["6521111111111110", "8100000000000002", "5085000000000007"],
}
NUMBERS = [(brand, number) for brand, numbers in BRANDS.items() for number in numbers]


def in_fours(number: str, between: str) -> str:
    return between.join(number[n : n + 4] for n in range(0, len(number), 4))


def luhn(digits: str) -> bool:
    """The rule again, as people do it: double every second digit from the right, and sum the digits."""
    total = 0
    for place, digit in enumerate(digits[::-1]):
        total += sum(int(d) for d in str(int(digit) * (2 if place % 2 else 1)))
    return total % 10 == 0


def test_the_numbers_of_this_test_are_right():
    assert all(luhn(number) for _, number in NUMBERS)
    assert len(BRANDS) == 10


@pytest.mark.parametrize(("brand", "number"), NUMBERS)
@pytest.mark.parametrize("written", ["plain", "spaced", "dashed"])
@pytest.mark.parametrize(
    "around",
    ["{}", "pay with {}, please", "card={}&x=1", "{} 12/26 123", "on 2026-11-22 {} 12/29", "%B{}^DOE/J^"],
)
def test_card_numbers_of_ten_brands_are_seen_however_they_are_written(
    brand: str, number: str, written: str, around: str
):
    shown = {"plain": number, "spaced": in_fours(number, " "), "dashed": in_fours(number, "-")}[written]
    text = around.format(shown)
    assert looks_like_card(text), brand
    assert shown not in scrub(text)


@pytest.mark.parametrize(("_brand", "number"), NUMBERS)
def test_a_number_with_one_digit_wrong_is_no_card(_brand: str, number: str):
    last = (int(number[-1]) + 1) % 10
    assert not looks_like_card(f"{number[:-1]}{last}")


@given(st.datetimes(datetime(2001, 9, 10), datetime(2286, 11, 1), timezones=st.just(UTC)))  # noqa: DTZ001  given its zone
def test_moments_in_seconds_milliseconds_microseconds_and_nanoseconds_are_no_cards(at: datetime):
    seconds = int(at.timestamp())
    digits_before = f"1{seconds % 10**9:09d}"  # the next fifteen years, where clocks are now
    for written in (
        digits_before,
        f"{digits_before}123",
        f"{digits_before}123456",
        f"{digits_before}123456789",
    ):
        assert not looks_like_card(written)
        assert find_card(int(written)) is None
    assert not looks_like_card(at.isoformat())


@given(st.uuids())
def test_a_uuid_is_no_card(one: uuid.UUID):
    assert not looks_like_card(str(one))
    assert not looks_like_card(f"order {str(one).upper()} of today")


def test_a_uuid_that_reads_like_a_card_across_its_dashes_is_no_card():
    assert not looks_like_card("42424242-4242-4242-a000-000000000000")
    assert looks_like_card("42424242-4242-4242")


def test_digests_and_our_own_ids_are_hardly_ever_taken_for_cards():
    chance = random.Random(7)
    digests = [f"{chance.getrandbits(256):064x}" for _ in range(10_000)]
    assert sum(map(looks_like_card, digests)) <= 5
    ours = [
        ids.make("payment", datetime(2026, 1, 1, tzinfo=UTC), chance.randbytes(10)) for _ in range(10_000)
    ]
    assert sum(map(looks_like_card, ours)) == 0


@pytest.mark.parametrize(
    "text",
    [
        "",
        "4242",
        "424242424242",  # twelve digits
        "42424242424242424242",  # twenty
        "1234567890123456",
        "0000000000000000",
        "+91 99999 00000",
        "order 4242.4242.4242.4242",
        "INV-2026-000123 of 2026-11-22, 100.00 USD",
        "x4242424242424242y",
    ],
)
def test_other_numbers_are_no_cards(text: str):
    assert not looks_like_card(text)


@pytest.mark.parametrize(
    ("value", "place"),
    [
        ("4242424242424242", "the body"),
        (4242424242424242, "the body"),
        (4242424242424242.0, "the body"),
        ({"description": "4242 4242 4242 4242"}, "description"),
        ({"customer": {"name": "4242-4242-4242-4242"}}, "customer.name"),
        ({"line_items": [{"name": "a"}, {"name": "4242424242424242"}]}, "line_items[1].name"),
        ({"metadata": {"4242424242424242": "x"}}, "metadata"),
        ({"4242424242424242": "x"}, "a field's name"),
        (["a", ["4242424242424242"]], "[1][0]"),
        ({"amount": 4242, "ok": True, "none": None, "list": [], "map": {}}, None),
        (None, None),
        (True, None),
    ],
)
def test_a_card_is_found_in_json_by_its_place_alone(value: object, place: str | None):
    assert find_card(value) == place


@pytest.mark.parametrize("piece", ["1 ", "4", "45 ", "ab12-", "4242424242424241 "])
def test_a_text_four_times_as_long_takes_about_four_times_as_long(piece: str):
    def cost(times: int) -> float:
        return min(_took(piece * times) for _ in range(3))

    assert cost(20_000) < 9 * cost(5_000)  # sixteen times, where it grows with the square


def test_digits_in_which_no_card_stands_are_looked_through_about_as_fast_as_they_are_summed_once():
    """Fives alone: every place begins a number that may have been issued, and none of them agrees with its last digit."""
    text = "5 " * 20_000

    def once() -> float:
        started = process_time()
        luhn(text.replace(" ", ""))
        return process_time() - started

    assert not looks_like_card(text)
    assert min(_took(text) for _ in range(5)) < 12 * min(once() for _ in range(5))


@given(st.text("0123456789 -", max_size=60))
def test_every_number_in_a_row_of_digits_is_reckoned_as_people_do_it(row: str):
    assert looks_like_card(row) == any(
        luhn(number) and _begins(number)
        for run in re.findall(r"\d(?:[ -]?\d)*", row)
        for number in _numbers(run)
    )


def _begins(number: str) -> bool:
    return re.match(r"3[04-9]|4|5|6|2[2-7]|81|82", number) is not None


def _numbers(run: str) -> list[str]:
    """What whole groups of digits, one beside the other, come to, of 13 to 19 digits."""
    groups = re.split("[ -]", run)
    joined = ("".join(groups[a:b]) for a in range(len(groups)) for b in range(a + 1, len(groups) + 1))
    return [number for number in joined if 13 <= len(number) <= 19]


def _took(text: str) -> float:
    started = process_time()
    looks_like_card(text)
    return process_time() - started
