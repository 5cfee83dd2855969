"""Merchants, their gateway accounts, and the secrets that hang on them (sealed: this room cannot read them)."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from counterfoil.store.database import Connection


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    id: str
    merchant_id: str
    gateway: str
    mode: str
    external_id: str | None
    public_key: str
    secret_key: bytes = field(repr=False)
    secret_last4: str
    secret_updated_at: datetime
    captures_by_itself: bool
    draining_since: datetime | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookSecret:
    id: str
    account_id: str
    secret: bytes = field(repr=False)
    last4: str
    created_at: datetime
    expires_at: datetime | None


_ACCOUNT: Final = ", ".join(Account.__dataclass_fields__)
_SECRET: Final = ", ".join(WebhookSecret.__dataclass_fields__)


async def the_merchant(conn: Connection) -> str | None:
    """The one merchant's id, or None before the first start."""
    found: str | None = await conn.fetchval("SELECT id FROM merchants ORDER BY id LIMIT 1")
    return found


async def insert_merchant(conn: Connection, id_: str, name: str, now: datetime) -> None:
    await conn.execute("INSERT INTO merchants (id, name, created_at) VALUES ($1, $2, $3)", id_, name, now)


async def seeding_lock(conn: Connection) -> None:
    """Held to the end of the transaction, so that two processes starting at once seed once."""
    await conn.execute("SELECT pg_advisory_xact_lock(7271002)")


async def insert(conn: Connection, account: Account) -> None:
    await conn.execute(
        f"INSERT INTO gateway_accounts ({_ACCOUNT}) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        *(getattr(account, name) for name in Account.__dataclass_fields__),
    )


async def insert_secret(conn: Connection, secret: WebhookSecret) -> None:
    await conn.execute(
        f"INSERT INTO webhook_secrets ({_SECRET}) VALUES ($1, $2, $3, $4, $5, $6)",
        *(getattr(secret, name) for name in WebhookSecret.__dataclass_fields__),
    )


async def all_accounts(conn: Connection) -> list[Account]:
    rows = await conn.fetch(f"SELECT {_ACCOUNT} FROM gateway_accounts ORDER BY id")
    return [Account(**row) for row in rows]


async def live_secrets(conn: Connection, now: datetime) -> list[WebhookSecret]:
    """The webhook secrets that still verify, newest first."""
    rows = await conn.fetch(
        f"SELECT {_SECRET} FROM webhook_secrets WHERE expires_at IS NULL OR expires_at > $1 ORDER BY created_at DESC",
        now,
    )
    return [WebhookSecret(**row) for row in rows]


async def of_gateway(conn: Connection, merchant_id: str, gateway: str, mode: str) -> list[Account]:
    """The accounts of one gateway and mode: the one that takes new payments, then those that drain, newest first."""
    rows = await conn.fetch(
        f"SELECT {_ACCOUNT} FROM gateway_accounts WHERE merchant_id = $1 AND gateway = $2 AND mode = $3"
        " ORDER BY draining_since DESC NULLS FIRST",
        merchant_id,
        gateway,
        mode,
    )
    return [Account(**row) for row in rows]


async def newest_ref(conn: Connection, account_id: str) -> str | None:
    """The gateway's id of the newest attempt there; None where none was ever opened."""
    found: str | None = await conn.fetchval(
        "SELECT ref FROM attempts WHERE account_id = $1 AND ref IS NOT NULL ORDER BY id DESC LIMIT 1",
        account_id,
    )
    return found


async def take_keys(conn: Connection, account: Account) -> None:
    """Write the account's keys, what is known of whose they are, and whether it drains."""
    await conn.execute(
        """
        UPDATE gateway_accounts SET public_key = $2, secret_key = $3, secret_last4 = $4, secret_updated_at = $5,
               external_id = $6, draining_since = $7
        WHERE id = $1
        """,
        account.id,
        account.public_key,
        account.secret_key,
        account.secret_last4,
        account.secret_updated_at,
        account.external_id,
        account.draining_since,
    )


async def drain(conn: Connection, account_id: str, now: datetime) -> None:
    """Let it take no new payments; what is under way there goes on."""
    await conn.execute("UPDATE gateway_accounts SET draining_since = $2 WHERE id = $1", account_id, now)


async def current_secret(conn: Connection, account_id: str) -> WebhookSecret | None:
    """The webhook secret that has not been replaced."""
    row = await conn.fetchrow(
        f"SELECT {_SECRET} FROM webhook_secrets WHERE account_id = $1 AND expires_at IS NULL", account_id
    )
    return WebhookSecret(**row) if row else None


async def retire_secret(conn: Connection, account_id: str, expires_at: datetime) -> None:
    """Let the account's current webhook secret end then."""
    await conn.execute(
        "UPDATE webhook_secrets SET expires_at = $2 WHERE account_id = $1 AND expires_at IS NULL",
        account_id,
        expires_at,
    )


async def learn_external_id(conn: Connection, account_id: str, external_id: str) -> str:
    """Keep the gateway's own account id the first time it is told; answer the one that is kept.

    Read first: an update would lock the row that every event of this account shares, until each commits.
    """
    kept: str | None = await conn.fetchval(
        "SELECT external_id FROM gateway_accounts WHERE id = $1", account_id
    )
    if kept is not None:
        return kept
    learned: str = await conn.fetchval(
        "UPDATE gateway_accounts SET external_id = coalesce(external_id, $2) WHERE id = $1 RETURNING external_id",
        account_id,
        external_id,
    )
    return learned


async def set_captures_by_itself(conn: Connection, account_id: str, *, does: bool) -> None:
    await conn.execute("UPDATE gateway_accounts SET captures_by_itself = $2 WHERE id = $1", account_id, does)
