"""Start-up configuration: read from the environment once, then frozen.

Every variable may also be given as `…_FILE`, the path of a file that holds the value. What also stands in the settings
document seeds it only while it was never set.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

from counterfoil.domain.errors import ConfigurationError

STRIPE_API: Final = "https://api.stripe.com"
RAZORPAY_API: Final = "https://api.razorpay.com"


def _option(doc: str, default: Any = None, *, secret: bool = False) -> Any:
    return field(default=default, repr=not secret, metadata={"doc": doc, "secret": secret})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """One field a variable: COUNTERFOIL_ and the field's name in capitals."""

    database_url: str | None = _option(
        "PostgreSQL to use; without it the service starts its own", secret=True
    )
    database_direct_url: str | None = _option(
        "PostgreSQL without the pooler, for LISTEN and migrations, where a transaction pooler stands before it",
        secret=True,
    )
    data: Path | None = _option(  # noqa: RUF009  the call builds a dataclass field
        "folder of the embedded database and, in sandbox mode, of the key file"
    )
    public_url: str = _option("where customers and gateways reach this service", "http://127.0.0.1:8400")
    key_file: Path | None = _option(  # noqa: RUF009  the same
        "the key-encryption key; made in sandbox mode, required in live mode"
    )
    mode: str = _option("sandbox or live: the mode of new payments", "sandbox")
    clock_url: str | None = _option("the sandbox's clock to follow, in sandbox mode")
    allow_live_test_gateway: bool = _option(
        "lets live mode talk to a gateway on loopback, for tests", default=False
    )
    allow_loopback_endpoints: bool = _option(
        "lets endpoints of sandbox mode, where events are sent, stand on this machine", default=False
    )
    stripe_secret_key: str | None = _option("Stripe API key (sk_… or rk_…)", secret=True)
    stripe_publishable_key: str | None = _option("Stripe key for browsers (pk_…)")
    stripe_webhook_secret: str | None = _option("Stripe endpoint secret (whsec_…)", secret=True)
    stripe_base_url: str = _option("where Stripe's API is", STRIPE_API)
    razorpay_key_id: str | None = _option("Razorpay key id (rzp_…)")
    razorpay_key_secret: str | None = _option("Razorpay key secret", secret=True)
    razorpay_webhook_secret: str | None = _option("Razorpay webhook secret", secret=True)
    razorpay_base_url: str = _option("where Razorpay's API is", RAZORPAY_API)
    business_name: str = _option("the name customers see", "Your shop")

    def base_url(self, gateway: str) -> str:
        url: str = getattr(self, f"{gateway}_base_url")
        return url


def variable(name: str) -> str:
    return f"COUNTERFOIL_{name.upper()}"


def from_environment(environ: Mapping[str, str] = os.environ) -> Settings:
    """Read and check the configuration. Raises ConfigurationError with a sentence that says what to set."""
    known = {spec.name: spec for spec in fields(Settings)}
    values = {
        name: _convert(name, str(spec.type), text)
        for name, spec in known.items()
        if (text := _read(environ, name))
    }
    settings = Settings(**values)
    _check(settings)
    return settings


# Read by the log before there are settings.
LOG: Final = "COUNTERFOIL_LOG"


def unknown(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Variables that look like ours and are none: one that is misspelt would else be passed over in silence."""
    names = {variable(spec.name) for spec in fields(Settings)}
    known = names | {f"{name}_FILE" for name in names} | {LOG}
    return sorted(name for name in environ if name.startswith("COUNTERFOIL_") and name not in known)


def _read(environ: Mapping[str, str], name: str) -> str | None:
    direct, path = environ.get(variable(name)), environ.get(f"{variable(name)}_FILE")
    if name == "key_file":  # it is a path already
        return direct
    if direct and path:
        raise ConfigurationError(f"{variable(name)} and {variable(name)}_FILE are both set; keep one.")
    if path:
        return _contents(name, path)
    if direct is not None and not direct.strip() and known_secret(name):
        raise ConfigurationError(f"{variable(name)} is set but empty; set it or remove it.")
    return direct and direct.strip()


def _contents(name: str, path: str) -> str:
    """The value in a file. An empty one is refused: it must not pass for nothing set, least of all for a database."""
    try:
        text = Path(path).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as bad:
        raise ConfigurationError(f"{variable(name)}_FILE cannot be read: {bad}.") from None
    if not text:
        raise ConfigurationError(f"{variable(name)}_FILE names an empty file; fill it or remove it.")
    return text


def known_secret(name: str) -> bool:
    return any(spec.name == name and spec.metadata["secret"] for spec in fields(Settings))


def _convert(name: str, kind: str, text: str) -> Any:
    if "Path" in kind:
        return Path(text).expanduser()
    if "bool" in kind:
        if text.lower() not in {"0", "1", "true", "false"}:
            raise ConfigurationError(f"{variable(name)} is {text!r}; it must be 1 or 0.")
        return text.lower() in {"1", "true"}
    return text.rstrip("/") if name.endswith("_url") and "database" not in name else text


def _check(settings: Settings) -> None:
    if settings.mode not in {"sandbox", "live"}:
        raise ConfigurationError(f"{variable('mode')} is {settings.mode!r}; it must be sandbox or live.")
    for name in ("public_url", "stripe_base_url", "razorpay_base_url", "clock_url"):
        _check_url(name, getattr(settings, name))
    _check_keys(settings)
    if settings.mode == "live":
        _check_live(settings)


def _check_url(name: str, url: str | None) -> None:
    if url is not None and not _names_a_host(url):
        raise ConfigurationError(
            f"{variable(name)} is {url!r}; it must begin with http:// or https:// and name a host."
        )


def _names_a_host(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:  # brackets that do not close, a port that is no number
        return False


def _check_keys(settings: Settings) -> None:
    """Keys come in whole sets, and a key of one mode never serves the other."""
    sets = {
        "stripe": ("stripe_secret_key", "stripe_publishable_key", "stripe_webhook_secret"),
        "razorpay": ("razorpay_key_id", "razorpay_key_secret", "razorpay_webhook_secret"),
    }
    for gateway, names in sets.items():
        missing = [name for name in names if not getattr(settings, name)]
        if missing and len(missing) < len(names):
            needed = ", ".join(map(variable, missing))
            raise ConfigurationError(f"{gateway} is configured in part: {needed} is missing.")
    _check_stripe_keys(settings)
    for name in ("stripe_secret_key", "stripe_publishable_key", "razorpay_key_id"):
        _check_key_mode(settings, name)


def _check_stripe_keys(settings: Settings) -> None:
    """Each in its own place: a secret key in the publishable one's would be shown to every customer."""
    if (settings.stripe_secret_key or "").startswith("pk_"):
        raise ConfigurationError(
            f"{variable('stripe_secret_key')} is a publishable key; it must be sk_… or rk_…."
        )
    if (settings.stripe_publishable_key or "").startswith(("sk_", "rk_")):
        raise ConfigurationError(
            f"{variable('stripe_publishable_key')} is a secret key, which no browser may see; it must be pk_…."
        )


def _check_key_mode(settings: Settings, name: str) -> None:
    key = getattr(settings, name) or ""
    wrong = "_test_" if settings.mode == "live" else "_live_"
    if wrong in key:
        raise ConfigurationError(
            f"{variable(name)} is a {wrong.strip('_')} key, but {variable('mode')} is {settings.mode}."
        )


def _check_live(settings: Settings) -> None:
    if settings.clock_url:
        raise ConfigurationError(f"{variable('clock_url')} is for sandbox mode; live mode keeps real time.")
    if settings.allow_loopback_endpoints:
        raise ConfigurationError(f"{variable('allow_loopback_endpoints')} is for sandbox mode.")
    if settings.key_file is None:
        raise ConfigurationError(
            f"Live mode needs {variable('key_file')}: the path of the key-encryption key."
        )
    for gateway, home in (("stripe", STRIPE_API), ("razorpay", RAZORPAY_API)):
        url = settings.base_url(gateway)
        if url != home and not (settings.allow_live_test_gateway and _is_loopback(url)):
            raise ConfigurationError(
                f"{variable(f'{gateway}_base_url')} is {url}; live mode talks to {home} only."
                f" For a test on this machine set {variable('allow_live_test_gateway')}=1 and use a loopback address."
            )


def live_obstacle(settings: Settings) -> str | None:
    """Why this process may not serve live mode, as a sentence; None where it may."""
    try:
        _check_live(settings)
    except ConfigurationError as unfit:
        return unfit.detail
    return None


def gateway_url(settings: Settings, gateway: str, mode: str) -> str:
    """Where an account's calls go: keys of live accounts to the gateway itself, whatever a sandbox is configured."""
    if mode == "live" and live_obstacle(settings):
        return {"stripe": STRIPE_API, "razorpay": RAZORPAY_API}[gateway]
    return settings.base_url(gateway)


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
