"""What Razorpay's HTTP answers mean: one of the four outcomes, by status and by what the body says of itself. Pure.

    200                       Accepted, unless it cannot be read or speaks of something else than was asked
    400, 401, 403, 404, 429   Refused: Razorpay did not execute it; an unknown id is a 400 here
    409                       Refused where the key was used with another body; else Unknown: it is still at work
    anything else             Unknown

A decline never comes this way: the customer pays in Razorpay's own checkout, and payments tell what became of it.
"""

from collections.abc import Callable
from dataclasses import replace
from http import HTTPStatus
from typing import Final

from counterfoil.domain.call import Verb
from counterfoil.domain.failure import FailureCode
from counterfoil.gateways.base import KEY_CONFLICT, Outcome, Refused, Unknown, UnreadableEventError
from counterfoil.gateways.http import Answer, Judge, retry_after_s
from counterfoil.gateways.razorpay import failures
from counterfoil.gateways.razorpay.shapes import Complaint, ErrorBody
from counterfoil.gateways.wire import decode, plain

_REFUSED: Final = frozenset({400, 401, 403, 404, 429})
_BY_STATUS: Final = {
    HTTPStatus.UNAUTHORIZED: FailureCode.MERCHANT_SETUP,
    HTTPStatus.FORBIDDEN: FailureCode.MERCHANT_SETUP,
    HTTPStatus.TOO_MANY_REQUESTS: FailureCode.GATEWAY_UNAVAILABLE,
}
# Only the sentence tells a second capture from any other bad one (gateways 2.3).
_ALREADY_CAPTURED: Final = "already been captured"
# And only the sentence tells the two conflicts of a refund's key apart (gateways 2.4).
_ANOTHER_BODY: Final = "different request"
_SAYS_NOTHING: Final = "NA"


def judge(read: Callable[[bytes], Outcome], verb: Verb | None = None) -> Judge:
    """The reading of a call's answers; `read` takes the body of a 200 and may raise UnreadableEventError."""

    def judged(answer: Answer) -> Outcome:
        if answer.status == HTTPStatus.OK:
            try:
                return read(answer.body)
            except UnreadableEventError as error:
                return _unknown(answer, f"Razorpay's answer cannot be relied on: {error}")
        complaint = _complaint(answer)
        if answer.status in _REFUSED:
            return _refused(answer, complaint, verb)
        if answer.status == HTTPStatus.CONFLICT and _ANOTHER_BODY in (complaint.description or "").lower():
            return replace(_refused(answer, complaint, verb), gateway_code=KEY_CONFLICT)
        return _unknown(answer, f"Razorpay answered {answer.status}: {plain(complaint.description or '')}")

    return judged


def _unknown(answer: Answer, message: str) -> Unknown:
    return Unknown(message=message, status=answer.status, raw=answer.body)


def _refused(answer: Answer, complaint: Complaint, verb: Verb | None) -> Refused:
    reason = None if complaint.reason == _SAYS_NOTHING else complaint.reason
    description = complaint.description or f"Razorpay answered {answer.status}"
    why = failures.of_refusal(reason, description) if verb is Verb.REFUND else failures.of_error(reason)
    code = _BY_STATUS.get(HTTPStatus(answer.status)) or why
    return Refused(
        code=code,
        gateway_code=plain(reason or complaint.code or f"http_{answer.status}"),
        message=plain(description),
        status=answer.status,
        retry_after_s=retry_after_s(answer),
        already=_already(code, verb) or _ALREADY_CAPTURED in description,
        raw=answer.body,
    )


def _already(code: FailureCode, verb: Verb | None) -> bool:
    """Whether a refund may have been made before; the one with our id was, if Razorpay has one."""
    return code is FailureCode.ALREADY_REFUNDED or (verb is Verb.REFUND and code is FailureCode.DUPLICATE)


def _complaint(answer: Answer) -> Complaint:
    """What an error body complains of. A proxy's page in its place says no more than its status did."""
    try:
        return decode(answer.body, ErrorBody).error
    except UnreadableEventError:
        return Complaint()
