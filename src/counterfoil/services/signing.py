"""The signature on receipts: with whose key they are signed, and what one is worth on a file that comes back.

Where a key is set no PDF of a receipt leaves unsigned. A key that cannot be used is told to operators alone, by the log and
the doctor.
"""

import asyncio
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import structlog
from cryptography.x509 import Certificate

from counterfoil.documents import receipt_signing
from counterfoil.documents.receipt_signing import Signer, Verdict
from counterfoil.domain import signing
from counterfoil.domain.errors import ConfigurationError, InvalidRequestError, SigningAwayError
from counterfoil.domain.settings_patch import value_at
from counterfoil.domain.signing import KEY_PLACE, PASSWORD_PLACE, SECTION, Signing
from counterfoil.services.context import Context
from counterfoil.services.records import instant

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Compared:
    """Whether a file is the receipt, and what the signature on it says; None where nothing was ever signed here."""

    same: bool
    signature: Verdict | None


async def signer(ctx: Context) -> Signer | None:
    """Who signs receipts now, None where nobody does. Raises SigningAwayError where they are to be signed and cannot."""
    told = _told(ctx)
    if kept := ctx.pen.find(told):
        return kept
    with _told_to_operators():
        signer = await opened(ctx, told)
    ctx.pen.put(told, signer)
    return signer


async def opened(ctx: Context, told: Signing | None = None) -> Signer | None:
    """The key and its certificates, those in force unless others are told. Raises ConfigurationError with the reason."""
    told = told or _told(ctx)
    if told.key is None:
        return None
    key = ctx.vault.open(told.key, KEY_PLACE).encode()
    password = ctx.vault.open(told.password, PASSWORD_PLACE).encode() if told.password else None
    # A password may be made to take long.
    return await asyncio.to_thread(receipt_signing.load, key, _pem(told), password)


async def compare(ctx: Context, file: bytes, drawn: Collection[bytes]) -> Compared:
    """Whether a file is one of these, as it was drawn or with our signature behind it.

    Signatures differ each time, so what is compared is the file before it; that nothing else is behind it but what we put
    there is what an intact signature says. Raises SigningAwayError where a signature cannot be judged.
    """
    told = _told(ctx)
    if not told.certificates:
        return Compared(file in drawn, None)
    if file in drawn:
        return Compared(same=True, signature=Verdict.UNSIGNED)
    with _told_to_operators():
        verdict = await ctx.renderer.verdict(file, receipt_signing.certificates(_pem(told)))
    begins_like_it = any(file.startswith(one) for one in drawn)
    return Compared(verdict is Verdict.INTACT and begins_like_it, verdict)


async def expect(ctx: Context, before: Mapping[str, Any], after: Mapping[str, Any]) -> None:
    """Raise InvalidRequestError where a change of the settings brings a key or certificates that do not serve.

    What a change leaves alone is not looked at: a key that cannot be opened any more holds up no other setting.
    """
    if value_at(after, SECTION) == value_at(before, SECTION):
        return
    told = signing.read(after)
    try:
        if await opened(ctx, told) is None and told.certificates:
            receipt_signing.certificates(_pem(told))
    except ConfigurationError as bad:
        raise InvalidRequestError(bad.detail, field=SECTION) from None


def shown(ctx: Context) -> dict[str, Any]:
    """With what receipts are signed, and what else is known for ours. Raises ConfigurationError."""
    told = _told(ctx)
    known = receipt_signing.certificates(_pem(told)) if told.certificates else ()
    return {"signed": told.key is not None, "certificates": [_shown(one, ctx.now()) for one in known]}


def _shown(one: Certificate, now: datetime) -> dict[str, Any]:
    return {
        "subject": one.subject.rfc4514_string(),
        "valid_from": instant(one.not_valid_before_utc),
        "valid_until": instant(one.not_valid_after_utc),
        "valid": one.not_valid_before_utc <= now <= one.not_valid_after_utc,
    }


def _told(ctx: Context) -> Signing:
    return signing.read(ctx.directory.document)


def _pem(told: Signing) -> bytes:
    return "".join(told.certificates).encode()


@contextmanager
def _told_to_operators() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as bad:
        log.warning("receipts cannot be signed, nor signatures judged", error=bad.detail)
        raise SigningAwayError from None
