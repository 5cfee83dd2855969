"""Ids: a prefix that no gateway uses and a 26-character lower-case ULID (48 bits of milliseconds, 80 of chance).

They sort by the millisecond of their making, which is not the order of commit.
"""

import re
from datetime import datetime
from typing import Final

PREFIXES: Final = {
    "payment": "pmt",
    "attempt": "att",
    "charge": "chg",
    "call": "cal",
    "refund": "rfn",
    "dispute": "dsp",
    "receipt": "rct",
    "export": "exp",
    "webhook": "whk",
    "outgoing": "out",
    "endpoint": "ept",
    "settlement": "stm",
    "journal": "jnl",
    "batch": "bat",
    "key": "key",
    "account": "gwa",
    "customer": "cus",
    "run": "run",
    "break": "brk",
    "exception": "exc",
    "merchant": "mer",
    "mail": "eml",
    "import": "imp",
}

_ALPHABET: Final = "0123456789abcdefghjkmnpqrstvwxyz"
_ULID: Final = re.compile(r"[0-7][0-9a-hjkmnp-tv-z]{25}")


def make(noun: str, at: datetime, chance: bytes) -> str:
    """An id of the noun for this moment; `chance` is ten random bytes."""
    number = (int(at.timestamp() * 1000) << 80) | int.from_bytes(chance, "big")
    digits = (_ALPHABET[(number >> shift) & 31] for shift in range(125, -1, -5))
    return f"{PREFIXES[noun]}_{''.join(digits)}"


def is_id(noun: str, text: str) -> bool:
    """Whether the text is a well-formed id of the noun: the cheap check before the database is asked."""
    prefix, _, ulid = text.partition("_")
    return prefix == PREFIXES[noun] and _ULID.fullmatch(ulid) is not None


def pattern(noun: str) -> str:
    """The regular expression of the noun's ids, for routes and generated documentation."""
    return rf"^{PREFIXES[noun]}_{_ULID.pattern}$"
