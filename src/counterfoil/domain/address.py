"""Where events may be sent: public addresses alone, so that nobody can have us knock at doors behind our own.

The lists are IANA's special-purpose registries. `ipaddress` alone will not do: Python 3.11's `is_global` is true of
multicast, of NAT64 and 6to4 forms of private addresses, of 192.88.99.0/24 and of IPv4-compatible IPv6, and what it
says differs from one version of Python to the next.
"""

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final
from urllib.parse import urlsplit

from counterfoil.domain.errors import InvalidRequestError

URL_CHARS: Final = 2_000
LOWEST_FREE_PORT: Final = 1024

_SHAPE: Final = re.compile(r"https?://[A-Za-z0-9.:\[\]_-]+(/[!-\[\]-~]*|\?[!-\[\]-~]*)?", re.IGNORECASE)

# Not to be reached from the public internet, or not one host there.
_NOT_PUBLIC_4: Final = {
    "0.0.0.0/8": "this network",
    "10.0.0.0/8": "private",
    "100.64.0.0/10": "carrier-grade NAT",
    "127.0.0.0/8": "loopback",
    "168.63.129.16/32": "a cloud's own services",  # Azure's wire server, which lives in public address space
    "169.254.0.0/16": "link-local",
    "172.16.0.0/12": "private",
    "192.0.0.0/24": "reserved for protocols",
    "192.0.2.0/24": "documentation",
    "192.88.99.0/24": "6to4 relays",
    "192.168.0.0/16": "private",
    "198.18.0.0/15": "benchmarking",
    "198.51.100.0/24": "documentation",
    "203.0.113.0/24": "documentation",
    "224.0.0.0/4": "multicast",
    "240.0.0.0/4": "reserved",
}
# All of IPv6 that is allocated to hosts of the internet …
_PUBLIC_6: Final = IPv6Network("2000::/3")
# … less what in it stands for something else.
_NOT_PUBLIC_6: Final = {
    "2001::/23": "reserved for protocols, Teredo among them",
    "2001:db8::/32": "documentation",
    "2002::/16": "6to4",
    "3fff::/20": "documentation",
}
# The rest is outside 2000::/3; the names are for the sentence alone.
_NAMES_6: Final = {
    "::1/128": "loopback",
    "::/128": "unspecified",
    "::ffff:0:0/96": "IPv4-mapped",
    "::/96": "IPv4-compatible",
    "64:ff9b::/96": "NAT64",
    "64:ff9b:1::/48": "NAT64",
    "fc00::/7": "private",
    "fe80::/10": "link-local",
    "ff00::/8": "multicast",
}
_RANGES_4: Final = [(IPv4Network(text), name) for text, name in _NOT_PUBLIC_4.items()]
_RANGES_6: Final = [(IPv6Network(text), name) for text, name in {**_NOT_PUBLIC_6, **_NAMES_6}.items()]


def not_public(address: str) -> str | None:
    """Why nothing is sent to this IP address; None where it is one of the public internet. Raises ValueError."""
    found = ip_address(address)
    if isinstance(found, IPv4Address):
        return next((name for network, name in _RANGES_4 if found in network), None)
    named = next((name for network, name in _RANGES_6 if found in network), None)
    return named or (None if found in _PUBLIC_6 else "reserved")


def is_loopback(address: str) -> bool:
    """127.0.0.0/8 and ::1, and no other spelling of them. Raises ValueError."""
    found = ip_address(address)
    return found.is_loopback and not (isinstance(found, IPv6Address) and found.ipv4_mapped)


def refused(address: str, *, allow_loopback: bool) -> str | None:
    """Why nothing is sent to this IP address under this rule; None where it may be. Raises ValueError."""
    return None if allow_loopback and is_loopback(address) else not_public(address)


def check_url(url: str, *, mode: str) -> None:
    """Whether the URL itself will do; where its name leads is asked elsewhere. Raises InvalidRequestError.

    Ports under 1024 other than the web's own belong to mail, names and shells, to which a request can be made to speak.
    """
    for holds, sentence in _rules(url, mode):
        if not holds:
            raise InvalidRequestError(sentence, field="url")


def _rules(url: str, mode: str) -> list[tuple[bool, str]]:
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # brackets that do not close, a port that is no number
        return [(False, "url cannot be read.")]
    web = {"https": 443, "http": 80}.get(parts.scheme)
    return [
        (len(url) <= URL_CHARS, f"url is longer than {URL_CHARS} characters."),
        ("@" not in parts.netloc, "url may not hold a user or a password: deliveries are signed instead."),
        (
            _SHAPE.fullmatch(url) is not None and bool(parts.hostname) and "#" not in url,
            "url must be an http(s) URL in ASCII, with a host and no fragment; write other names as xn--….",
        ),
        (
            parts.scheme == "https" or mode == "sandbox",
            "url must begin with https://; plain http is for sandbox mode.",
        ),
        (
            port is None or port == web or port >= LOWEST_FREE_PORT,
            f"url names port {port}; allowed are {web} and those from {LOWEST_FREE_PORT} on.",
        ),
    ]
