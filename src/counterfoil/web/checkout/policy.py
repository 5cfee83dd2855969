"""The headers of every page: nobody frames it, keeps it, or learns where the customer came from, and it runs only the
scripts that we and the payment's gateway wrote.
"""

from collections.abc import Mapping, Sequence
from typing import Final

from counterfoil.gateways.base import Script

_OURS: Final[Mapping[str, tuple[str, ...]]] = {
    "default-src": ("'none'",),
    "style-src": ("'self'",),
    "connect-src": ("'self'",),
    "img-src": ("'self'",),
    "base-uri": ("'none'",),
    "form-action": ("'self'",),  # another way to pay is a plain form
    "frame-ancestors": ("'none'",),
}
_NOTHING: Final = ("'none'",)


def headers(nonce: str, script: Script | None = None) -> dict[str, str]:
    """The headers of a page whose script elements carry this nonce, and which loads this gateway's script."""
    return {
        "content-security-policy": _content(nonce, script.allows if script else {}),
        "referrer-policy": "no-referrer",
        "cache-control": "no-store",
        "permissions-policy": "camera=(), geolocation=(), microphone=()",
        "x-frame-options": "DENY",
    }


def _content(nonce: str, allows: Mapping[str, Sequence[str]]) -> str:
    allowed = {**_OURS, "script-src": (f"'nonce-{nonce}'",)}
    for directive, sources in allows.items():
        allowed[directive] = (*allowed.get(directive, ()), *sources)
    return "; ".join(f"{name} {' '.join(sources or _NOTHING)}" for name, sources in allowed.items())
