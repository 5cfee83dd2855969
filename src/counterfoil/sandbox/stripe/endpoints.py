"""Webhook endpoints: the configured one, and those made through the API."""

from typing import Final

from counterfoil.sandbox.stripe import errors
from counterfoil.sandbox.stripe.api import Endpoint
from counterfoil.sandbox.stripe.lists import listed
from counterfoil.sandbox.stripe.params import (
    LIST,
    Readers,
    Shape,
    boolean,
    each,
    expand,
    merged,
    metadata,
    text,
    url,
    word,
)
from counterfoil.sandbox.stripe.session import GATEWAY, Session
from counterfoil.sandbox.truth import Json

CONFIGURED: Final = (
    "stripe_endpoint"  # the setting with the id of the endpoint that the configuration asks for
)


def begin(session: Session) -> None:
    """Make the configured endpoint agree with where the sandbox delivers to: there, elsewhere, or gone."""
    truth, base = session.world.truth, session.world.deliver_to
    old = truth.setting(CONFIGURED)
    endpoint = session.get("webhook_endpoint", old or "")
    if base is None:
        if endpoint is not None:
            truth.delete(GATEWAY, endpoint["id"])
        return
    where = f"{base}/webhooks/stripe"
    if endpoint is None:
        endpoint = _new(session, where, {"enabled_events": ["*"], "description": "The configured endpoint"})
        truth.set(CONFIGURED, endpoint["id"])
    session.save({**endpoint, "url": where})


def _new(session: Session, where: str, params: Json) -> Json:
    return {
        "id": session.new_id("we", 1),
        "object": "webhook_endpoint",
        "api_version": params.get("api_version"),
        "application": None,
        "created": session.now,
        "description": params.get("description"),
        "enabled_events": params["enabled_events"],
        "livemode": session.world.config.livemode,
        "metadata": merged({}, params.get("metadata")),
        "status": "enabled",
        "url": where,
    }


def create(session: Session, params: Json) -> Json:
    """The secret is shown this once."""
    if not params["enabled_events"]:
        raise errors.missing("enabled_events")
    secret = f"whsec_{session.world.ids.word(32)}"
    endpoint = _new(session, params["url"], params)
    session.save(endpoint, hidden={"secret": secret})
    return {**endpoint, "secret": secret}


def retrieve(session: Session, _params: Json) -> Json:
    return session.need("webhook_endpoint", session.id)


def update(session: Session, params: Json) -> Json:
    endpoint = session.need("webhook_endpoint", session.id)
    endpoint.update(
        {name: params[name] for name in ("description", "enabled_events", "url") if name in params}
    )
    endpoint["metadata"] = merged(endpoint["metadata"], params.get("metadata"))
    if "disabled" in params:
        endpoint["status"] = "disabled" if params["disabled"] else "enabled"
    session.save(endpoint)
    return endpoint


def delete(session: Session, _params: Json) -> Json:
    """Its deliveries that are still under way end."""
    session.need("webhook_endpoint", session.id)
    session.world.truth.delete(GATEWAY, session.id)
    return {"id": session.id, "object": "webhook_endpoint", "deleted": True}


def search(session: Session, params: Json) -> Json:
    return listed(session, "webhook_endpoint", "/v1/webhook_endpoints", params)


COMMON: Final[Readers] = {
    "description": text,
    "enabled_events": each(word, most=300),
    "expand": expand,
    "metadata": metadata,
    "url": url,
}
PATH: Final = "/v1/webhook_endpoints"

ENDPOINTS: Final = [
    Endpoint(
        "webhook_endpoints.create",
        "POST",
        PATH,
        Shape("url enabled_events", **COMMON, api_version=text),
        create,
    ),
    Endpoint("webhook_endpoints.list", "GET", PATH, Shape(**LIST), search),
    Endpoint("webhook_endpoints.retrieve", "GET", f"{PATH}/{{id}}", Shape(expand=expand), retrieve),
    Endpoint("webhook_endpoints.update", "POST", f"{PATH}/{{id}}", Shape(**COMMON, disabled=boolean), update),
    Endpoint("webhook_endpoints.delete", "DELETE", f"{PATH}/{{id}}", Shape(), delete),
]
