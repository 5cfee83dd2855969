"""The settings document: read with its secrets hidden, changed by a merge patch, and who changed what.

A change names a version or none. With one, it is refused where another change came between. Without, it is merged into
whatever stands: two changes at once are carried out one after the other, each checked against the other's result, so
that both stand where they name different fields.
"""

import base64
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, Final

from counterfoil.domain import credentials as keys
from counterfoil.domain import settings_patch
from counterfoil.domain.credentials import PUBLIC, SECRET, WEBHOOK, Given
from counterfoil.domain.errors import NotPermittedError, WrongStateError
from counterfoil.domain.settings_fields import GATEWAYS, SEALED_PARTS
from counterfoil.domain.settings_patch import Change, complete, merge, put, settle, value_at
from counterfoil.domain.settings_rules import wrong
from counterfoil.services import credentials, signing
from counterfoil.services.auditing import done
from counterfoil.services.context import Context
from counterfoil.services.credentials import Whose
from counterfoil.services.payments import Caller
from counterfoil.services.records import instant
from counterfoil.store import accounts, audit, inbox, settings_document
from counterfoil.store.database import Connection
from counterfoil.store.settings_document import Stored

ACTION: Final = "settings.change"
OBJECT: Final = "settings"
LIVE: Final = "productionSettings.liveMode"


async def read(ctx: Context) -> dict[str, Any]:
    """The whole document as a person may see it, with its version and the time of its last change."""
    async with ctx.db.reading() as conn:
        stored = await settings_document.get(conn, ctx.merchant_id)
        whole = _masked(complete(stored.document))
        for gateway in GATEWAYS:
            await _show_gateway(ctx, conn, whole, gateway)
    return {"version": stored.version, "updated_at": instant(stored.updated_at), **whole}


async def _show_gateway(ctx: Context, conn: Connection, whole: dict[str, Any], gateway: str) -> None:
    at, mode = f"paymentGateways.{gateway}", _mode(whole)
    rows = await accounts.of_gateway(conn, ctx.merchant_id, gateway, mode)
    active = next((row for row in rows if row.draining_since is None), None)
    seen = await credentials.shown(conn, active)
    names = {"public": PUBLIC[gateway], "secret": SECRET[gateway], "webhook": WEBHOOK}
    for part, name in names.items():
        put(whole, f"{at}.{name}", seen[part])
    put(whole, f"{at}.webhookEndpoint", f"{ctx.public_url}/webhooks/{gateway}")
    heard = await inbox.last_processed(conn, ctx.merchant_id, mode, gateway)
    put(whole, f"{at}.webhookLastProcessed", heard and instant(heard))


async def change(
    ctx: Context, caller: Caller, patch: Mapping[str, Any], *, version: int | None = None
) -> dict[str, Any]:
    """Merge the patch into the settings, and answer what they are then. All of it is taken, or nothing.

    Raises InvalidRequestError, which names the field; WrongStateError where the settings are not at that version;
    NotPermittedError for a key of sandbox mode once the settings are live; GatewayAwayError where a gateway would have
    to be asked whose keys these are, and does not answer.
    """
    settings_patch.expect(patch)
    rest, apart = settings_patch.split(patch)
    rest = _sealed(ctx, settings_patch.with_both_modes(rest))
    given = keys.read(apart)
    async with ctx.db.reading() as conn:
        stored = await settings_document.get(conn, ctx.merchant_id)
    mode = _mode(_merged(ctx, caller, stored, rest, version))
    owners = [(one, await credentials.whose(ctx, one, mode)) for one in given]
    async with ctx.db.transaction() as conn:
        await accounts.seeding_lock(conn)  # a process that starts may be making accounts
        stored = await settings_document.get(conn, ctx.merchant_id, locked=True)
        settled = _merged(ctx, caller, stored, rest, version)
        if _mode(settled) != mode:
            raise WrongStateError(
                command="change the settings",
                state=f"version {stored.version}",
                because="the mode just changed",
            )
        await signing.expect(ctx, stored.document, settled)
        await _take(ctx, conn, caller, stored, settled, owners)
    await ctx.directory.refresh()
    return await read(ctx)


def _merged(
    ctx: Context, caller: Caller, stored: Stored, rest: Mapping[str, Any], version: int | None
) -> dict[str, Any]:
    """What the document would be. Raises as `change` says."""
    before = _mode(complete(stored.document))
    if before == "live" != caller.mode:
        raise NotPermittedError(needs="admin, of live mode", has=f"a role of {caller.mode} mode")
    if version is not None and version != stored.version:
        because = f"it was asked for at version {version}; read the settings again"
        raise WrongStateError(
            command="change the settings", state=f"version {stored.version}", because=because
        )
    settled = settle(merge(stored.document, rest))
    if _mode(complete(settled)) == "live" and before != "live" and ctx.live_obstacle:
        raise wrong(LIVE, f"cannot be true here. {ctx.live_obstacle}")
    return settled


async def _take(
    ctx: Context,
    conn: Connection,
    caller: Caller,
    stored: Stored,
    settled: dict[str, Any],
    owners: list[tuple[Given, Whose]],
) -> None:
    """Write keys and document, and who changed what; nothing where nothing differs."""
    before, after = _masked(complete(stored.document)), _masked(complete(settled))
    found = list(settings_patch.changes(before, after))
    for given, owner in owners:
        hours = value_at(after, given.path("webhookSecretOverlapHours"))
        found += await credentials.take(ctx, conn, given, _mode(after), owner, timedelta(hours=hours))
    if not found:
        return
    await settings_document.replace(conn, ctx.merchant_id, stored.version + 1, settled, ctx.now())
    detail = {"version": stored.version + 1, "changes": [_told(one) for one in found]}
    await done(ctx, conn, caller, ACTION, OBJECT, detail)


def _told(one: Change) -> dict[str, Any]:
    return {"path": one.path, "from": one.before, "to": one.after}


def _mode(document: Mapping[str, Any]) -> str:
    return "live" if value_at(complete(document), LIVE) else "sandbox"


def _sealed(ctx: Context, patch: dict[str, Any]) -> dict[str, Any]:
    """The patch, with the secrets that stand in the document sealed."""
    for path, part in SEALED_PARTS.items():
        secret = value_at(patch, path)
        if secret is None:
            continue
        if not isinstance(secret, str) or not 0 < len(secret) <= part.most:
            raise wrong(path, f"must be text of 1 to {part.most} characters")
        sealed = base64.b64encode(ctx.vault.seal(secret, part.place)).decode()
        end = keys.last(secret) if part.end_shown else None
        put(patch, path, {"sealed": sealed, "last4": end, "updatedAt": instant(ctx.now())})
    return patch


def _masked(document: dict[str, Any]) -> dict[str, Any]:
    """The document, with the secrets that stand in it hidden."""
    for path in SEALED_PARTS:
        section, _, _ = path.rpartition(".")
        if not isinstance(value_at(document, section), Mapping):
            continue
        kept = value_at(document, path) or {}
        facts = {"last4": kept.get("last4"), "updatedAt": kept.get("updatedAt")}
        put(document, path, {"set": "sealed" in kept, **facts})
    return document


async def history(ctx: Context, *, limit: int) -> list[dict[str, Any]]:
    """Who changed what and when, newest first."""
    async with ctx.db.reading() as conn:
        rows = await audit.of_object(conn, ctx.merchant_id, OBJECT, ACTION, limit=limit)
    return [{"at": instant(row["at"]), "actor": row["actor"], **row["detail"]} for row in rows]
