"""Whether Stripe signed a webhook. Bytes only: nothing is decoded before it is known to be Stripe's.

The header is `t=<unix>,v1=<hex>[,v1=<hex>…]`; a v1 is HMAC-SHA256 of "{t}." and the raw body, keyed with the endpoint's
whole secret. Several v1 stand there while a secret is being rolled, and any of them will do (gateways 1.8).
"""

import re
from datetime import datetime
from hashlib import sha256
from hmac import compare_digest, digest
from typing import Final

from counterfoil.domain.errors import SignatureRefusedError
from counterfoil.gateways.base import Headers

# Each delivery is signed afresh, so an honest one is seconds old. The same bound holds ahead of our clock, where the
# SDK has none: a signature dated next year would else be good until then.
TOLERANCE_S: Final = 300
# A header with a signature each for twenty secrets is shorter.
MAX_HEADER_BYTES: Final = 2048

_TIME: Final = re.compile(rb"[0-9]+")


def verify(headers: Headers, body: bytes, *, secret: bytes, now: datetime) -> None:
    """Raise SignatureRefusedError unless the secret vouches for these bytes, signed within five minutes of now."""
    if not secret:
        raise SignatureRefusedError("no webhook secret is configured, so nothing can be verified")
    signed_at, signatures = _parse(_only(headers))
    if abs(int(now.timestamp()) - int(signed_at)) > TOLERANCE_S:
        raise SignatureRefusedError(f"the signature is not within {TOLERANCE_S} s of this server's clock")
    expected = digest(secret, signed_at + b"." + body, sha256).hex().encode()
    if not any(compare_digest(expected, signature) for signature in signatures):
        raise SignatureRefusedError("no v1 signature matches this body and secret")


def _only(headers: Headers) -> bytes:
    found = [value for name, value in headers if name == b"stripe-signature"]
    if len(found) != 1:
        raise SignatureRefusedError(f"{len(found)} Stripe-Signature headers stand where one is needed")
    if len(found[0]) > MAX_HEADER_BYTES:
        raise SignatureRefusedError("the Stripe-Signature header is too long")
    return found[0]


def _parse(header: bytes) -> tuple[bytes, list[bytes]]:
    """The time and every v1. Other schemes are ignored, and nothing is forgiven: a space makes another name."""
    parts = [part.partition(b"=")[::2] for part in header.split(b",")]
    times = [value for name, value in parts if name == b"t"]
    signatures = [value for name, value in parts if name == b"v1"]
    if len(times) != 1 or not _TIME.fullmatch(times[0]):
        raise SignatureRefusedError("the Stripe-Signature header names no single time")
    return times[0], signatures
