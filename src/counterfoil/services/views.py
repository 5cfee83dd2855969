"""What a caller sees of a payment: plain values, ready for JSON, the same by API and by command line."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from counterfoil.domain import routing
from counterfoil.domain.attempt import Attempt
from counterfoil.domain.charge import Charge, ChargeState
from counterfoil.domain.failure import BY_SLUG
from counterfoil.domain.payment import Status, winner_charge
from counterfoil.gateways.base import Accepted, Outcome
from counterfoil.services import standing
from counterfoil.services.context import Context
from counterfoil.store.inbox import Letter
from counterfoil.store.keys import ApiKey
from counterfoil.store.payments import Family
from counterfoil.store.timeline import Moment

PAYABLE: Final = frozenset({Status.CREATED, Status.PENDING})
LINK: Final = timedelta(hours=24)
_CLIENT_SECRET: Final = re.compile(r'("client_secret"\s*:\s*)"[^"]*"')


def instant(moment: datetime | None) -> str | None:
    """RFC 3339 in UTC."""
    if moment is None:
        return None
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def in_utc(moment: datetime) -> datetime:
    """The moment in UTC; a time given without an offset is UTC. Raises OverflowError outside the years 1 to 9999."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def shown_body(body: bytes) -> str:
    """A webhook's body for a person's eyes: as text, without what would let a browser act."""
    return _CLIENT_SECRET.sub(r'\1"[removed]"', body.decode("utf-8", "replace"))


def payment(ctx: Context, family: Family, outcome: Outcome | None = None) -> dict[str, Any]:
    """The payment as its caller sees it. Links and next actions are minted anew at each answer."""
    p = family.payment
    winner = winner_charge(p.winner_attempt_id, family.charges)
    surplus = [
        c for c in family.charges if c.state is ChargeState.CAPTURED and (winner is None or c.id != winner.id)
    ]
    return {
        "id": p.id,
        "object": "payment",
        "mode": p.mode,
        "status": p.status.value,
        "amount": p.amount,
        "currency": p.currency,
        "amount_captured": p.amount_captured,
        "amount_refunded": p.amount_refunded,
        "capture": p.capture,
        "gateway": family.attempts[-1].gateway if family.attempts else p.gateway,
        "reference": p.reference,
        "description": p.description,
        "customer": dict(p.customer),
        "metadata": dict(p.metadata),
        "line_items": list(p.line_items),
        "return_url": p.return_url,
        "failure": _failure(family),
        "attempts": [_attempt(attempt, family) for attempt in family.attempts],
        "surplus": [_charge(charge) for charge in surplus],
        "checkout": checkout(ctx, family, outcome),
        "expires_at": instant(p.expires_at),
        "created_at": instant(p.created_at),
        "updated_at": instant(p.updated_at),
        "version": p.version,
    }


def _failure(family: Family) -> dict[str, Any] | None:
    """Why the last try did not succeed, while nothing has."""
    if family.payment.status in {Status.AUTHORIZED, Status.CAPTURED, Status.CANCELLED}:
        return None
    failed = [attempt.failure for attempt in family.attempts if attempt.failure]
    return _told(failed[-1]) if failed else None


def _told(failure: Any) -> dict[str, Any]:
    code = BY_SLUG.get(str(failure.get("code")), BY_SLUG["other"])
    return {
        "code": code.slug,
        "advice": code.advice.value,
        "customer_message": code.tell_customer,
        "gateway_code": failure.get("gateway_code"),
        "message": failure.get("message"),
    }


def _attempt(attempt: Attempt, family: Family) -> dict[str, Any]:
    return {
        "id": attempt.id,
        "number": attempt.number,
        "gateway": attempt.gateway,
        "account": attempt.account_id,
        "gateway_reference": attempt.ref,
        "status": attempt.state.value,
        "reason": attempt.reason,
        "failure": _told(attempt.failure) if attempt.failure else None,
        "charges": [_charge(charge) for charge in family.charges if charge.attempt_id == attempt.id],
        "created_at": instant(attempt.created_at),
    }


def _charge(charge: Charge) -> dict[str, Any]:
    shown = ("method", "brand", "last4", "vpa", "bank", "wallet")
    return {
        "id": charge.id,
        "gateway_reference": charge.ref,
        "status": charge.state.value,
        "amount": charge.amount,
        "currency": charge.currency,
        "amount_captured": charge.captured,
        "amount_refunded": charge.refunded_seen,
        "method": {name: charge.detail[name] for name in shown if charge.detail.get(name) is not None},
        "created_at": instant(charge.made_at),
    }


def checkout(ctx: Context, family: Family, outcome: Outcome | None = None) -> dict[str, Any] | None:
    """Where and how the customer pays; None where there is nothing left to pay."""
    p = family.payment
    if p.status not in PAYABLE:
        return None
    token = ctx.vault.sign_link(p.id, min(p.expires_at, ctx.now() + LINK))
    details: dict[str, Any] = {
        "url": f"{ctx.public_url}/pay/{p.id}?token={token}",
        "expires_at": instant(p.expires_at),
    }
    attempt = standing.live_attempt(family)
    if attempt is not None and attempt.ref is not None:
        details |= {"gateway": attempt.gateway, "methods": list(routing.methods(attempt.gateway, p.currency))}
        details |= {attempt.gateway: _for_browser(ctx, attempt)}
    if isinstance(outcome, Accepted) and outcome.next_action is not None:
        details["next_action"] = dict(outcome.next_action) | {"client_secret": outcome.client_secret}
    return details


def _for_browser(ctx: Context, attempt: Attempt) -> dict[str, Any]:
    """What the gateway's own script needs to draw its fields."""
    gateway = ctx.directory.gateway(attempt.account_id)
    if gateway.confirm is None:
        return {"key_id": gateway.public_key, "order_id": attempt.ref}
    return {"publishable_key": gateway.public_key, "payment_intent": attempt.ref}


def moment(line: Moment) -> dict[str, Any]:
    return {
        "at": instant(line.at),
        "kind": line.kind,
        "what": line.what,
        "id": line.id,
        "detail": {name: value for name, value in line.detail.items() if value is not None},
    }


def letter(row: Letter) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "webhook",
        "gateway": row.gateway,
        "mode": row.mode,
        "account": row.account_id,
        "type": row.type,
        "status": row.status,
        "reason": row.reason,
        "payment": row.payment_id,
        "deliveries": row.deliveries,
        "tries": row.tries,
        "next_try_at": instant(row.next_check_at) if row.status in {"received", "parked"} else None,
        "received_at": instant(row.received_at),
        "last_delivery_at": instant(row.last_delivery_at),
        "processed_at": instant(row.processed_at),
    }


def api_key(key: ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "role": key.role,
        "mode": key.mode,
        "last4": key.last4,
        "created_by": key.created_by,
        "created_at": instant(key.created_at),
        "revoked_at": instant(key.revoked_at),
    }
