"""How customers and operators are written to, as the settings document holds it.

    "delivery": {
      "smtp": {"host": "smtp.example.com", "port": 465, "security": "tls", "from": "shop@example.com",
               "username": "shop", "password": {"sealed": "…"}},
      "sms": {"provider": "twilio", "account": "AC…", "sender": "+15005550006", "secret": {"sealed": "…"}},
      "operators": ["money@example.com"],
      "quietHours": {"from": "22:00", "to": "07:00"}
    }

The password stands in the document as the vault has sealed it for PASSWORD_PLACE, in base64, and the secret of sms for
SMS_PLACE. Without smtp nobody is written to, and nothing waits to be.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from ipaddress import ip_address
from typing import Any, Final

from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.sealed import sealed

# What the vault binds the sealed password to.
PASSWORD_PLACE: Final = "delivery.smtp/password"  # noqa: S105  the name of a place
SMS_PLACE: Final = "delivery.sms/secret"
RECEIPTS: Final = "receiptGeneration.automatedDelivery"
OPERATORS_MOST: Final = 20  # more than that is a mailing list
ADDRESS_CHARS: Final = 254  # RFC 5321, 4.5.3.1.3
SETTINGS: Final = ("host", "port", "security", "from", "username", "password")
SMS_SETTINGS: Final = ("provider", "account", "sender", "template", "secret")
ERROR_CHARS: Final = 300  # what is kept of why something did not arrive
# A plain address: no quotes, comments or groups, which some servers take for more than one.
_ADDRESS: Final = re.compile(r"[^@\s<>()\[\]\\,;:\"]{1,64}@[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?")
_NUMBER: Final = re.compile(r"\+[1-9][0-9]{6,14}")  # E.164, with its country
_SMS_TEXT: Final = re.compile(r"[A-Za-z0-9+]{1,64}")
_HOST: Final = re.compile(r"[A-Za-z0-9.:-]{1,253}")


class Fate(StrEnum):
    SENT = "sent"  # the server or carrier has taken it
    BOUNCED = "bounced"  # it will not have this recipient
    REFUSED = "refused"  # nor this message, whoever it is for
    LATER = "later"  # surely not taken: it may be brought again
    UNKNOWN = "unknown"  # it may have been taken, and nothing tells one that came twice


@dataclass(frozen=True, slots=True)
class Came:
    """What came of bringing a mail or an SMS. `error` is a sentence for operators."""

    fate: Fate
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Text:
    """What an SMS says; and its parts by name, for a carrier that puts them into a registered template."""

    body: str
    parts: Mapping[str, str]


class Provider(StrEnum):
    TWILIO = "twilio"
    MSG91 = "msg91"


@dataclass(frozen=True, slots=True, kw_only=True)
class Sms:
    """The merchant's SMS carrier. `account` is Twilio's, `template` MSG91's; the secret is sealed."""

    provider: Provider
    account: str | None = None
    sender: str | None = None
    template: str | None = None
    secret: bytes = field(repr=False)


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


@dataclass(frozen=True, slots=True)
class QuietHours:
    """When customers are not written to: from one time of day to another, over midnight where that is earlier."""

    start: time
    end: time

    def ends(self, at: datetime, zone: tzinfo) -> datetime | None:
        """When the quiet hours that hold at this moment end, in UTC; None where none do.

        Reckoned between moments, not clock faces: an hour that comes twice is quiet twice, one that is left out is over.
        """
        today = at.astimezone(zone).date()
        for day in (today - timedelta(days=1), today):
            last = day if self.start < self.end else day + timedelta(days=1)
            begins, ends = min(_moments(day, self.start, zone)), max(_moments(last, self.end, zone))
            if begins <= at < ends:
                return ends
        return None


def _moments(day: date, clock: time, zone: tzinfo) -> tuple[datetime, datetime]:
    """The moments at which a clock shows this, or would: two of them where it is put back or forward."""
    shown = datetime.combine(day, clock, zone)
    return shown.replace(fold=0).astimezone(UTC), shown.replace(fold=1).astimezone(UTC)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How to write, to whom beside the customer, in which language, when not, and of what."""

    smtp: Smtp | None = None
    operators: tuple[str, ...] = ()
    language: str = "en"
    tell_failures: bool = True
    tell_refunds: bool = True  # the customer; operators are always told
    quiet: QuietHours | None = None
    sms: Sms | None = None
    receipts_by_email: bool = False
    receipts_by_sms: bool = False
    receipts_in_app: bool = True


def is_address(text: Any) -> bool:
    """Whether a mail can be sent there: one plain address."""
    return (
        isinstance(text, str)
        and len(text) <= ADDRESS_CHARS
        and text.isprintable()
        and _ADDRESS.fullmatch(text) is not None
    )


def number_of(text: Any) -> str | None:
    """The number of a telephone with its country, as +919876543210; None where it is none or its country is not said."""
    plain = re.sub(r"[ ()\-]", "", text) if isinstance(text, str) else ""
    return plain if _NUMBER.fullmatch(plain) else None


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
    locale = document.get("business", {}).get("locale", "en")
    if not isinstance(locale, str):
        raise _wrong("business.locale", "must be a text, as en or pt-BR")
    smtp = section.get("smtp")
    return Policy(
        smtp=None if smtp is None else _smtp(_object(smtp, "delivery.smtp")),
        operators=tuple(dict.fromkeys(operators)),
        language=locale.replace("_", "-").partition("-")[0].lower(),
        tell_failures=_flag(document, "productionSettings", "failedPaymentNotification"),
        tell_refunds=_flag(document, "refundProcessing", "tellCustomers"),
        quiet=_quiet(section.get("quietHours")),
        sms=None if section.get("sms") is None else _sms(_object(section["sms"], "delivery.sms")),
        receipts_by_sms=_flag(document, RECEIPTS, "sms", default=False),
        receipts_by_email=_flag(document, RECEIPTS, "email", default=False),
        receipts_in_app=_flag(document, RECEIPTS, "inApp"),
    )


def _quiet(value: Any) -> QuietHours | None:
    if value is None:
        return None
    section = _object(value, "delivery.quietHours")
    try:
        quiet = QuietHours(time.fromisoformat(section["from"]), time.fromisoformat(section["to"]))
    except (KeyError, TypeError, ValueError):
        raise _wrong("delivery.quietHours", "must have from and to, each a time of day") from None
    if quiet.start == quiet.end:
        raise _wrong("delivery.quietHours", "must end at another time than they begin")
    return quiet


def _flag(document: Mapping[str, Any], section: str, name: str, *, default: bool = True) -> bool:
    place = document
    for part in section.split("."):
        place = place.get(part, {})
    told = place.get(name, default)
    if not isinstance(told, bool):
        raise _wrong(f"{section}.{name}", "must be true or false")
    return told


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
    username, password = (
        section.get("username"),
        sealed(section.get("password"), "delivery.smtp.password"),
    )
    if username is not None and not (isinstance(username, str) and 0 < len(username) <= ADDRESS_CHARS):
        raise _wrong("delivery.smtp.username", "must be a text")
    if (username is None) != (password is None):
        raise _wrong("delivery.smtp.password", "goes with a username, and a username with it")
    port = _port(section.get("port", PORTS[security]))
    return Smtp(
        host=host, port=port, security=security, sender=str(sender), username=username, password=password
    )


def _sms(section: Mapping[str, Any]) -> Sms:
    for name, value in section.items():
        if name not in SMS_SETTINGS:
            raise _wrong(f"delivery.sms.{name}", f"is not a setting; there are {', '.join(SMS_SETTINGS)}")
        plain = name != "secret" and value is not None
        if plain and not (isinstance(value, str) and _SMS_TEXT.fullmatch(value)):
            raise _wrong(f"delivery.sms.{name}", "must be letters and digits, 64 at most")
    try:
        provider = Provider(str(section.get("provider")))
    except ValueError:
        raise _wrong("delivery.sms.provider", f"must be one of {', '.join(Provider)}") from None
    for name in ("account", "sender") if provider is Provider.TWILIO else ("template",):
        if section.get(name) is None:
            raise _wrong(f"delivery.sms.{name}", f"is needed by {provider}")
    secret = sealed(section.get("secret"), "delivery.sms.secret")
    if secret is None:
        raise _wrong("delivery.sms.secret", f"is needed by {provider}")
    plain_settings = {name: section.get(name) for name in ("account", "sender", "template")}
    return Sms(provider=provider, secret=secret, **plain_settings)


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


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise _wrong(where, "must be an object")
    return value


def _wrong(where: str, what: str) -> InvalidRequestError:
    return InvalidRequestError(f"{where} {what}.", field=where)
