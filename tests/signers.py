"""Keys and certificates that sign receipts, made up anew."""

from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

SELLER = "Kaveri Books & Coffee"


def new_key() -> Any:
    return ec.generate_private_key(ec.SECP256R1())


def pem(key: Any, password: bytes | None = None) -> bytes:
    locked: KeySerializationEncryption = BestAvailableEncryption(password) if password else NoEncryption()
    return bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, locked))


def certificate(
    key: Any,
    *,
    days: int = 400,
    name: str = SELLER,
    by: tuple[str, Any] | None = None,
    at: datetime | None = None,
) -> bytes:
    """A certificate of a key, as PEM, that ends in so many days: by itself, or by an issuer's name and key."""
    issuer, issuing = by or (name, key)
    until = (at or datetime.now(UTC)) + timedelta(days=days)
    builder = x509.CertificateBuilder(
        _name(issuer),
        _name(name),
        key.public_key(),
        x509.random_serial_number(),
        until - timedelta(days=900),
        until,
    )
    return builder.sign(issuing, hashes.SHA256()).public_bytes(Encoding.PEM)


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])
