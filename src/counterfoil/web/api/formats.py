"""Which format an answer has: what `format` names, where the Accept header agrees, else what that likes best."""

from collections.abc import Mapping
from typing import Final

from counterfoil.domain.errors import NotAcceptableError

_CHARS: Final = 1_000  # of an Accept header: browsers send a tenth


def choose(formats: Mapping[str, str], *, named: str | None, accept: str | None) -> str:
    """One of the formats, by name → media type; of several that are liked alike the first. Raises NotAcceptableError."""
    wanted = _wanted(accept or "*/*")
    able = {
        name: _liked(type_.partition(";")[0], wanted)
        for name, type_ in formats.items()
        if named in {None, name}
    }
    best = max(able, key=lambda name: able[name], default=None)
    if best is None or not able[best]:
        raise NotAcceptableError(f"This can be had as {', '.join(formats)}.")
    return best


def _wanted(accept: str) -> dict[str, float]:
    """The media ranges of the header, each with how much it is liked: 0 to 1 (RFC 9110, 12.5.1)."""
    found = {}
    for part in accept[:_CHARS].lower().split(","):
        media, *parameters = (piece.strip() for piece in part.split(";"))
        found[media] = next((_quality(one[2:]) for one in parameters if one.startswith("q=")), 1.0)
    return found


def _quality(text: str) -> float:
    """What is no number from 0 to 1 likes nothing."""
    try:
        quality = float(text)
    except ValueError:
        return 0.0
    return quality if 0 <= quality <= 1 else 0.0


def _liked(type_: str, wanted: Mapping[str, float]) -> float:
    """What the most specific range says of the type."""
    ranges = (type_, f"{type_.partition('/')[0]}/*", "*/*")
    return next((wanted[media] for media in ranges if media in wanted), 0.0)
