"""Problem documents: one form for every error, and nothing of a secret said back."""

import pytest

from counterfoil.domain import errors
from counterfoil.domain.errors import CounterfoilError, Problem
from counterfoil.web import problems


@pytest.mark.parametrize("problem", Problem)
def test_every_problem_has_its_document(problem):
    document = problems.document(problem, "It is so.", field="amount")
    assert document == {
        "type": f"https://counterfoil.dev/problems/{problem.slug}",
        "code": problem.slug,
        "title": problem.title,
        "status": problem.status,
        "detail": "It is so.",
        "what_to_do": problem.what_to_do,
        "field": "amount",
    }


@pytest.mark.parametrize("problem", Problem)
def test_every_problem_is_answered_with_its_status_and_what_http_wants_beside_it(problem):
    answer = problems.response(problem, "It is so.")
    assert answer.status_code == problem.status
    assert answer.media_type == "application/problem+json"
    waits = {
        Problem.DATABASE_AWAY: "1",
        Problem.IDEMPOTENCY_IN_FLIGHT: "1",
        Problem.GATEWAY_AWAY: "30",
        Problem.DOCUMENTS_AWAY: "30",
    }
    assert answer.headers.get("retry-after") == waits.get(problem)
    assert answer.headers.get("www-authenticate") == ("Bearer" if problem.status == 401 else None)


def test_every_error_of_ours_has_a_problem_of_its_own_or_its_parents():
    classes = [
        one for one in vars(errors).values() if isinstance(one, type) and issubclass(one, CounterfoilError)
    ]
    assert len(classes) > 15
    assert all(isinstance(one.problem, Problem) for one in classes)


@pytest.mark.parametrize(
    "secret", ["sk_live_counterfoil0123", "4242424242424242", "4242 4242 4242 4242", "cf_live_abcdef123"]
)
def test_what_was_sent_in_the_wrong_place_is_not_said_back(service, secret):
    for path in (f"/api/payments/{secret}", f"/{secret}", f"/api/payments/webhooks/{secret}"):
        answer = service.get(path.replace(" ", "%20"))
        assert answer.status == 404
        assert secret not in answer.body.decode()


def test_a_method_that_is_not_taken_is_told_which_are(service):
    answer = service.call("PUT", "/api/payments")
    assert (answer.status, answer.json["code"]) == (405, "method_not_allowed")
    assert answer.headers["allow"]


def test_of_several_faults_all_are_named_and_the_first_is_the_sentence(service):
    answer = service.post("/api/payments", {"amount": 0, "currency": "dollars", "colour": "red"}).json
    assert [wrong["field"] for wrong in answer["errors"]] == ["amount", "currency", "colour"]
    assert answer["detail"].startswith("amount: ")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ({"amount": 100}, "currency: this is needed."),
        ({"amount": 100, "currency": "USD", "colour": "red"}, "colour: there is no such field."),
        (
            {"amount": 100, "currency": "USD", "confirm": True},
            "the body: confirm needs payment_method or confirmation_token.",
        ),
    ],
)
def test_a_fault_is_told_in_our_own_words(service, body, told):
    answer = service.post("/api/payments", body).json
    assert answer["detail"] == told
    assert answer["errors"][0]["problem"] == told.partition(": ")[2].rstrip(".")
