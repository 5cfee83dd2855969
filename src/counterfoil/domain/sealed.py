"""A secret that is part of the settings document: it stands there as the vault has sealed it, {"sealed": base64, …}."""

import base64
import binascii
from typing import Any

from counterfoil.domain.errors import InvalidRequestError


def sealed(value: Any, where: str) -> bytes | None:
    """What the vault opens; None where there is no secret. Raises InvalidRequestError, which names the field."""
    if value is None:
        return None
    try:
        return base64.b64decode(value["sealed"], validate=True)
    except (TypeError, KeyError, binascii.Error, ValueError):
        raise InvalidRequestError(f"{where} is not as the vault seals it.", field=where) from None
