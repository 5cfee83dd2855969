"""Events: listed thirty days back, the newest first."""

import re
from collections.abc import Sequence
from typing import Final

from counterfoil.sandbox.stripe import errors
from counterfoil.sandbox.stripe.api import Endpoint
from counterfoil.sandbox.stripe.lists import listed
from counterfoil.sandbox.stripe.params import LIST, Shape, boolean, each, expand, word
from counterfoil.sandbox.stripe.session import GATEWAY, Session
from counterfoil.sandbox.truth import Json

KEPT_S: Final = 30 * 86400
MAX_TYPES: Final = 20
TYPE: Final = re.compile(r"[a-z0-9_.]*\*?")
# An endpoint of the event that has not had it yet; of the columns of objects.
_OWED: Final = """EXISTS (SELECT 1 FROM deliveries d WHERE d.gateway = objects.gateway AND d.event = objects.id
    GROUP BY d.endpoint HAVING sum(d.state = 'delivered') = 0)"""
DELIVERED: Final = {None: "1", True: f"NOT {_OWED}", False: _OWED}


def search(session: Session, params: Json) -> Json:
    page = listed(
        session,
        "event",
        "/v1/events",
        params,
        globs=("parent", types) if (types := _types(params)) else None,
        oldest=session.now - KEPT_S,
        extra=DELIVERED[params.get("delivery_success")],
    )
    return {**page, "data": [_shown(session, event) for event in page["data"]]}


def _types(params: Json) -> Sequence[str]:
    """The patterns of `type` or `types`: a name, or the beginning of one and *."""
    if "type" in params and "types" in params:
        raise errors.invalid("Give type or types, not both.", code="parameters_exclusive")
    types: list[str] = params.get("types") or [one for one in (params.get("type"),) if one]
    for one in types:
        if not TYPE.fullmatch(one):
            raise errors.invalid(f"Invalid event type: {one}", param="type")
    return types


def retrieve(session: Session, _params: Json) -> Json:
    event = session.need("event", session.id)
    if event["created"] < session.now - KEPT_S:
        raise errors.no_such("event", session.id, "id")
    return _shown(session, event)


def _shown(session: Session, event: Json) -> Json:
    """The event with the number of endpoints that still owe an answer; its stored bytes are what was delivered."""
    (owing,) = session.world.truth.sql.execute(
        "SELECT count(*) FROM (SELECT 1 FROM deliveries WHERE gateway = ? AND event = ?"
        " GROUP BY endpoint HAVING sum(state = 'delivered') = 0)",
        (GATEWAY, event["id"]),
    ).fetchone()
    return {**event, "pending_webhooks": owing}


ENDPOINTS: Final = [
    Endpoint(
        "events.list",
        "GET",
        "/v1/events",
        Shape(**LIST, delivery_success=boolean, type=word, types=each(word, most=MAX_TYPES)),
        search,
    ),
    Endpoint("events.retrieve", "GET", "/v1/events/{id}", Shape(expand=expand), retrieve),
]
