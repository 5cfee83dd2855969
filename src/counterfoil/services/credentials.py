"""The keys of gateway accounts, replaced while payments are under way.

Keys of the account in use take its place in the same row. Keys of another account make a new one, and the old one
drains: its refunds, webhooks and look-ups go on with its own keys, and new payments go to the new one.

Whose keys they are is asked with a question that keys of another account cannot answer: the newest attempt of each
account is looked up with them. No key of either gateway needs a further permission for that, and what is asked is what
matters: whether these keys can go on with what is under way.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from http import HTTPStatus
from typing import Any, Final

from counterfoil.domain.credentials import (
    LAST,
    PUBLIC,
    SAME,
    SECRET,
    WEBHOOK,
    Given,
    expect_of_mode,
    expect_whole,
)
from counterfoil.domain.errors import GatewayAwayError, WrongStateError
from counterfoil.domain.settings_patch import Change
from counterfoil.domain.settings_rules import wrong
from counterfoil.gateways.base import Accepted, Outcome, Refused
from counterfoil.services.context import Context
from counterfoil.services.records import instant
from counterfoil.store import accounts
from counterfoil.store.accounts import Account, WebhookSecret
from counterfoil.store.database import Connection

_NOT_THERE: Final = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND})
_ABSENT: Final = {"set": False, "last4": None, "updatedAt": None}
_NO_KEY: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN})


@dataclass(frozen=True, slots=True)
class Whose:
    """The account that keys open; None is one not known here. `active` is the one that took new payments meanwhile."""

    active: str | None
    account: str | None


async def whose(ctx: Context, given: Given, mode: str) -> Whose:
    """Which account the given keys open: asked of the gateway, with no transaction open.

    Raises InvalidRequestError where the gateway does not take them, GatewayAwayError where it cannot be asked.
    """
    expect_of_mode(given, mode)
    async with ctx.db.reading() as conn:
        rows = await accounts.of_gateway(conn, ctx.merchant_id, given.gateway, mode)
        refs = {row.id: await accounts.newest_ref(conn, row.id) for row in rows}
    active = next((row for row in rows if row.draining_since is None), None)
    return Whose(active.id if active else None, await _opened(ctx, given, active, rows, refs))


async def _opened(
    ctx: Context, given: Given, active: Account | None, rows: Sequence[Account], refs: dict[str, str | None]
) -> str | None:
    if active is None:
        return None
    _expect_pair(given, active)
    if not _other_keys(ctx, given, active):
        return active.id
    if given.same_account is not None:
        return active.id if given.same_account else None
    for row in rows:
        if (ref := refs[row.id]) and await _opens(ctx, given, row, ref):
            return row.id
    return None if refs[active.id] else active.id  # where nothing was ever opened, nothing has to drain


def _expect_pair(given: Given, active: Account) -> None:
    """Razorpay's key id and key secret are made together; at Stripe each key stands for itself."""
    if given.gateway == "razorpay" and given.public not in {None, active.public_key} and given.secret is None:
        raise wrong(given.path(SECRET["razorpay"]), "is needed beside another keyId")


def _other_keys(ctx: Context, given: Given, row: Account) -> bool:
    """Whether calls would be made with other keys than now. Stripe's publishable key is the browser's alone."""
    if given.secret is not None and given.secret != _secret_key(ctx, row):
        return True
    return given.gateway == "razorpay" and given.public not in {None, row.public_key}


def _secret_key(ctx: Context, row: Account) -> str:
    return ctx.vault.open(row.secret_key, f"{row.id}/secret_key")


async def _opens(ctx: Context, given: Given, row: Account, ref: str) -> bool:
    """Whether the keys see this attempt of the account."""
    tried = replace(row, id="", public_key=given.public or row.public_key)
    outcome = await ctx.directory.connect(tried, given.secret or _secret_key(ctx, row)).collect.look_up(ref)
    if isinstance(outcome, Accepted):
        return True
    if isinstance(outcome, Refused) and outcome.status in _NOT_THERE:
        return False
    if isinstance(outcome, Refused) and outcome.status in _NO_KEY:
        raise wrong(given.path(SECRET[given.gateway]), f"is not taken by {given.gateway}: {_said(outcome)}")
    raise GatewayAwayError(
        f"{given.gateway} cannot be asked now whose keys these are ({_said(outcome)}). Try again, or say"
        f" {given.path(SAME)}: true where they are of the account in use, false where of another."
    )


def _said(outcome: Outcome) -> str:
    return "" if isinstance(outcome, Accepted) else outcome.message.rstrip(".")


async def take(
    ctx: Context, conn: Connection, given: Given, mode: str, owner: Whose, overlap: timedelta
) -> list[Change]:
    """Store what is given, in the transaction of the settings' change; what changed, without any secret.

    Raises InvalidRequestError where something is missing, WrongStateError where another change came between.
    """
    rows = await accounts.of_gateway(conn, ctx.merchant_id, given.gateway, mode)
    active = next((row for row in rows if row.draining_since is None), None)
    if (active and active.id) != owner.active:
        raise WrongStateError(
            command="replace these keys", state="changing", because="somebody else replaced them just now"
        )
    before = await shown(conn, active)
    if owner.account is None:
        row = await _new(ctx, conn, given, mode, active)
    else:
        row = await _known(ctx, conn, given, active, next(one for one in rows if one.id == owner.account))
    await _webhook(ctx, conn, given, row, overlap)
    after = await shown(conn, row)
    names = {"public": PUBLIC[given.gateway], "secret": SECRET[given.gateway], "webhook": WEBHOOK}
    found = [
        Change(given.path(name), before[part], after[part])
        for part, name in names.items()
        if before[part] != after[part]
    ]
    if active is not None and active.id != row.id:
        found.append(Change(given.path("account"), active.id, row.id))
    return found


async def _new(ctx: Context, conn: Connection, given: Given, mode: str, active: Account | None) -> Account:
    """A row for an account that is not known here; the one in use drains."""
    expect_whole(given, "these are the keys of an account that is not known here")
    now, id_ = ctx.now(), ctx.new_id("account")
    if active is not None:
        await accounts.drain(conn, active.id, now)
    row = Account(
        id=id_,
        merchant_id=ctx.merchant_id,
        gateway=given.gateway,
        mode=mode,
        external_id=None,
        public_key=given.public or "",
        secret_key=ctx.vault.seal(given.secret or "", f"{id_}/secret_key"),
        secret_last4=(given.secret or "")[-LAST:],
        secret_updated_at=now,
        captures_by_itself=False,
        draining_since=None,
        created_at=now,
    )
    await accounts.insert(conn, row)
    return row


async def _known(
    ctx: Context, conn: Connection, given: Given, active: Account | None, row: Account
) -> Account:
    """The account's row with the given keys; where it drained, it takes new payments again and the other drains."""
    public, secret = given.public or row.public_key, given.secret or _secret_key(ctx, row)
    if (public, secret, row.draining_since) == (row.public_key, _secret_key(ctx, row), None):
        return row
    if active is not None and active.id != row.id:
        await accounts.drain(conn, active.id, ctx.now())
    vouched = await accounts.newest_ref(conn, row.id) is not None or not _other_keys(ctx, given, row)
    changed = replace(
        row,
        public_key=public,
        secret_key=ctx.vault.seal(secret, f"{row.id}/secret_key"),
        secret_last4=secret[-LAST:],
        secret_updated_at=ctx.now(),
        external_id=row.external_id if vouched else None,
        draining_since=None,
    )
    await accounts.take_keys(conn, changed)
    return changed


async def _webhook(ctx: Context, conn: Connection, given: Given, row: Account, overlap: timedelta) -> None:
    """Replace the account's webhook secret, if another is given; the old one goes on for the overlap."""
    if given.webhook is None:
        return
    for one in await accounts.live_secrets(conn, ctx.now()):
        same = ctx.vault.open(one.secret, f"{one.id}/secret") == given.webhook
        if same and one.account_id == row.id and one.expires_at is None:
            return
        if same and one.account_id != row.id:
            raise wrong(
                given.path(WEBHOOK),
                "is that of another account; a webhook's secret says whose it is, so each account needs its own",
            )
    now, id_ = ctx.now(), ctx.new_id("key")
    await accounts.retire_secret(conn, row.id, now + overlap)
    sealed = ctx.vault.seal(given.webhook, f"{id_}/secret")
    await accounts.insert_secret(
        conn,
        WebhookSecret(
            id=id_,
            account_id=row.id,
            secret=sealed,
            last4=given.webhook[-LAST:],
            created_at=now,
            expires_at=None,
        ),
    )


async def shown(conn: Connection, account: Account | None) -> dict[str, dict[str, Any]]:
    """What may be read of an account's keys: that they are set, how they end, and since when."""
    if account is None:
        return dict.fromkeys(("public", "secret", "webhook"), _ABSENT)
    secret = await accounts.current_secret(conn, account.id)
    return {
        "public": _view(account.public_key[-LAST:], account.secret_updated_at),
        "secret": _view(account.secret_last4, account.secret_updated_at),
        "webhook": _view(secret.last4, secret.created_at) if secret else _ABSENT,
    }


def _view(last4: str, at: Any) -> dict[str, Any]:
    return {"set": True, "last4": last4, "updatedAt": instant(at)}
