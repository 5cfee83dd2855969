"""The numbers banks give to what they did. Pure: the same thing always has the same number."""

import hashlib


def bank_number(about: str, length: int) -> str:
    """Digits that belong to this id alone: an ARN has 23, an RRN 12, an authorization code 6."""
    drawn = int.from_bytes(hashlib.sha256(about.encode()).digest())
    return str(drawn % 10**length).zfill(length)
