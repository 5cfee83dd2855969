"""The doctor: looks at everything the service stands on, and says what to mend."""

import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Literal
from urllib.parse import urlsplit

from cryptography.x509 import Certificate

from counterfoil.domain.endpoint import Endpoint
from counterfoil.domain.errors import ConfigurationError, CounterfoilError, DocumentsAwayError
from counterfoil.gateways.base import Accepted, Gateway, Outcome, Refused
from counterfoil.services import accounts, signing, silence
from counterfoil.services.context import Context
from counterfoil.services.endpoints import BY_HAND
from counterfoil.settings import Settings, variable
from counterfoil.store import deliveries, endpoints, health, mails, recovery
from counterfoil.store import silence as stored_silence
from counterfoil.store.silence import Hearing

State = Literal["ok", "warn", "fail"]
OLDEST_SERVER: Final = 150_000  # server_version_num of PostgreSQL 15
SKEW_S: Final = 5.0  # webhooks are refused at 300; a clock that is five seconds off will not stop there
UNDELIVERED_FOR: Final = timedelta(hours=1)  # an endpoint that answers is told within seconds
WAITING_S: Final = 60.0  # a job that old has no worker
ENDS_SOON: Final = timedelta(days=30)  # a certificate takes some people weeks to get
# An id that no gateway has: being told so proves the way there and the key.
NOBODY: Final = {"stripe": "pi_counterfoil_doctor", "razorpay": "order_counterfoil0"}
INSTALL: Final = "`counterfoil receipts signing --key … --certificate …`"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: how it is, and what to do where it is not well."""

    name: str
    state: State
    sentence: str
    mend: str = ""


async def examine(ctx: Context, settings: Settings, key_file: Path) -> list[Finding]:
    """All findings. A check that breaks is itself a finding."""
    findings = [_key_file(key_file, settings), *_addresses(settings)]
    for check in (
        _database,
        _gateways,
        _environment,
        _inbox,
        _silence,
        _lists,
        _mails,
        _endpoints,
        _documents,
        _signing,
    ):
        try:
            findings += await check(ctx, settings)
        except CounterfoilError as error:
            findings.append(
                Finding(check.__name__.strip("_"), "fail", error.detail, error.problem.what_to_do)
            )
    return findings


def _key_file(path: Path, settings: Settings) -> Finding:
    mode = stat.S_IMODE(path.stat().st_mode)
    if mode & 0o077:
        return Finding("key file", "fail", f"{path} can be read by others ({mode:04o}).", f"chmod 600 {path}")
    where = "named by you" if settings.key_file else "made by the service"
    return Finding("key file", "ok", f"{path} ({where}); keep a copy apart from the database.")


def _addresses(settings: Settings) -> Sequence[Finding]:
    url = urlsplit(settings.public_url)
    if settings.mode == "live" and url.scheme != "https":
        mend = f"Put TLS before the service and set {variable('public_url')} to its https address."
        return [Finding("public address", "fail", f"{settings.public_url} is not https, in live mode.", mend)]
    return [Finding("public address", "ok", f"Customers and gateways reach {settings.public_url}.")]


async def _database(ctx: Context, _settings: Settings) -> list[Finding]:
    async with ctx.db.reading() as conn:
        version, told, waiting = (
            await health.server(conn),
            await health.now(conn),
            await health.oldest_job_s(conn),
        )
    skew = abs((told - datetime.now(UTC)).total_seconds())
    found = [
        Finding("database", "ok", f"PostgreSQL {version // 10_000}.{version % 10_000} answers.")
        if version >= OLDEST_SERVER
        else Finding(
            "database", "fail", f"PostgreSQL {version // 10_000} is too old.", "Use version 15 or newer."
        ),
        Finding("clock", "ok", f"The database's clock and ours are {skew:.1f} s apart.")
        if skew <= SKEW_S
        else Finding(
            "clock", "fail", f"The database's clock and ours are {skew:.0f} s apart.", "Run NTP on both."
        ),
    ]
    if waiting is not None and waiting > WAITING_S:
        mend = "Run `counterfoil worker`, or `counterfoil serve`, which has one."
        found.append(Finding("worker", "fail", f"The oldest job has waited {waiting:.0f} s.", mend))
    else:
        found.append(Finding("worker", "ok", "No job waits long."))
    return found


async def _gateways(ctx: Context, settings: Settings) -> list[Finding]:
    enabled = ctx.directory.enabled(ctx.mode)
    if not enabled:
        names = ", ".join(map(variable, ("stripe_secret_key", "razorpay_key_id")))
        mend = (
            f"Set the keys of one ({names} and those beside them) and start again; or try `counterfoil demo`."
        )
        return [Finding("gateways", "fail", f"No gateway is configured for {ctx.mode} mode.", mend)]
    return [await _gateway(ctx.directory.active(name, ctx.mode), settings) for name in enabled]


async def _gateway(gateway: Gateway, settings: Settings) -> Finding:
    outcome = await gateway.collect.look_up(NOBODY.get(gateway.name, "none"))
    where, name = settings.base_url(gateway.name), f"gateway {gateway.name}"
    if isinstance(outcome, Accepted) or (isinstance(outcome, Refused) and outcome.status in {400, 404}):
        return Finding(name, "ok", f"{where} answers and takes the key.")
    if isinstance(outcome, Refused) and outcome.status in {401, 403}:
        return Finding(
            name, "fail", f"{where} does not take the key.", f"Check the key of {gateway.name} and its mode."
        )
    mend = f"Check {variable(f'{gateway.name}_base_url')} and the network from here to there."
    return Finding(name, "fail", f"{where}: {_said(outcome)}.", mend)


def _said(outcome: Outcome) -> str:
    return "no answer" if isinstance(outcome, Accepted) else outcome.message.rstrip(".")


async def _environment(ctx: Context, settings: Settings) -> list[Finding]:
    """What the environment says otherwise than the stored settings: it only seeds, so the stored ones are in force."""
    differing = accounts.differing(ctx.directory, settings)
    if not differing:
        return [Finding("environment", "ok", "The environment and the stored settings agree.")]
    mend = (
        "The stored one is in force: remove the variable, or take it with `counterfoil settings adopt-env`."
    )
    return [
        Finding("environment", "warn", f"{name} differs from what is stored.", mend) for name in differing
    ]


async def _inbox(ctx: Context, _settings: Settings) -> list[Finding]:
    async with ctx.db.reading() as conn:
        dead, parked, exceptions = await health.troubles(conn, ctx.merchant_id, ctx.mode)
    found = [_dead_letters(dead, parked)]
    if exceptions:
        sentence = f"{exceptions} {'exception waits' if exceptions == 1 else 'exceptions wait'} for a person."
        found.append(
            Finding("exceptions", "warn", sentence, "`counterfoil exceptions list` says what they are.")
        )
    return found


def _dead_letters(dead: int, parked: int) -> Finding:
    if not dead:
        return Finding("inbox", "ok", f"No dead letters; {parked} webhooks wait for their object.")
    mend = (
        "See `counterfoil webhooks list --status dead`; `replay` or `ignore` each, or replay all with"
        " `counterfoil webhooks replay --status dead`."
    )
    return Finding("inbox", "warn", f"{dead} webhooks could not be understood.", mend)


async def _silence(ctx: Context, _settings: Settings) -> list[Finding]:
    """Whether the gateways tell of what they do."""
    async with ctx.db.reading() as conn:
        heard = await stored_silence.of_accounts(conn)
    return [_hearing(ctx, one) for one in heard if one.mode == ctx.mode]


def _hearing(ctx: Context, heard: Hearing) -> Finding:
    name, sentence = f"webhooks {heard.gateway}", silence.sentence(heard)
    if silence.is_silent(ctx, heard):
        return Finding(name, "fail", sentence, silence.mend(ctx, heard.gateway))
    return Finding(name, "ok", sentence)


async def _lists(ctx: Context, _settings: Settings) -> list[Finding]:
    """Whether the gateways' own lists can be read."""
    async with ctx.db.reading() as conn:
        cursors = await recovery.cursors(conn)
    mend = (
        "See that the key may read this list, and that the gateway is reachable; it is tried again by itself."
    )
    return [
        Finding(f"list {row.list}", "warn", f"Read up to {row.read_to:%Y-%m-%d %H:%M} UTC. {row.error}", mend)
        for row in cursors
        if row.error is not None
    ] or [Finding("lists", "ok", "The gateways' own lists are read for what no webhook brought.")]


async def _mails(ctx: Context, _settings: Settings) -> list[Finding]:
    """Whether customers and operators can be written to, where a setting says that they are."""
    policy, tries = ctx.directory.delivery, ctx.directory.retrying.attempts
    if policy.smtp is None and (policy.tell_failures or tries):
        sentence = "No mail server is set: nobody is told of failed payments, and no customer is invited."
        mend = "Set delivery.smtp; or productionSettings.failedPaymentNotification to false, and no retries."
        return [Finding("mails", "warn", sentence, mend)]
    if policy.smtp is None and policy.receipts_by_email:
        return [Finding("mails", "warn", "No mail server is set: no receipt is sent.", "Set delivery.smtp.")]
    if policy.sms is None and policy.receipts_by_sms:
        return [
            Finding("mails", "warn", "No SMS carrier is set: no receipt goes by SMS.", "Set delivery.sms.")
        ]
    if policy.smtp is not None and policy.tell_failures and not policy.operators:
        mend = "Set delivery.operators."
        return [Finding("mails", "warn", "No operator is told of failed payments.", mend)]
    async with ctx.db.reading() as conn:
        late, error = await mails.troubles(conn)
    if late:
        mend = "See that delivery.smtp is right, and that its server is reachable from here."
        return [Finding("mails", "warn", f"{late} mails could not be sent yet; the last: {error}.", mend)]
    return [Finding("mails", "ok", "No mail waits for a mail server.")]


async def _endpoints(ctx: Context, _settings: Settings) -> list[Finding]:
    """Whether the merchant's own backend is told, where an endpoint says that it is to be."""
    async with ctx.db.reading() as conn:
        rows = await endpoints.listing(conn, ctx.merchant_id, ctx.mode)
        waiting = await deliveries.waiting(conn)
    found = [found for row in rows if (found := _endpoint(row)) is not None]
    late = ctx.now() - waiting.oldest if waiting.oldest else timedelta(0)
    if not found and late > UNDELIVERED_FOR:
        sentence = f"{waiting.count} deliveries wait, the oldest for {late // timedelta(minutes=1)} minutes."
        found.append(
            Finding("endpoints", "warn", sentence, "Run a worker; see `counterfoil endpoints list`.")
        )
    told = "Every endpoint is told." if rows else "No endpoint is set: nobody's backend is told of events."
    return found or [Finding("endpoints", "ok", told)]


def _endpoint(row: Endpoint) -> Finding | None:
    name = f"endpoint {row.id}"
    if row.disabled_at is not None and row.disabled_because != BY_HAND:
        mend = f"Mend it; then `counterfoil endpoints update {row.id} --enable`, and replay what it missed."
        return Finding(name, "warn", f"It is disabled: {row.disabled_because}.", mend)
    if row.failing_since is not None and row.disabled_at is None:
        sentence = f"Nothing could be delivered since {row.failing_since:%Y-%m-%d %H:%M} UTC."
        mend = f"See what it answers with `counterfoil endpoints test {row.id}`."
        return Finding(name, "warn", sentence, mend)
    return None


async def _documents(ctx: Context, _settings: Settings) -> list[Finding]:
    """Whether a process that draws receipts can be started, here and now."""
    try:
        await ctx.renderer.ready()
    except DocumentsAwayError as away:
        mend = "Free memory, processes and space for temporary files; HTML, Excel, CSV and JSON go on until then."
        return [Finding("documents", "fail", f"No PDF can be drawn: {away.reason}.", mend)]
    return [Finding("documents", "ok", "PDFs can be drawn.")]


async def _signing(ctx: Context, _settings: Settings) -> list[Finding]:
    """Whether receipts can be signed, where a key is set, and how long its certificate is valid."""
    try:
        signer = await signing.opened(ctx)
    except ConfigurationError as bad:
        mend = f"No PDF leaves unsigned until then: mend it, install the key again ({INSTALL}), or take it away (--off)."
        return [Finding("signing", "fail", bad.detail, mend)]
    if signer is None:
        return [Finding("signing", "ok", "Receipts are not signed: no key is set.")]
    return [_certificate(signer.certificates[0], ctx.now())]


def _certificate(own: Certificate, now: datetime) -> Finding:
    name, since, until = own.subject.rfc4514_string(), own.not_valid_before_utc, own.not_valid_after_utc
    sentence = f"Receipts are signed as {name}, whose certificate is valid from {since:%Y-%m-%d} until {until:%Y-%m-%d}."
    mend = f"Install a new certificate ({INSTALL}): with a certificate that is not valid, readers of PDFs warn of them."
    if not since <= now <= until:
        return Finding("signing", "fail", sentence, mend)
    if until - now < ENDS_SOON:
        return Finding("signing", "warn", sentence, mend)
    return Finding("signing", "ok", sentence)
