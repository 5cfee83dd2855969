"""How customers and operators are written to, as the settings document holds it.

    "delivery": {
      "smtp": {"host": "smtp.example.com", "port": 465, "security": "tls", "from": "shop@example.com",
               "username": "shop", "password": {"sealed": "…"}},
      "operators": ["money@example.com"]
    }

The password stands in the document as the vault has sealed it for PASSWORD_PLACE, in base64. Without smtp nobody is
written to, and nothing waits to be.
"""

import base64
import binascii
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, Final

from counterfoil.domain.errors import InvalidRequestError

# What the vault binds the sealed password to.
PASSWORD_PLACE: Final = "delivery.smtp/password"  # noqa: S105  the name of a place
OPERATORS_MOST: Final = 20  # more than that is a mailing list
ADDRESS_CHARS: Final = 254  # RFC 5321, 4.5.3.1.3
SETTINGS: Final = ("host", "port", "security", "from", "username", "password")
# A plain address: no quotes, comments or groups, which some servers take for more than one.
_ADDRESS: Final = re.compile(r"[^@\s<>()\[\]\\,;:\"]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_HOST: Final = re.compile(r"[A-Za-z0-9.:-]{1,253}")


class Security(StrEnum):
    TLS = "tls"  # from the first byte
    STARTTLS = "starttls"  # asked for, and insisted on
    NONE = "none"  # in the clear: to this machine only


PORTS: Final = {Security.TLS: 465, Security.STARTTLS: 587, Security.NONE: 25}


@dataclass(frozen=True, slots=True, kw_only=True)
class Smtp:
    host: str
    port: int
    security: Security
    sender: str
    username: str | None = None
    password: bytes | None = field(default=None, repr=False)  # sealed


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How to write, to whom beside the customer, in which language, and whether of failed payments."""

    smtp: Smtp | None = None
    operators: tuple[str, ...] = ()
    language: str = "en"
    tell_failures: bool = True


def is_address(text: Any) -> bool:
    """Whether a mail can be sent there: one plain address."""
    return (
        isinstance(text, str)
        and len(text) <= ADDRESS_CHARS
        and text.isprintable()
        and _ADDRESS.fullmatch(text) is not None
    )


def read(document: Mapping[str, Any]) -> Policy:
    """The policy of the settings document. Raises InvalidRequestError, which names the field."""
    section = _object(document.get("delivery", {}), "delivery")
    operators = section.get("operators", [])
    if (
        not isinstance(operators, list)
        or len(operators) > OPERATORS_MOST
        or not all(map(is_address, operators))
    ):
        raise _wrong("delivery.operators", f"must be a list of at most {OPERATORS_MOST} addresses")
    tell = document.get("productionSettings", {}).get("failedPaymentNotification", True)
    if not isinstance(tell, bool):
        raise _wrong("productionSettings.failedPaymentNotification", "must be true or false")
    locale = document.get("business", {}).get("locale", "en")
    if not isinstance(locale, str):
        raise _wrong("business.locale", "must be a text, as en or pt-BR")
    smtp = section.get("smtp")
    return Policy(
        smtp=None if smtp is None else _smtp(_object(smtp, "delivery.smtp")),
        operators=tuple(dict.fromkeys(operators)),
        language=locale.replace("_", "-").partition("-")[0].lower(),
        tell_failures=tell,
    )


def _smtp(section: Mapping[str, Any]) -> Smtp:
    for name in section:
        if name not in SETTINGS:
            raise _wrong(f"delivery.smtp.{name}", f"is not a setting; there are {', '.join(SETTINGS)}")
    host = section.get("host")
    if not isinstance(host, str) or not _HOST.fullmatch(host):
        raise _wrong("delivery.smtp.host", "must be the name or address of a mail server")
    security = _security(section.get("security", Security.TLS), host)
    sender = section.get("from")
    if not is_address(sender):
        raise _wrong("delivery.smtp.from", "must be an address")
    username, password = section.get("username"), _password(section.get("password"))
    if username is not None and not (isinstance(username, str) and 0 < len(username) <= ADDRESS_CHARS):
        raise _wrong("delivery.smtp.username", "must be a text")
    if (username is None) != (password is None):
        raise _wrong("delivery.smtp.password", "goes with a username, and a username with it")
    port = _port(section.get("port", PORTS[security]))
    return Smtp(
        host=host, port=port, security=security, sender=str(sender), username=username, password=password
    )


def _port(port: Any) -> int:
    if not isinstance(port, int) or isinstance(port, bool) or not 0 < port < 65_536:  # noqa: PLR2004  TCP's own end
        raise _wrong("delivery.smtp.port", "must be a port")
    return port


def _security(value: Any, host: str) -> Security:
    try:
        security = Security(value)
    except ValueError:
        raise _wrong("delivery.smtp.security", f"must be one of {', '.join(Security)}") from None
    if security is Security.NONE and not _is_here(host):
        raise _wrong("delivery.smtp.security", "may be none only where the server is on this machine")
    return security


def _is_here(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _password(value: Any) -> bytes | None:
    if value is None:
        return None
    try:
        return base64.b64decode(value["sealed"], validate=True)
    except (TypeError, KeyError, binascii.Error, ValueError):
        raise _wrong("delivery.smtp.password", "is not as the vault seals it") from None


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(where, "must be an object")
    return value


def _wrong(where: str, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"{where} {what}.", field=where)
