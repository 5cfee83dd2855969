from datetime import UTC, datetime

import pytest

from counterfoil.documents import receipt_dates

LATE = datetime(2026, 3, 31, 20, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("locale", "day"),
    [
        ("en-IN", "1 April 2026"),
        ("en-US", "April 1, 2026"),
        ("sw", "1 April 2026"),
        ("hi-IN", "1 अप्रैल 2026"),
        ("ta-IN", "1 ஏப்ரல் 2026"),
        ("ar-AE", "1 أبريل 2026"),
        ("zh-CN", "2026年4月1日"),
        ("zh-TW", "2026年4月1日"),
        ("ja-JP", "2026年4月1日"),
        ("ko-KR", "2026년 4월 1일"),
    ],
)
def test_a_day_is_that_of_the_business_and_written_as_its_customers_do(locale, day):
    assert receipt_dates.day(LATE, "Asia/Kolkata", locale) == day


def test_a_time_names_its_zone():
    assert receipt_dates.time(LATE, "Asia/Kolkata") == "01:35 IST"
    assert receipt_dates.time(LATE, "Asia/Dubai") == "00:05 UTC+04"
    assert receipt_dates.time(LATE, "UTC") == "20:05 UTC"
