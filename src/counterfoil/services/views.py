"""What a caller sees of a payment: plain values, ready for JSON, the same by API and by command line."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from counterfoil.courier import Reply
from counterfoil.domain import routing
from counterfoil.domain.attempt import Attempt
from counterfoil.domain.endpoint import Endpoint
from counterfoil.domain.event import Event
from counterfoil.domain.payment import PAYABLE
from counterfoil.domain.routing import Choice, Verdict
from counterfoil.gateways.base import Accepted, Outcome
from counterfoil.services import failover, records, standing
from counterfoil.services.context import Context
from counterfoil.services.records import instant
from counterfoil.store.deliveries import Delivery, Try
from counterfoil.store.inbox import RECOVERED, Letter
from counterfoil.store.keys import ApiKey
from counterfoil.store.payments import Family
from counterfoil.store.timeline import Moment

LINK: Final = timedelta(hours=24)
_CLIENT_SECRET: Final = re.compile(r'("client_secret"\s*:\s*)"[^"]*"')


def in_utc(moment: datetime) -> datetime:
    """The moment in UTC; a time given without an offset is UTC. Raises OverflowError outside the years 1 to 9999."""
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def shown_body(body: bytes) -> str:
    """A webhook's body for a person's eyes: as text, without what would let a browser act."""
    return _CLIENT_SECRET.sub(r'\1"[removed]"', body.decode("utf-8", "replace"))


def payment(ctx: Context, family: Family, outcome: Outcome | None = None) -> dict[str, Any]:
    """The payment as its caller sees it. Links and next actions are minted anew at each answer."""
    return records.payment(family) | {"checkout": checkout(ctx, family, outcome)}


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
    if others := failover.offers(ctx, family):
        details["next"] = [_offer(choice, p.currency) for choice in others]
    if isinstance(outcome, Accepted) and outcome.next_action is not None:
        details["next_action"] = dict(outcome.next_action) | {"client_secret": outcome.client_secret}
    return details


def _offer(choice: Choice, currency: str) -> dict[str, Any]:
    """Another gateway that the customer may change to, now that a try has failed."""
    methods = list(routing.methods(choice.gateway, currency))
    return {"gateway": choice.gateway, "methods": methods, "reason": choice.reason}


def routing_answer(verdicts: Sequence[Verdict]) -> dict[str, Any]:
    """Where a payment would go, and what routing thinks of every gateway, best first."""
    able = [one.gateway for one in verdicts if one.obstacle is None and not (one.down and one.down.away)]
    places = {gateway: place for place, gateway in enumerate(able, start=1)}
    return {
        "gateway": able[0] if able else None,
        "gateways": [_verdict(one, places.get(one.gateway)) for one in verdicts],
    }


def _verdict(asked: Verdict, place: int | None) -> dict[str, Any]:
    return {
        "gateway": asked.gateway,
        "place": place,
        "reason": asked.reason if asked.obstacle is None else None,
        "obstacle": asked.obstacle,
        "health": {"answers": not asked.down.away, "because": asked.down.because} if asked.down else None,
    }


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
        "recovered": row.secret_id == RECOVERED,
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


def event(row: Event) -> dict[str, Any]:
    """An event as it is delivered, listed and streamed: the Standard Webhooks payload, and where it stands in the order."""
    return {
        "id": row.id,
        "type": row.type,
        "timestamp": instant(row.created_at),
        "mode": row.mode,
        "sequence": row.sequence,
        "version": row.version,
        "data": row.object,
    }


def endpoint(row: Endpoint) -> dict[str, Any]:
    return {
        "id": row.id,
        "object": "endpoint",
        "mode": row.mode,
        "url": row.url,
        "description": row.description,
        "types": row.types,
        "enabled": row.disabled_at is None,
        "disabled_at": instant(row.disabled_at),
        "disabled_because": row.disabled_because,
        "failing_since": instant(row.failing_since),
        "created_at": instant(row.created_at),
        "updated_at": instant(row.updated_at),
    }


def delivery(row: Delivery) -> dict[str, Any]:
    return {
        "event": row.event_id,
        "object": "delivery",
        "endpoint": row.endpoint_id,
        "type": row.type,
        "about": row.object_id,
        "version": row.version,
        "sequence": row.sequence,
        "status": row.outcome or "pending",
        "tries": row.tries,
        "next_try_at": instant(row.next_check_at),
        "ended_at": instant(row.ended_at),
        "last_try": attempted(row.last) if row.last else None,
    }


def attempted(one: Try) -> dict[str, Any]:
    """One try of a delivery. `status` is null where no whole answer came."""
    return {
        "number": one.number,
        "at": instant(one.at),
        "duration_ms": one.duration_ms,
        "status": one.status,
        "answer": one.answer,
        "error": one.error,
    }


def tried(event_id: str, reply: Reply) -> dict[str, Any]:
    """What came of a test event."""
    return {
        "event": event_id,
        "delivered": reply.error is None,
        "status": reply.status,
        "duration_ms": reply.duration_ms,
        "answer": reply.answer,
        "error": reply.error,
    }
