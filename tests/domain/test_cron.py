"""Cron expressions: which name a time that comes, and what is wrong with the others."""

import pytest

from counterfoil.domain.cron import fault


@pytest.mark.parametrize(
    "expression",
    [
        "0 3 * * *",
        "*/15 * * * *",
        "0 0-6/2,12 1,15 * 1-5",
        "59 23 31 12 7",
        "0 0 29 2 *",
        "0 0 31 2 1",
        "0  3 * * *",
    ],
)
def test_an_expression_that_names_a_time_is_well_formed(expression):
    assert fault(expression) is None


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("", "must have five fields"),
        ("0 3 * *", "must have five fields"),
        ("0 3 * * * *", "must have five fields"),
        ("0," * 100 + "0 3 * * *", "must have five fields"),
        ("60 3 * * *", "'60' for the minute; it must be made of 0 to 59"),
        ("0 24 * * *", "'24' for the hour"),
        ("0 3 0 * *", "'0' for the day of the month"),
        ("0 3 * 13 *", "'13' for the month"),
        ("0 3 * jan *", "'jan' for the month"),
        ("0 3 * * 8", "'8' for the day of the week"),
        ("*/0 3 * * *", "'*/0' for the minute"),
        ("9-5 3 * * *", "'9-5' for the minute"),
        ("1,,2 3 * * *", "'1,,2' for the minute"),
        ("٣ 3 * * *", "for the minute"),
        ("0 0 30 2 *", "names a day that no month it names has"),
        ("0 0 31 4,6,9,11 *", "names a day that no month it names has"),
    ],
)
def test_any_other_is_told_what_is_wrong_with_it(expression, said):
    assert said in (fault(expression) or "")
