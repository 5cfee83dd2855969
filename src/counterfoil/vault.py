"""The key-encryption key, and what is made from it: sealed secrets, digests of API keys, signatures of links.

A secret is sealed with AES-256-GCM under a fresh data key, which is itself wrapped by the key-encryption key
(an envelope), and bound to its place: a ciphertext moved to another row does not open.
"""

import base64
import hmac
import os
import secrets
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from counterfoil.domain.errors import ConfigurationError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
_VERSION: Final = b"\x01"
_WRAPPED: Final = NONCE_BYTES + KEY_BYTES + 16  # nonce, data key, tag


class Vault:
    """Holds the key-encryption key; shows nothing of it."""

    def __init__(self, key: bytes) -> None:
        if len(key) != KEY_BYTES:
            raise ConfigurationError(f"The key-encryption key must be {KEY_BYTES} bytes, base64-encoded.")
        self._wrap = AESGCM(_derive(key, b"wrap"))
        self._digest = _derive(key, b"api-keys")
        self._link = _derive(key, b"links")

    def __repr__(self) -> str:
        return "Vault()"

    def seal(self, secret: str, place: str) -> bytes:
        """Encrypt a secret for one place (a row's id and column)."""
        data_key, nonces = secrets.token_bytes(KEY_BYTES), (os.urandom(NONCE_BYTES), os.urandom(NONCE_BYTES))
        wrapped = self._wrap.encrypt(nonces[0], data_key, place.encode())
        sealed = AESGCM(data_key).encrypt(nonces[1], secret.encode(), place.encode())
        return _VERSION + nonces[0] + wrapped + nonces[1] + sealed

    def open(self, sealed: bytes, place: str) -> str:
        """The secret. Raises ConfigurationError where this key, or this place, is not the one it was sealed for."""
        envelope, rest = sealed[1 : 1 + _WRAPPED], sealed[1 + _WRAPPED :]
        if sealed[:1] != _VERSION:
            raise _unopenable(place)
        try:
            data_key = self._wrap.decrypt(envelope[:NONCE_BYTES], envelope[NONCE_BYTES:], place.encode())
            return AESGCM(data_key).decrypt(rest[:NONCE_BYTES], rest[NONCE_BYTES:], place.encode()).decode()
        except (InvalidTag, ValueError):  # ValueError: cut off before the end of a nonce
            raise _unopenable(place) from None

    def digest(self, api_key: str) -> bytes:
        """What is stored of an API key: enough to recognise it, useless without this vault."""
        return hmac.digest(self._digest, api_key.encode(), "sha256")

    def sign_link(self, subject: str, expires: datetime) -> str:
        """A token for one subject (a payment's checkout) that ends at a moment."""
        until = int(expires.timestamp())
        mark = hmac.digest(self._link, f"{subject}|{until}".encode(), "sha256")
        return f"{until:x}." + base64.urlsafe_b64encode(mark[:18]).decode()

    def link_holds(self, token: str, subject: str, now: datetime) -> bool:
        """Whether the token was signed for this subject and has not ended."""
        until, _, mark = token.partition(".")
        if not mark or len(until) > 12 or not token.isascii():  # noqa: PLR2004  a date needs no more digits
            return False
        try:
            ends = datetime.fromtimestamp(int(until, 16), tz=now.tzinfo)
        except (ValueError, OverflowError, OSError):
            return False
        return hmac.compare_digest(token, self.sign_link(subject, ends)) and now < ends


def _unopenable(place: str) -> ConfigurationError:
    return ConfigurationError(
        f"The secret of {place} cannot be opened: COUNTERFOIL_KEY_FILE is not the key it was sealed with."
    )


def _derive(key: bytes, purpose: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=KEY_BYTES, salt=None, info=b"counterfoil/" + purpose).derive(key)


def load(path: Path, *, make: bool) -> Vault:
    """Read the key file; make one (mode 0600) where that is allowed and there is none.

    Raises ConfigurationError where the file is missing, unreadable, or no key.
    """
    if make and not path.exists():
        _write_new(path)
    try:
        text = path.read_text("ascii").strip()
        return Vault(base64.b64decode(text, validate=True))
    except FileNotFoundError:
        raise ConfigurationError(
            f"There is no key-encryption key at {path}. Live mode needs one: make it with"
            f" `openssl rand -base64 32 > {path} && chmod 600 {path}`, keep a copy apart from the database,"
            " and name it in COUNTERFOIL_KEY_FILE."
        ) from None
    except (OSError, ValueError) as bad:
        raise ConfigurationError(f"The key-encryption key at {path} cannot be read: {bad}.") from None


def _write_new(path: Path) -> None:
    """Create the key whole or not at all, so that two processes starting at once agree on one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")  # mode 0600
    draft = Path(name)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(base64.b64encode(secrets.token_bytes(KEY_BYTES)) + b"\n")
            file.flush()
            os.fsync(handle)  # on the disk before anything is sealed with it
        os.link(draft, path)
    except FileExistsError:
        return
    finally:
        draft.unlink()
