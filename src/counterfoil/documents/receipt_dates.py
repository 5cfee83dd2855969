"""Days and times as people write them in the language of a receipt, in its own zone. Digits are 0 to 9 everywhere."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from counterfoil.documents.receipt_words import language

_MONTHS: Final[Mapping[str, tuple[str, ...]]] = {
    language_: tuple(months.split())
    for language_, months in {
        "en": "January February March April May June July August September October November December",
        "hi": "जनवरी फ़रवरी मार्च अप्रैल मई जून जुलाई अगस्त सितंबर अक्टूबर नवंबर दिसंबर",
        "ta": "ஜனவரி பிப்ரவரி மார்ச் ஏப்ரல் மே ஜூன் ஜூலை ஆகஸ்ட் செப்டம்பர் அக்டோபர் நவம்பர் டிசம்பர்",
        "ar": "يناير فبراير مارس أبريل مايو يونيو يوليو أغسطس سبتمبر أكتوبر نوفمبر ديسمبر",
    }.items()
}
_EAST: Final[Mapping[str, str]] = {
    "zh": "{year}年{number}月{day}日",
    "zh-Hant": "{year}年{number}月{day}日",
    "ja": "{year}年{number}月{day}日",
    "ko": "{year}년 {number}월 {day}일",
}


def day(at: datetime, zone: str, locale: str) -> str:
    """The day, as "23 November 2026", or "November 23, 2026" for "en-US"."""
    local, spoken = at.astimezone(ZoneInfo(zone)), language(locale)
    if pattern := _EAST.get(spoken):
        return pattern.format(year=local.year, number=local.month, day=local.day)
    month = _MONTHS[spoken][local.month - 1]
    return f"{month} {local.day}, {local.year}" if locale == "en-US" else f"{local.day} {month} {local.year}"


def time(at: datetime, zone: str) -> str:
    """The time of day and the zone, by its name or by what it is ahead of UTC: "14:05 IST", "12:35 UTC+04"."""
    local = at.astimezone(ZoneInfo(zone))
    name = local.tzname() or "UTC"
    return f"{local:%H:%M} {name if name.isalpha() else f'UTC{name}'}"
