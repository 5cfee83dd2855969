"""The two signatures Razorpay makes. Pure."""

import hashlib
import hmac


def of_checkout(order_id: str, payment_id: str, key_secret: str) -> str:
    """What the browser carries back from Checkout: hex HMAC-SHA256 of `order_id|payment_id` under the API secret."""
    return _hex(f"{order_id}|{payment_id}".encode(), key_secret)


def of_webhook(body: bytes, webhook_secret: str) -> str:
    """The X-Razorpay-Signature: hex HMAC-SHA256 of the raw body under the webhook's own secret. No time is signed."""
    return _hex(body, webhook_secret)


def _hex(message: bytes, secret: str) -> str:
    return hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
