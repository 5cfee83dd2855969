"""What the environment says over the stored settings, as a change of them."""

from typing import Any

from counterfoil.domain.credentials import PUBLIC, SAME, SECRET, WEBHOOK
from counterfoil.services.accounts import configured
from counterfoil.settings import Settings


def patch(settings: Settings, *, same_account: bool | None) -> dict[str, Any]:
    """The change that makes the stored settings say what the environment says.

    A name that was left out of the environment is not taken from it. `same_account` answers for all keys that are not
    the stored ones, where a gateway cannot be asked whose they are.
    """
    live = settings.mode == "live"
    found: dict[str, Any] = {
        "paymentGateways": {
            gateway: _account(gateway, *keys, same_account) for gateway, keys in configured(settings).items()
        },
        "productionSettings": {"liveMode": live, "sandboxMode": not live},
    }
    if settings.business_name != Settings().business_name:
        found["business"] = {"name": settings.business_name}
    return found


def _account(gateway: str, public: str, secret: str, webhook: str, same: bool | None) -> dict[str, Any]:
    keys: dict[str, Any] = {PUBLIC[gateway]: public, SECRET[gateway]: secret, WEBHOOK: webhook}
    return keys if same is None else keys | {SAME: same}
