"""API keys: made once, shown once, stored as digests."""

import secrets
from typing import Final

from counterfoil.domain.errors import InvalidRequestError, NotAuthenticatedError
from counterfoil.domain.operator import Role
from counterfoil.services.context import Context
from counterfoil.store import audit, keys
from counterfoil.store.keys import ApiKey

PREFIX: Final = {"sandbox": "cf_sandbox_", "live": "cf_live_"}
CHARS: Final = 200  # a longer Authorization header is no key of ours


async def create(
    ctx: Context,
    *,
    name: str,
    role: Role,
    actor: str,
    mode: str | None = None,
    person: str | None = None,
) -> tuple[ApiKey, str]:
    """Make a key for a mode (the service's own unless named). Its text is returned here and never again.

    `person` is who will use it, where they have other keys: nobody approves with one what they asked for with another.
    A key that was made with a key belongs to the same person.
    """
    if not name.strip():
        raise InvalidRequestError(
            "A key needs a name, so that a person knows later whose it is.", field="name"
        )
    mode = mode or ctx.mode
    text = PREFIX[mode] + secrets.token_urlsafe(32)
    id_ = ctx.new_id("key")
    async with ctx.db.reading() as conn:
        maker = await keys.person_of(conn, actor)
    key = ApiKey(
        id=id_,
        merchant_id=ctx.merchant_id,
        mode=mode,
        name=name.strip(),
        role=role.value,
        digest=ctx.vault.digest(text),
        last4=text[-4:],
        created_by=actor,
        person=maker or (person or "").strip() or id_,
        created_at=ctx.now(),
        revoked_at=None,
    )
    async with ctx.db.transaction() as conn:
        await keys.insert(conn, key)
        await audit.record(
            conn,
            merchant_id=key.merchant_id,
            mode=key.mode,
            at=key.created_at,
            actor=actor,
            action="key.create",
            object_id=key.id,
            detail={"name": key.name, "role": key.role},
        )
    return key, text


async def recognise(ctx: Context, text: str) -> ApiKey:
    """Whose key this is. Raises NotAuthenticatedError."""
    if not text or len(text) > CHARS or not text.isascii():
        raise NotAuthenticatedError("The Authorization header holds no API key.")
    async with ctx.db.reading() as conn:
        key = await keys.by_digest(conn, ctx.vault.digest(text))
    if key is None:
        raise NotAuthenticatedError("This API key is not known here, or it was revoked.")
    return key


async def listing(ctx: Context) -> list[ApiKey]:
    async with ctx.db.reading() as conn:
        return await keys.all_keys(conn, ctx.merchant_id)


async def revoke(ctx: Context, key_id: str, actor: str) -> bool:
    """End a key, at once and for good. False where there is no such live key."""
    async with ctx.db.transaction() as conn:
        done = await keys.revoke(conn, key_id, ctx.now())
        if done:
            await audit.record(
                conn,
                merchant_id=ctx.merchant_id,
                mode=ctx.mode,
                at=ctx.now(),
                actor=actor,
                action="key.revoke",
                object_id=key_id,
            )
    return done
