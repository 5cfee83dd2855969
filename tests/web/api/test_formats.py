"""What a caller may ask for, and what they get."""

import pytest

from counterfoil.domain.errors import NotAcceptableError
from counterfoil.web.api.formats import choose

FORMATS = {"json": "application/json", "csv": "text/csv", "xlsx": "application/vnd.of"}


@pytest.mark.parametrize(
    ("named", "accept", "chosen"),
    [
        (None, None, "json"),
        (None, "*/*", "json"),
        (None, "text/csv", "csv"),
        (None, "TEXT/CSV; charset=utf-8", "csv"),
        (None, "text/html, text/*;q=0.5, */*;q=0.1", "csv"),
        (None, "application/json;q=0.2, application/vnd.of;q=0.9", "xlsx"),
        (None, "application/json;q=0, */*", "csv"),
        (None, "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", "json"),
        ("csv", None, "csv"),
        ("csv", "text/html, */*;q=0.8", "csv"),
        ("xlsx", "application/*", "xlsx"),
    ],
)
def test_the_format_is_the_one_that_is_liked_best(named: str | None, accept: str | None, chosen: str):
    assert choose(FORMATS, named=named, accept=accept) == chosen


@pytest.mark.parametrize(
    ("named", "accept"),
    [
        ("pdf", None),
        ("PDF", "*/*"),
        ("", None),
        (None, "application/pdf"),
        (None, "text/csv;q=0"),
        (None, "text/csv;q=nan"),
        (None, "text/csv;q=2"),
        (None, "text/csv;q=x"),
        (None, "*"),
        ("csv", "application/json"),
        ("json", "text/csv, */*;q=0"),
    ],
)
def test_what_cannot_be_had_is_told_with_what_can(named: str | None, accept: str | None):
    with pytest.raises(NotAcceptableError) as refused:
        choose(FORMATS, named=named, accept=accept)
    assert refused.value.detail == "This can be had as json, csv, xlsx."
