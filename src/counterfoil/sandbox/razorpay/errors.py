"""What Razorpay answers when it refuses: one shape, and the sentences clients meet.

The body is `{"error": {code, description, source, step, reason, metadata, field?}}`. An unknown id or path is a 400,
not a 404; only wrong keys (401) and idempotency conflicts (409) have statuses of their own.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

from counterfoil.sandbox.calls import Answer, RefusedError

BAD_REQUEST: Final = "BAD_REQUEST_ERROR"
NOT_APPLICABLE: Final = "NA"


def error(
    description: str,
    *,
    status: int = 400,
    code: str = BAD_REQUEST,
    source: str = "business",
    step: str = "payment_initiation",
    reason: str = "input_validation_failed",
    field: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Answer:
    """Razorpay's error object as an answer."""
    facts = {
        "code": code,
        "description": description,
        "source": source,
        "step": step,
        "reason": reason,
        "metadata": dict(metadata or {}),
    }
    return Answer.json({"error": facts if field is None else {**facts, "field": field}}, status)


def plain(description: str, status: int = 400) -> Answer:
    """An error that concerns no payment: its source, step and reason are not applicable."""
    return error(
        description, status=status, source=NOT_APPLICABLE, step=NOT_APPLICABLE, reason=NOT_APPLICABLE
    )


def refused(
    description: str, *, field: str | None = None, reason: str = "input_validation_failed"
) -> RefusedError:
    """A request that is not valid, or not possible as things stand."""
    return RefusedError(error(description, field=field, reason=reason))


def unknown_id() -> RefusedError:
    return refused("The id provided does not exist")


def extra_fields(names: list[str]) -> RefusedError:
    return RefusedError(plain(f"{', '.join(names)} is/are not required and should not be sent"))


def unreadable_body() -> RefusedError:
    return RefusedError(plain("The request body is not a JSON object."))


def authentication_failed() -> RefusedError:
    return RefusedError(plain("Authentication failed", HTTPStatus.UNAUTHORIZED))


def failure(status: int) -> Answer:
    """What comes with a status when nothing more is known."""
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return error(
            "We are facing some trouble completing your request at the moment. Please try again shortly.",
            status=status,
            code="SERVER_ERROR",
            source="internal",
            step=NOT_APPLICABLE,
            reason="server_error",
        )
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return error("Too many requests", status=status)
    if status in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
        return plain("Authentication failed", status)
    return plain("The request could not be carried out.", status)
