"""What every request must keep to, and what every answer carries."""

import http.client
import re
from typing import Any
from urllib.parse import urlsplit

import pytest

from counterfoil.domain.errors import TooLargeError
from counterfoil.services import payments
from counterfoil.web.limits import BODY_BYTES, Limits
from service import Answer, Service

SAFE = {"x-content-type-options": "nosniff", "cache-control": "no-store", "referrer-policy": "no-referrer"}


def is_marked(answer: Answer) -> bool:
    marks = {name: answer.headers.get(name) for name in SAFE}
    return marks == SAFE and re.fullmatch("[0-9a-f]{16}", answer.headers["x-request-id"]) is not None


def test_every_answer_is_marked_whatever_it_says(service):
    made = service.post("/api/payments", {"amount": 100, "currency": "USD"})
    answers = [
        made,
        service.get("/healthz", key=""),
        service.get("/nothing", key=""),
        service.get("/api/payments", key=""),
        service.post("/api/payments", b"{"),
        service.post("/api/payments", b"x" * (BODY_BYTES + 1)),
        service.call("DELETE", "/api/payments"),
        service.post("/webhooks/stripe", b"{}"),
    ]
    assert [answer.status for answer in answers] == [201, 200, 404, 401, 400, 413, 405, 400]
    assert all(map(is_marked, answers))
    assert len({answer.headers["x-request-id"] for answer in answers}) == len(answers)


def test_an_answer_that_failed_inside_is_marked_too_and_names_itself(service, monkeypatch):
    async def breaks(*_: object, **__: object) -> None:
        raise RuntimeError("the inside of the service")

    monkeypatch.setattr(payments, "page", breaks)
    answer = service.get("/api/payments")
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert is_marked(answer)
    assert answer.json["instance"] == answer.headers["x-request-id"]
    assert "inside" not in answer.body.decode()


def body_of(size: int) -> bytes:
    return b'{"amount": 100, "currency": "USD", "description": "' + b"x" * (size - 54) + b'"}'


def test_a_body_may_be_as_large_as_the_limit_and_no_larger(service):
    assert (
        service.post("/api/payments", body_of(BODY_BYTES)).status == 422
    )  # read, and the description is too long
    answer = service.post("/api/payments", body_of(BODY_BYTES + 2))
    assert (answer.status, answer.json["code"], answer.json["limit"]) == (413, "too_large", BODY_BYTES)


@pytest.mark.parametrize("path", ["/api/payments", "/api/payments/pmt_01m82q4mexgp9s3vb3tax4n4pn/confirm"])
def test_a_body_in_chunks_is_counted_as_it_comes(service: Service, path):
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=5)
    headers = {"authorization": f"Bearer {service.key()}", "content-type": "application/json"}
    try:
        connection.request("POST", path, (b"x" * 65_536 for _ in range(8)), headers, encode_chunked=True)
        assert connection.getresponse().status == 413
    finally:
        connection.close()


@pytest.mark.parametrize("error", [TooLargeError("too large"), RuntimeError("broken")])
async def test_an_answer_that_has_begun_is_broken_off_and_not_begun_again(error):
    """Whoever reads it must see that it is not whole."""
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        raise error

    async def send(message: Any) -> None:
        sent.append(message)

    with pytest.raises(type(error)):
        await Limits(app)({"type": "http", "path": "/"}, None, send)
    assert [message["type"] for message in sent] == ["http.response.start"]


async def test_a_header_that_a_route_has_set_stands():
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        await send(
            {"type": "http.response.start", "status": 200, "headers": [(b"Cache-Control", b"max-age=9")]}
        )

    async def send(message: Any) -> None:
        sent.append(message)

    await Limits(app)({"type": "http", "path": "/"}, None, send)
    values = [value for name, value in sent[0]["headers"] if name.lower() == b"cache-control"]
    assert values == [b"max-age=9"]


async def test_a_route_that_reads_by_itself_is_stopped_at_the_limit_too():
    sent: list[Any] = []

    async def app(_scope: Any, receive: Any, _send: Any) -> None:
        while True:
            await receive()

    async def receive() -> Any:
        return {"type": "http.request", "body": b"x" * 65_536, "more_body": True}

    async def send(message: Any) -> None:
        sent.append(message)

    await Limits(app)({"type": "http", "path": "/"}, receive, send)
    assert sent[0]["status"] == 413
    assert (b"x-content-type-options", b"nosniff") in sent[0]["headers"]
