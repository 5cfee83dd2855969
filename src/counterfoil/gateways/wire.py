"""What crosses the wire, both ways: JSON into bounded shapes, money into minor units, text into plain text.

Everything a gateway sends is decoded here, so that hostile bytes raise UnreadableEventError and nothing else.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Final, TypeAlias, TypeVar
from urllib.parse import quote, urlencode

import msgspec

from counterfoil.domain import money
from counterfoil.domain.errors import AmountNotValidError
from counterfoil.domain.money import Money
from counterfoil.gateways.base import UnreadableEventError

# Ids go into our paths and indexes: one path segment, and no longer than either gateway's longest.
Id: TypeAlias = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9_]{1,255}\Z")]
# The largest amount that a PostgreSQL bigint holds after two more decimals. JSON allows a million digits.
MAX_WIRE: Final = 10**16
Minor: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=MAX_WIRE)]
Signed: TypeAlias = Annotated[int, msgspec.Meta(ge=-MAX_WIRE, le=MAX_WIRE)]
# Until the end of the year 9999, where datetime ends.
UnixTime: TypeAlias = Annotated[int, msgspec.Meta(ge=0, le=253_402_300_799)]

# A message for an operator, a metadata value: a few sentences at most.
MAX_TEXT: Final = 500
# PostgreSQL keeps no NUL in text, a log line no line break, and a lone surrogate has no UTF-8.
_NOT_PLAIN: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")

Detail: TypeAlias = dict[str, str | int | bool | None]
T = TypeVar("T")


def decode(body: bytes | msgspec.Raw, shape: type[T]) -> T:
    """The body as that shape. Raises UnreadableEventError for anything else, however malformed or deep."""
    try:
        return msgspec.json.decode(body, type=shape)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableEventError(plain(str(error))) from None


def read_money(gateway: str, amount: int, currency: str) -> Money:
    """What the gateway's integer means. Raises UnreadableEventError where it means no amount of money."""
    try:
        return money.from_wire(gateway, amount, currency)
    except AmountNotValidError as error:
        raise UnreadableEventError(plain(error.detail)) from None


def moment(unix: int) -> datetime:
    return datetime.fromtimestamp(unix, UTC)


def plain(text: str, limit: int = MAX_TEXT) -> str:
    """The text on one line, without control characters, and not longer than the limit."""
    return _NOT_PLAIN.sub(" ", text)[:limit]


def paragraphs(text: str, limit: int) -> str:
    """The text with its lines, each of them plain, and together not longer than the limit."""
    return "\n".join(plain(line, limit) for line in text.splitlines())[:limit]


def known(**values: str | int | bool | None) -> Detail:
    """Only what was said: neither gateway's null nor Razorpay's empty string."""
    return {
        name: plain(value) if isinstance(value, str) else value
        for name, value in values.items()
        if value is not None and value != ""
    }


def agree(what: str, asked: object, answered: object) -> None:
    """Raise UnreadableEventError where the answer speaks of something else than was asked."""
    if asked != answered:
        raise UnreadableEventError(plain(f"{what} is {answered!r} where {asked!r} was asked"))


def labels(
    ours: Mapping[str, str], theirs: Mapping[str, str], *, pairs: int, key: int, value: int
) -> dict[str, str]:
    """Our own labels, then as many of the caller's as the gateway keeps, each clipped to what it takes.

    Ours win. An empty value is left out, because Stripe reads it as "remove this label"; square brackets are left out
    of names, because Stripe's form encoding means something by them.
    """
    kept = dict(ours)
    for name, text in theirs.items():
        name_kept, text_kept = plain(re.sub(r"[\[\]]", "", name), key), plain(text, value)
        if name_kept and text_kept and len(kept) < pairs:
            kept.setdefault(name_kept, text_kept)
    return kept


def url(base: str, *path: str, query: Mapping[str, Any] | None = None) -> str:
    """The base, then each path segment quoted, then the query with every bracket escaped and None left out."""
    segments = "/".join(quote(segment, safe="") for segment in path)
    pairs = {name: value for name, value in (query or {}).items() if value is not None}
    return f"{base.rstrip('/')}/{segments}{'?' if pairs else ''}{urlencode(pairs)}"
