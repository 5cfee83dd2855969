import re

import pytest

from counterfoil.domain import errors
from counterfoil.domain.errors import CounterfoilError, Problem

# How each error is made, with facts as they occur.
MADE: dict[str, CounterfoilError] = {
    "CounterfoilError": errors.CounterfoilError("Something went wrong."),
    "InvalidRequestError": errors.InvalidRequestError("amount is missing.", field="amount"),
    "BatchFaultyError": errors.BatchFaultyError([(2, "reason is missing"), (3, "the same")], told=1),
    "MalformedRequestError": errors.MalformedRequestError("That is no JSON."),
    "AmountNotValidError": errors.AmountNotValidError("amount must be between 1 and 2.", field="amount"),
    "CardNumberRefusedError": errors.CardNumberRefusedError("customer.name"),
    "NotAuthenticatedError": errors.NotAuthenticatedError("The key is not known."),
    "NotPermittedError": errors.NotPermittedError(needs="admin", has="viewer"),
    "NotFoundError": errors.NotFoundError("payment", "pmt_1"),
    "NotAcceptableError": errors.NotAcceptableError("This can be had as json, csv."),
    "GoneError": errors.GoneError("The file was kept until yesterday."),
    "WrongStateError": errors.WrongStateError(command="capture", state="failed"),
    "RefundRefusedError": errors.RefundRefusedError("Nothing is left to refund.", refundable=0),
    "RefundLimitError": errors.RefundLimitError("A refund by the role support may be 20.00 USD at most."),
    "OwnRequestError": errors.OwnRequestError("Who asks for a refund does not approve it."),
    "NotSupportedError": errors.NotSupportedError("razorpay cannot cancel.", gateway="razorpay"),
    "NoGatewayError": errors.NoGatewayError("No gateway can take it."),
    "GatewayAwayError": errors.GatewayAwayError("No gateway answers now."),
    "IdempotencyMismatchError": errors.IdempotencyMismatchError(),
    "IdempotencyInFlightError": errors.IdempotencyInFlightError(),
    "SignatureRefusedError": errors.SignatureRefusedError("No signature matches."),
    "TooLargeError": errors.TooLargeError("The body is too large.", limit=1),
    "TooSlowError": errors.TooSlowError("The body did not arrive."),
    "RateLimitedError": errors.RateLimitedError("Ten a second are allowed."),
    "DatabaseAwayError": errors.DatabaseAwayError("The database cannot be reached."),
    "DocumentsAwayError": errors.DocumentsAwayError("No space left on device"),
    "SigningAwayError": errors.SigningAwayError(),
    "ConfigurationError": errors.ConfigurationError("COUNTERFOIL_MODE is missing."),
}


def tree(root: type[CounterfoilError] = CounterfoilError) -> set[type[CounterfoilError]]:
    """The class and everything under it that this module defines."""
    below = {leaf for child in root.__subclasses__() for leaf in tree(child)}
    return {root, *(cls for cls in below if cls.__module__ == errors.__name__)}


def test_every_error_of_the_tree_is_looked_at_here():
    assert {cls.__name__ for cls in tree()} == set(MADE)


@pytest.mark.parametrize("name", MADE)
def test_every_error_has_a_problem_and_writes_its_own_sentence(name: str):
    error = MADE[name]
    assert isinstance(error.problem, Problem)
    assert str(error) == error.detail
    assert error.detail.endswith(".")
    assert error.detail[0].isupper() or error.detail.split()[0] in {"amount", "customer.name", "razorpay"}
    assert all(isinstance(fact, str | int | bool | list | None) for fact in error.facts.values())


def test_the_tree_at_the_top_of_the_file_names_every_error():
    drawn = set(re.findall(r"\w+Error", errors.__doc__ or ""))
    assert drawn == set(MADE)


def test_only_what_is_about_the_start_or_us_alone_has_no_problem_of_its_own():
    own = {name for name, error in MADE.items() if error.problem is Problem.INTERNAL}
    assert own == {"CounterfoilError", "ConfigurationError"}


def test_slugs_are_unique_and_every_problem_says_what_to_do():
    assert len({problem.slug for problem in Problem}) == len(Problem) == len(list(Problem.__members__))
    for problem in Problem:
        assert problem.name.lower() == problem.slug
        assert 400 <= problem.status < 600
        assert problem.title[0].isupper()
        assert not problem.title.endswith(".")
        assert problem.what_to_do.endswith(".")


# Published slugs and their statuses: they never change.
PUBLISHED = {
    "invalid_request": 422, "malformed_request": 400, "pan_not_allowed": 400, "not_authenticated": 401,
    "not_permitted": 403, "not_found": 404, "method_not_allowed": 405, "wrong_state": 409,
    "idempotency_in_flight": 409, "idempotency_mismatch": 422, "not_supported_by_gateway": 422, "no_gateway": 422,
    "signature_refused": 400, "too_large": 413, "too_slow": 408, "rate_limited": 429, "database_away": 503,
    "internal": 500,
}  # fmt: skip


def test_a_published_problem_keeps_its_status():
    assert {problem.slug: problem.status for problem in Problem if problem.slug in PUBLISHED} == PUBLISHED


def test_errors_tell_their_facts_and_never_a_card_number():
    assert MADE["NotPermittedError"].facts == {"needs": "admin", "has": "viewer"}
    assert MADE["InvalidRequestError"].facts == {"field": "amount"}
    assert errors.InvalidRequestError("x.").facts == {}
    assert (
        MADE["CardNumberRefusedError"].detail == "customer.name looks like a card number; it was not stored."
    )
    because = errors.WrongStateError(command="capture", state="failed", because="it is over")
    assert because.detail == "Cannot capture while the state is failed: it is over."
    assert because.facts == {"command": "capture", "state": "failed"}
