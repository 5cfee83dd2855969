"""The keys of a gateway account as the settings name them: which belong together, and of which mode they are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from counterfoil.domain.settings_rules import SECRET_CHARS, wrong

LAST: Final = 4
# A shorter secret is mostly what would be shown of it.
SHOWN_FROM: Final = 12

_OF_MODE: Final = {"sandbox": "test", "live": "live"}
# Gateway → setting → how its keys begin. What stands for {} says the mode.
_BEGINNINGS: Final[Mapping[str, Mapping[str, tuple[str, ...]]]] = {
    "stripe": {
        "publishableKey": ("pk_{}_",),
        "secretKey": ("sk_{}_", "rk_{}_"),
        "webhookSecret": ("whsec_",),
    },
    "razorpay": {"keyId": ("rzp_{}_",), "keySecret": (), "webhookSecret": ()},
}
PUBLIC: Final = {"stripe": "publishableKey", "razorpay": "keyId"}
SECRET: Final = {"stripe": "secretKey", "razorpay": "keySecret"}
WEBHOOK: Final = "webhookSecret"
SAME: Final = "sameAccount"


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a change says of one gateway's account; None where it says nothing."""

    gateway: str
    public: str | None = None
    secret: str | None = field(default=None, repr=False)
    webhook: str | None = field(default=None, repr=False)
    same_account: bool | None = None

    def path(self, name: str) -> str:
        return f"paymentGateways.{self.gateway}.{name}"

    @property
    def keys(self) -> bool:
        """Whether keys of calls are given."""
        return self.public is not None or self.secret is not None


def read(apart: Mapping[str, Any]) -> list[Given]:
    """The secrets and instructions of a change, by gateway. Raises InvalidRequestError where one is no key at all."""
    found = []
    for gateway in _BEGINNINGS:
        names = (PUBLIC[gateway], SECRET[gateway], WEBHOOK)
        public, secret, webhook = (_text(apart, f"paymentGateways.{gateway}.{name}") for name in names)
        path = f"paymentGateways.{gateway}.{SAME}"
        same = apart.get(path)
        if not isinstance(same, bool | None):
            raise wrong(path, "must be true or false")
        given = Given(gateway=gateway, public=public, secret=secret, webhook=webhook, same_account=same)
        if same is not None and not given.keys:
            raise wrong(path, "is said beside new keys only")
        if given.keys or webhook is not None:
            found.append(given)
    return found


def _text(apart: Mapping[str, Any], path: str) -> str | None:
    value = apart.get(path)
    if value is None:
        return None
    if (
        not isinstance(value, str)
        or not 0 < len(value) <= SECRET_CHARS
        or not (value.isascii() and value.isprintable() and " " not in value)
    ):
        raise wrong(path, f"must be text of 1 to {SECRET_CHARS} printable ASCII characters, without spaces")
    return value


def expect_of_mode(given: Given, mode: str) -> None:
    """Raise InvalidRequestError unless each key is in its own place, and of this mode."""
    named = ((PUBLIC, given.public), (SECRET, given.secret))
    pairs = [(names[given.gateway], value) for names, value in named] + [(WEBHOOK, given.webhook)]
    for name, value in pairs:
        ways = [way.format(_OF_MODE[mode]) for way in _BEGINNINGS[given.gateway][name]]
        if value is not None and ways and not value.startswith(tuple(ways)):
            raise wrong(given.path(name), f"must begin with {' or '.join(ways)} in {mode} mode")


def expect_whole(given: Given, because: str, *, but: Iterable[str] = ()) -> None:
    """Raise InvalidRequestError unless keys and webhook secret are all given, as `because` needs them."""
    parts = {PUBLIC[given.gateway]: given.public, SECRET[given.gateway]: given.secret, WEBHOOK: given.webhook}
    for name, value in parts.items():
        if value is None and name not in but:
            raise wrong(given.path(name), f"is needed: {because}")


def last(secret: str) -> str | None:
    """What may be shown of a secret, so that a person knows which it is."""
    return secret[-LAST:] if len(secret) >= SHOWN_FROM else None
