"""What the customer's browser gets from Stripe: the 3D Secure page and the stand-in for Stripe.js."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response
from starlette.routing import Route

from counterfoil.domain.money import Money
from counterfoil.sandbox.index import TEMPLATES
from counterfoil.sandbox.stripe.api import CORS
from counterfoil.sandbox.stripe.confirming import authenticated
from counterfoil.sandbox.stripe.errors import answer
from counterfoil.sandbox.stripe.session import GATEWAY, Session
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.world import World

SCRIPT: Final = Path(__file__).parent / "stripe.js"
OUTCOMES: Final = ("succeed", "fail")

Page = Callable[[Request], Awaitable[Response]]


def routes(world: World) -> list[Route]:
    """The browser's pages; last, what is answered to every other address."""
    return [
        Route("/js", script),
        Route("/3ds/{id}", _show(world)),
        Route("/3ds/{id}/{outcome}", _decide(world), methods=["POST"]),
        Route("/v1/{path:path}", preflight, methods=["OPTIONS"]),
        Route("/{path:path}", unrecognized, methods=["GET", "POST", "PUT", "PATCH", "DELETE"]),
    ]


def authenticate(world: World, intent: Json, outcome: object) -> Json:
    """What the customer does on the bank's page. Raises ValueError where nobody is asked, or the outcome is neither."""
    if outcome not in OUTCOMES:
        raise ValueError(f"outcome is {' or '.join(OUTCOMES)}")
    if intent["status"] != "requires_action":
        raise ValueError(f"the payment intent is {intent['status']}: it waits for no customer")
    with world.truth.transaction():
        return authenticated(Session(world), intent, ok=outcome == "succeed")


async def script(_request: Request) -> Response:
    return Response(SCRIPT.read_bytes(), media_type="text/javascript", headers={"cache-control": "no-cache"})


async def preflight(_request: Request) -> Response:
    return Response(status_code=204, headers=CORS)


async def unrecognized(request: Request) -> Response:
    """The answer for what is no endpoint."""
    refusal = answer(404, f"Unrecognized request URL ({request.method}: {request.url.path}).")
    return Response(refusal.body, refusal.status, dict(refusal.headers))


def _show(world: World) -> Page:
    async def show(request: Request) -> Response:
        intent = world.truth.get(GATEWAY, "payment_intent", request.path_params["id"])
        return _page(intent, 404 if intent is None else 200)

    return show


def _page(intent: Json | None, status: int) -> Response:
    amount = intent and Money(intent["amount"], intent["currency"].upper())
    page = TEMPLATES.get_template("three_d_secure.html").render(intent=intent, amount=amount)
    return HTMLResponse(page, status)


def _decide(world: World) -> Page:
    async def decide(request: Request) -> Response:
        intent = world.truth.get(GATEWAY, "payment_intent", request.path_params["id"])
        if intent is None:
            return _page(None, 404)
        action = intent["next_action"] or {}
        try:
            intent = authenticate(world, intent, request.path_params["outcome"])
        except ValueError:
            return _page(intent, 409)
        back = action.get("redirect_to_url", {}).get("return_url")
        return RedirectResponse(_back(back, intent), 303) if back else _page(intent, 200)

    return decide


def _back(return_url: str, intent: Json) -> str:
    """The shop's page, with what Stripe adds to its address."""
    parts = urlsplit(return_url)
    failed = intent["status"] == "requires_payment_method"
    added = {
        "payment_intent": intent["id"],
        "payment_intent_client_secret": intent["client_secret"],
        "redirect_status": "failed" if failed else "succeeded",
    }
    query = urlencode([*parse_qsl(parts.query, keep_blank_values=True), *added.items()])
    return urlunsplit(parts._replace(query=query))
