"""With what receipts are signed, as the settings document holds it.

    "receiptGeneration": {
      "signing": {"key": {"sealed": "…"}, "password": {"sealed": "…"}, "certificates": ["-----BEGIN CERTIFICATE-----…"]}
    }

The key stands there as the vault has sealed it for KEY_PLACE, its password for PASSWORD_PLACE. The first certificate is
the key's own. All others are known too: those above it, and those that receipts were signed with before. Without a key
nothing is signed, and what was signed before is still known by its certificate.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from counterfoil.domain.sealed import sealed
from counterfoil.domain.settings_rules import wrong

SECTION: Final = "receiptGeneration.signing"
# What the vault binds the sealed secrets to.
KEY_PLACE: Final = "receiptGeneration.signing/key"
PASSWORD_PLACE: Final = "receiptGeneration.signing/password"  # noqa: S105  the name of a place
KEY_CHARS: Final = 4_096  # a key on P-256 takes 241 in PEM, 412 with a password
CERTIFICATES_MOST: Final = 20  # a new one each year, for as long as books are kept, and those above it
CERTIFICATE_CHARS: Final = 8_192  # a usual one takes 800 to 2,500
CERTIFICATES_SAY: Final = f"at most {CERTIFICATES_MOST} certificates in PEM, as text or as a list of texts"

_PEM: Final = re.compile(r"-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signing:
    """Key and password are sealed; certificates are PEM, the key's own first."""

    key: bytes | None = field(default=None, repr=False)
    password: bytes | None = field(default=None, repr=False)
    certificates: tuple[str, ...] = ()


def read(document: Mapping[str, Any]) -> Signing:
    """The section of the settings document. Raises InvalidRequestError, which names the field."""
    section = document.get("receiptGeneration", {}).get("signing", {})
    key = sealed(section.get("key"), f"{SECTION}.key")
    password = sealed(section.get("password"), f"{SECTION}.password")
    certificates = tuple(section.get("certificates") or ())
    if key is not None and not certificates:
        raise wrong(f"{SECTION}.certificates", "is needed beside the key: its own certificate first")
    if password is not None and key is None:
        raise wrong(f"{SECTION}.password", "goes with a key; remove it, or set the key beside it")
    return Signing(key=key, password=password, certificates=certificates)


def certificates(value: Any, where: str) -> list[str]:
    """Each certificate once and by itself, whatever stood around them: a file may hold a key beside them."""
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise wrong(where, f"must be {CERTIFICATES_SAY}")
    found = [_PEM.findall(text) for text in texts]
    each = list(dict.fromkeys(_plain(one) for some in found for one in some))
    if not all(found) or len(each) > CERTIFICATES_MOST:
        raise wrong(where, f"must be {CERTIFICATES_SAY}")
    if max(map(len, each), default=0) > CERTIFICATE_CHARS:
        raise wrong(where, f"holds a certificate of more than {CERTIFICATE_CHARS} characters")
    return each


def _plain(pem: str) -> str:
    return "\n".join(line.strip() for line in pem.splitlines() if line.strip()) + "\n"
