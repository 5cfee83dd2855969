"""docs/generated/api.md: every path of the API, from the application itself, and every problem type."""

from types import SimpleNamespace

from page import settle, table

from counterfoil.domain.errors import Problem
from counterfoil.services.metrics import Metrics
from counterfoil.web.app import create_app

house = SimpleNamespace(context=SimpleNamespace(public_url=""), metrics=Metrics(), direct_url="")
schema = create_app(house, work=False).openapi()  # type: ignore[arg-type]  # no route is called, so no house is needed

paths = [
    (f"`{method.upper()} {path}`", str(said.get("description") or said.get("summary") or ""))
    for path, methods in sorted(schema["paths"].items())
    for method, said in methods.items()
]
problems = [(f"`{p.slug}`", str(p.status), p.title, p.what_to_do) for p in Problem]
settle(
    "api.md",
    "\n\n".join(
        [
            "# The API",
            "The running service has all of it, with every field, at `/docs` and `/openapi.json`.",
            table(("path", "does"), paths),
            "Besides: `POST /webhooks/stripe`, `POST /webhooks/razorpay`, `/pay/{id}`, `/r/{token}`, `/healthz`, `/readyz`, `/metrics`, `/docs`, `/openapi.json`.",
            "## Problems",
            "Errors are RFC 9457 documents; `code` is the last part of `type` and never changes its meaning.",
            table(("code", "status", "title", "what to do"), problems),
        ]
    ),
)
