"""/docs: all of the API on one page, which asks nobody else for anything."""

import re

import pytest

from counterfoil.domain.errors import Problem
from counterfoil.web.reference import Kind, kind, operations
from service import Service


@pytest.fixture(scope="module")
def page(service: Service) -> str:
    answer = service.get("/docs", key="")
    assert answer.status == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    return answer.body.decode()


def test_every_path_every_field_and_every_problem_is_on_it(service: Service, page: str):
    described = service.get("/openapi.json", key="").json
    for path, methods in described["paths"].items():
        for method in methods:
            assert f'<span class="method">{method.upper()}</span> <code>{path}</code>' in page
    for name, shape in described["components"]["schemas"].items():
        _, _, told = page.partition(f'<article id="{name}">')
        own = told.partition("</article>")[0]
        assert own
        assert [field for field in shape.get("properties", {}) if f"<code>{field}</code>" not in own] == []
    assert [problem.slug for problem in Problem if f"<code>{problem.slug}</code>" not in page] == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ({"content": {"application/json": {"schema": {"$ref": "#/x/Payment"}}}}, Kind("Payment", "Payment")),
        ({"content": {"text/event-stream": {}}}, Kind("text/event-stream")),
        ({"description": "it is gone"}, Kind("nothing")),
    ],
)
def test_an_answer_that_is_no_json_is_told_as_well(answer, said):
    described = {"paths": {"/x": {"delete": {"responses": {"default": {}, "200": answer}}}}}
    [operation] = operations(described)
    assert operation.answer == said


def test_it_needs_no_script_and_no_other_host(page: str):
    assert "<script" not in page
    assert "://" not in page


def test_names_in_its_sentences_are_set_as_code(page: str):
    assert "With <code>payment_method</code> and <code>confirm</code>" in page
    assert "`" not in page


def test_every_link_within_it_leads_somewhere(page: str):
    wanted, there = set(re.findall(r'href="#(\w+)"', page)), set(re.findall(r'id="(\w+)"', page))
    assert wanted
    assert wanted <= there


def test_what_it_loads_is_there(service: Service, page: str):
    for path in re.findall(r'<link[^>]* href="([^"]+)"', page):
        assert service.get(f"/{path}", key="").status == 200
    assert service.get("/openapi.json", key="").status == 200


@pytest.mark.parametrize(
    ("schema", "said"),
    [
        ({"type": "integer"}, Kind("integer")),
        ({"$ref": "#/components/schemas/Customer"}, Kind("Customer", "Customer")),
        ({"anyOf": [{"$ref": "#/x/Failure"}, {"type": "null"}]}, Kind("Failure or null", "Failure")),
        ({"enum": ["automatic", "manual"]}, Kind("automatic or manual")),
        ({"type": "array", "items": {"$ref": "#/x/LineItem"}}, Kind("list of LineItem", "LineItem")),
        ({"const": "payment", "type": "string"}, Kind("payment")),
        ({}, Kind("anything")),
    ],
)
def test_a_kind_is_said_in_words(schema, said):
    assert kind(schema) == said


def test_whoever_only_knows_the_address_is_led_there(service):
    answer = service.get("/", key="")
    assert (answer.status, answer.headers["location"]) == (303, "/docs")
