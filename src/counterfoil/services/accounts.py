"""Gateway accounts: seeded from the environment, opened with their secrets, and kept fresh in every process."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final, TypeAlias

import structlog

from counterfoil.domain import delivery, ids, receipt_template, refund_policy, retry, routing_policy
from counterfoil.domain.clock import Clock
from counterfoil.domain.errors import DatabaseAwayError, NoGatewayError
from counterfoil.domain.receipt_template import Choice
from counterfoil.domain.routing_policy import Policy
from counterfoil.domain.settings import enabled, initial
from counterfoil.domain.settings_patch import complete
from counterfoil.gateways.base import Gateway, Speak
from counterfoil.settings import Settings, variable
from counterfoil.store import accounts, settings_document
from counterfoil.store.accounts import Account, WebhookSecret
from counterfoil.store.database import Connection, Database
from counterfoil.vault import Vault

log = structlog.get_logger()

# A change of settings takes effect in every process within five seconds.
REFRESH_S: Final = 4.0

# Gateway → the settings of its public key, secret key and webhook secret.
_VARIABLES: Final = {
    "stripe": ("stripe_publishable_key", "stripe_secret_key", "stripe_webhook_secret"),
    "razorpay": ("razorpay_key_id", "razorpay_key_secret", "razorpay_webhook_secret"),
}

Connect: TypeAlias = Callable[[Account, str], Gateway]


@dataclass(frozen=True, slots=True, kw_only=True)
class Verifier:
    """A secret that may vouch for a webhook, and the account and mode it speaks for."""

    account: Account
    secret_id: str
    secret: bytes = field(repr=False)


class Directory:
    """The accounts as of the last refresh, with their gateways ready to call."""

    def __init__(
        self,
        db: Database,
        vault: Vault,
        clock: Clock,
        connect: Mapping[str, Connect],
        speak: Mapping[str, Speak],
    ) -> None:
        self._db, self._vault, self._clock, self._connect = db, vault, clock, connect
        self.speak = speak
        self._gateways: dict[str, tuple[Account, Gateway]] = {}
        self._verifiers: dict[str, list[Verifier]] = {}
        self._enabled: frozenset[str] = frozenset()
        self.routing = Policy()
        self.retrying, self.delivery = retry.Policy(), delivery.Policy()
        self.document: Mapping[str, Any] = complete({})
        self.refunding = refund_policy.read(self.document)
        self.templates: tuple[Choice, ...] = ()

    @property
    def mode(self) -> str:
        """The mode of new payments."""
        return "live" if self.document["productionSettings"]["liveMode"] else "sandbox"

    async def refresh(self) -> None:
        """Read accounts, secrets and settings anew; a gateway whose account did not change stays connected."""
        async with self._db.reading() as conn:
            live = await accounts.live_secrets(conn, self._clock.now())
            rows = await accounts.all_accounts(
                conn
            )  # after the secrets: every secret's account is among them
            document = await settings_document.current(conn)
        gateways = {row.id: (row, self._gateway(row)) for row in rows if row.gateway in self._connect}
        by_id = {row.id: row for row in rows}
        verifiers: dict[str, list[Verifier]] = {}
        for secret in live:
            account = by_id[secret.account_id]
            opened = self._vault.open(secret.secret, f"{secret.id}/secret").encode()
            verifiers.setdefault(account.gateway, []).append(
                Verifier(account=account, secret_id=secret.id, secret=opened)
            )
        self._gateways, self._verifiers = gateways, verifiers
        self._enabled = frozenset(name for name in self._connect if enabled(document or {}, name))
        self.document = complete(document or {})
        self.routing = routing_policy.read(self.document["routing"], list(self._connect))
        self.retrying, self.delivery = retry.read(self.document), delivery.read(self.document)
        self.refunding = refund_policy.read(self.document)
        self.templates = receipt_template.read(self.document["receiptGeneration"]["customTemplates"])

    def _gateway(self, row: Account) -> Gateway:
        known = self._gateways.get(row.id)
        if known and known[0].secret_key == row.secret_key and known[0].public_key == row.public_key:
            return known[1]
        return self._connect[row.gateway](row, self._vault.open(row.secret_key, f"{row.id}/secret_key"))

    def connect(self, account: Account, secret_key: str) -> Gateway:
        """A gateway that is called with these keys, whether or not the account is stored."""
        return self._connect[account.gateway](account, secret_key)

    async def keep_fresh(self, stop: asyncio.Event) -> None:
        """Refresh until told to stop; what fails leaves the last known accounts in place, and is tried again."""
        while not stop.is_set():
            try:
                await asyncio.wait_for(stop.wait(), REFRESH_S)
            except TimeoutError:
                await self._refresh_if_possible()

    async def _refresh_if_possible(self) -> None:
        try:
            await self.refresh()
        except DatabaseAwayError:
            return
        except Exception as error:  # noqa: BLE001  one bad row must not freeze the settings of this process for good
            log.warning("accounts not refreshed", error=str(error))

    def gateway(self, account_id: str) -> Gateway:
        return self._gateways[account_id][1]

    def all(self) -> list[tuple[Account, Gateway]]:
        """Every account of either mode, the draining ones too."""
        return list(self._gateways.values())

    def account(self, account_id: str) -> Account:
        return self._gateways[account_id][0]

    def active(self, gateway: str, mode: str) -> Gateway:
        """The account that takes new payments. Raises NoGatewayError where there is none."""
        for account, opened in self._gateways.values():
            if account.gateway == gateway and account.mode == mode and account.draining_since is None:
                return opened
        raise NoGatewayError(f"{gateway} is not configured for {mode} mode.", gateway=gateway)

    def enabled(self, mode: str) -> list[str]:
        """The gateways that may take new payments, in the merchant's order of preference."""
        able = {a.gateway for a, _ in self._gateways.values() if a.mode == mode and a.draining_since is None}
        return [name for name in self._connect if name in able and name in self._enabled]

    def stored(self, gateway: str, mode: str) -> tuple[str, str, str] | None:
        """Public key, secret key and current webhook secret of the account that takes new payments."""
        for account, _ in self._gateways.values():
            if (account.gateway, account.mode, account.draining_since) == (gateway, mode, None):
                current = [v.secret.decode() for v in self.verifiers(gateway) if v.account.id == account.id]
                secret_key = self._vault.open(account.secret_key, f"{account.id}/secret_key")
                return account.public_key, secret_key, current[0] if current else ""
        return None

    def verifiers(self, gateway: str) -> list[Verifier]:
        return self._verifiers.get(gateway, [])


async def seed(
    db: Database,
    vault: Vault,
    settings: Settings,
    *,
    clock: Clock,
    chance: Callable[[int], bytes],
) -> str:
    """Make the merchant, the settings document and the accounts of the environment where there are none.

    Returns the merchant's id. What is there already is left alone: the environment only seeds.
    """
    now = clock.now()
    async with db.transaction() as conn:
        await accounts.seeding_lock(conn)
        merchant_id = await accounts.the_merchant(conn)
        if merchant_id is None:
            merchant_id = ids.make("merchant", now, chance(10))
            await accounts.insert_merchant(conn, merchant_id, settings.business_name, now)
            document = initial(
                business=settings.business_name,
                mode=settings.mode,
                gateways=list(_VARIABLES),
            )
            await settings_document.insert(conn, merchant_id, document, now)
        there = {(row.gateway, row.mode) for row in await accounts.all_accounts(conn)}
        for gateway, (public_key, secret_key, webhook_secret) in configured(settings).items():
            if (gateway, settings.mode) not in there:
                account = ids.make("account", now, chance(10))
                await _insert_account(
                    conn,
                    vault,
                    Account(
                        id=account,
                        merchant_id=merchant_id,
                        gateway=gateway,
                        mode=settings.mode,
                        external_id=None,
                        public_key=public_key,
                        secret_key=vault.seal(secret_key, f"{account}/secret_key"),
                        secret_last4=secret_key[-4:],
                        secret_updated_at=now,
                        captures_by_itself=False,
                        draining_since=None,
                        created_at=now,
                    ),
                    webhook_secret,
                    secret_id=ids.make("key", now + timedelta(milliseconds=1), chance(10)),
                )
    return merchant_id


async def _insert_account(
    conn: Connection, vault: Vault, account: Account, webhook_secret: str, *, secret_id: str
) -> None:
    await accounts.insert(conn, account)
    await accounts.insert_secret(
        conn,
        WebhookSecret(
            id=secret_id,
            account_id=account.id,
            secret=vault.seal(webhook_secret, f"{secret_id}/secret"),
            last4=webhook_secret[-4:],
            created_at=account.created_at,
            expires_at=None,
        ),
    )


def configured(settings: Settings) -> dict[str, tuple[str, str, str]]:
    """Gateway → public key, secret key, webhook secret, of what the environment names."""
    named = {gateway: [getattr(settings, name) for name in names] for gateway, names in _VARIABLES.items()}
    return {gateway: (keys[0], keys[1], keys[2]) for gateway, keys in named.items() if all(keys)}


def differing(directory: Directory, settings: Settings) -> list[str]:
    """The variables that say otherwise than what is stored: the environment only seeds, the stored is in force."""
    found = [variable("mode")] if settings.mode != directory.mode else []
    if settings.business_name not in {Settings().business_name, directory.document["business"]["name"]}:
        found.append(variable("business_name"))
    for gateway, (public_key, secret_key, webhook_secret) in configured(settings).items():
        stored = directory.stored(gateway, settings.mode)
        if stored is None:
            continue
        names = _VARIABLES[gateway]
        given = (public_key, secret_key, webhook_secret)
        found += [
            variable(name) for name, one, other in zip(names, given, stored, strict=True) if one != other
        ]
    return found
