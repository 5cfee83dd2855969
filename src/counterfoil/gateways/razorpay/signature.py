"""Whether Razorpay signed something. Bytes only.

A webhook: hex HMAC-SHA256 of the raw body with the webhook's own secret. No time is signed, so an old body stays good:
what a repeat could do is stopped by the dedupe key, which is a digest of the body. What the browser brings back from
checkout: the same of "order|payment" with the API key's secret (gateways 2.3, 2.6).
"""

from datetime import datetime
from hashlib import sha256
from hmac import compare_digest, digest

from counterfoil.domain.errors import SignatureRefusedError
from counterfoil.gateways.base import Headers


def verify(headers: Headers, body: bytes, *, secret: bytes, now: datetime) -> None:  # noqa: ARG001  no time is signed
    """Raise SignatureRefusedError unless the secret vouches for these bytes."""
    if not secret:
        raise SignatureRefusedError("no webhook secret is configured, so nothing can be verified")
    found = [value for name, value in headers if name == b"x-razorpay-signature"]
    if len(found) != 1:
        raise SignatureRefusedError(f"{len(found)} X-Razorpay-Signature headers stand where one is needed")
    if not compare_digest(sign(body, secret), found[0]):
        raise SignatureRefusedError("the signature does not match this body and secret")


def vouches(order: str, payment: str, signature: str, *, key_secret: bytes) -> bool:
    """Whether Razorpay signed that the payment was made on the order; an empty secret vouches for nothing."""
    expected = sign(f"{order}|{payment}".encode(errors="replace"), key_secret)
    return bool(key_secret) and compare_digest(expected, signature.encode(errors="replace"))


def sign(message: bytes, secret: bytes) -> bytes:
    return digest(secret, message, sha256).hex().encode()
