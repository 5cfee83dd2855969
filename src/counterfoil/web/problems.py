"""Errors as RFC 9457 problem documents: a stable type, a sentence a person understands, and what to do."""

from typing import Any, Final

import structlog
from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Scope

from counterfoil.domain.errors import CounterfoilError, Problem
from counterfoil.log import scrub

TYPE: Final = "https://counterfoil.dev/problems/"
MEDIA_TYPE: Final = "application/problem+json"
_BY_STATUS: Final = {
    401: Problem.NOT_AUTHENTICATED,
    403: Problem.NOT_PERMITTED,
    404: Problem.NOT_FOUND,
    405: Problem.METHOD_NOT_ALLOWED,
    413: Problem.TOO_LARGE,
}
# A breaker lets a payment try again after half a minute at first; memory and processes come back as soon, a disk by hand.
_RETRY_AFTER_S: Final = {
    Problem.DATABASE_AWAY: "1",
    Problem.IDEMPOTENCY_IN_FLIGHT: "1",
    Problem.GATEWAY_AWAY: "30",
    Problem.DOCUMENTS_AWAY: "30",
}
_FAULTS: Final = {"missing": "this is needed", "extra_forbidden": "there is no such field"}

log = structlog.get_logger()


def document(problem: Problem, detail: str, **facts: Any) -> dict[str, Any]:
    """The problem as JSON. What a caller sent in the wrong place (a key, a card number) is not said back."""
    return {
        "type": TYPE + problem.slug,
        "code": problem.slug,
        "title": problem.title,
        "status": problem.status,
        "detail": scrub(detail),
        "what_to_do": problem.what_to_do,
        **facts,
    }


def response(problem: Problem, detail: str, **facts: Any) -> Response:
    headers = {"Retry-After": _RETRY_AFTER_S[problem]} if problem in _RETRY_AFTER_S else {}
    if problem is Problem.NOT_AUTHENTICATED:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse(
        document(problem, detail, **facts), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers
    )


def of_error(error: CounterfoilError) -> Response:
    return response(error.problem, error.detail, **error.facts)


def install(app: FastAPI) -> None:
    """Make the errors that routes raise problem documents; web/limits.py does so with what nobody expected."""
    app.add_exception_handler(CounterfoilError, _ours)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)


async def _ours(_request: Request, error: Exception) -> Response:
    assert isinstance(error, CounterfoilError)  # noqa: S101  registered for this class alone
    return of_error(error)


async def _invalid(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101  registered for this class alone
    wrong = [
        {"field": _place(item["loc"]), "problem": _fault(item["type"], item["msg"])}
        for item in error.errors()
    ]
    first = wrong[0]
    return response(Problem.INVALID_REQUEST, f"{first['field']}: {first['problem']}.", errors=wrong)


def _fault(kind: str, said: str) -> str:
    """What is wrong there, in our words where pydantic speaks of its own."""
    return _FAULTS.get(kind) or said.removeprefix("Value error, ")


def _place(loc: tuple[Any, ...]) -> str:
    """Where in the request, as a person writes it: customer.email, line_items.0.amount."""
    return (
        ".".join(str(part) for part in loc if part not in {"body", "query", "path", "header"}) or "the body"
    )


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101  registered for this class alone
    if isinstance(error.__cause__, CounterfoilError):  # FastAPI wraps what is raised while a body is read
        return of_error(error.__cause__)
    problem = _BY_STATUS.get(error.status_code, Problem.MALFORMED_REQUEST)
    told = response(problem, f"{request.method} {request.url.path}: {problem.title.lower()}.")
    told.headers.update(error.headers or {})
    return told


def of_unexpected(scope: Scope, error: Exception) -> Response:
    """The sentence tells nothing of the inside; the log line does, under the same instance id."""
    instance = scope["counterfoil.request_id"]
    log.error("request failed", path=scope["path"], instance=instance, exc_info=error)
    return response(Problem.INTERNAL, "The request was not carried out as it should.", instance=instance)
