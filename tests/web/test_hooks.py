import asyncio
import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

import builders
from counterfoil.domain.clock import SettableClock
from counterfoil.services.context import House
from counterfoil.services.inbox import ANSWER_S
from counterfoil.web.hooks import BODY_BYTES
from database import Database, Postgres
from outage import line_to
from sandbox_server import Sandbox, eventually, run_sandbox
from service import Answer, Service, call, counterfoil, running_service, serving

DATA = Path(__file__).parents[1] / "data"
STRIPE = json.loads((DATA / "stripe/signatures.json").read_text())
RAZORPAY = [
    case
    for case in json.loads((DATA / "razorpay/signatures.json").read_text())
    if case["kind"] in {"webhook", "webhook_official"}
]
# Which secrets a service is given: the vectors use two for each gateway.
SECRETS = {
    "whsec_test_vector_1": "test_webhook_secret_1",
    "whsec_test_vector_2": "key_secret",
}


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    with run_sandbox() as running:
        yield running


@pytest.fixture(scope="module")
def services(fast_postgres: Postgres, sandbox: Sandbox) -> Iterator[dict[str, Service]]:
    """A service for each pair of secrets, by either of them; its clock stands where a test puts it."""

    def standing(house: House) -> House:
        return replace(house, context=replace(house.context, clock=SettableClock()))

    with ExitStack() as stack:
        found = {}
        for stripe, razorpay in SECRETS.items():
            service = stack.enter_context(
                serving(
                    fast_postgres,
                    sandbox,
                    work=False,
                    change=standing,
                    stripe_webhook_secret=stripe,
                    razorpay_webhook_secret=razorpay,
                )
            )
            found |= {stripe: service, razorpay: service}
        yield found


@pytest.fixture
def service(services: dict[str, Service]) -> Service:
    return services["whsec_test_vector_1"]


def set_clock(service: Service, at: datetime) -> None:
    clock: Any = service.context.clock
    clock.advance(at - clock.now())


def post(service: Service, gateway: str, body: bytes, headers: dict[str, str]) -> Answer:
    return call(service.url, "POST", f"/webhooks/{gateway}", body, headers=headers)


def signed(service: Service, gateway: str, body: bytes) -> dict[str, str]:
    [verifier] = service.context.directory.verifiers(gateway)
    return builders.signed(gateway, body, at=service.context.now(), secret=verifier.secret.decode())


def count(service: Service) -> int:
    return service.rows("SELECT count(*) AS n FROM inbox")[0]["n"]


@pytest.mark.parametrize("case", STRIPE, ids=lambda case: case["name"])
def test_stripe_signatures_are_taken_and_refused_as_listed(
    services: dict[str, Service], case: dict[str, Any]
):
    service, body = services[case["secret"]], case["payload_utf8"].encode()
    set_clock(service, datetime.fromtimestamp(case["verify_at_unix"], UTC))
    before = count(service)
    answer = raw(service, "stripe", body, [(b"stripe-signature", case["header"].encode())])
    taken = case["ours"] == "accept"
    assert answer == (200 if taken else 400)
    stored = service.rows("SELECT count(*) AS n FROM inbox WHERE body = $1", body)[0]["n"]
    assert stored >= taken
    assert count(service) - before <= taken


@pytest.mark.parametrize("case", RAZORPAY, ids=lambda case: case.get("name", case["kind"]))
def test_razorpay_signatures_are_taken_as_listed(services: dict[str, Service], case: dict[str, Any]):
    service = services[case["secret"]]
    body = (
        (DATA / case["file"]).read_bytes()
        if case["kind"] == "webhook_official"
        else case["message_utf8"].encode()
    )
    assert post(service, "razorpay", body, {"x-razorpay-signature": case["signature"]}).status == 200
    assert [bytes(row["body"]) for row in service.rows("SELECT body FROM inbox WHERE body = $1", body)] == [
        body
    ]
    wrong = post(service, "razorpay", body + b" ", {"x-razorpay-signature": case["signature"]})
    assert (wrong.status, wrong.json["code"]) == (400, "signature_refused")


def test_the_answer_comes_after_the_row_is_committed_and_says_nothing(service: Service):
    body = builders.as_sent(builders.event("payout.paid", {"object": "payout"}))
    answer = post(service, "stripe", body, {**signed(service, "stripe", body), "user-agent": "Stripe/1.0"})
    assert (answer.status, answer.body) == (200, b"")
    [row] = service.rows("SELECT headers, status, deliveries FROM inbox WHERE body = $1", body)
    assert row["headers"]["user-agent"] == "Stripe/1.0"
    assert (row["status"], row["deliveries"]) == ("received", 1)


HOSTILE = {
    "none": [],
    "empty": [(b"stripe-signature", b"")],
    "commas": [(b"stripe-signature", b"," * 500)],
    "equals signs": [(b"stripe-signature", b"=" * 500)],
    "two headers": [(b"stripe-signature", b"t=1,v1=00")] * 2,
    "not ASCII": [(b"stripe-signature", "t=1793000000,v1=é".encode())],
    "not UTF-8": [(b"stripe-signature", b"t=1793000000,v1=\xff\xfe\x80")],
    "a time without end": [(b"stripe-signature", b"t=" + b"9" * 4000 + b",v1=00")],
    "a time of other digits": [(b"stripe-signature", "t=१७९३०००००००,v1=00".encode())],
    "a negative time": [(b"stripe-signature", b"t=-1,v1=00")],
    "many signatures": [(b"stripe-signature", b"t=1793000000" + b",v1=00" * 2000)],
    "a NUL": [(b"stripe-signature", b"t=1793000000,v1=\x00")],
    "a header of 60 kB": [(b"stripe-signature", b"x" * 60_000)],
    "percent signs": [(b"stripe-signature", b"%s%n%x")],
}


@pytest.mark.parametrize("name", HOSTILE)
@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
def test_hostile_headers_are_refused_and_break_nothing(service: Service, gateway: str, name: str):
    before = count(service)
    headers = [
        (b"x-razorpay-signature" if gateway == "razorpay" else key, value) for key, value in HOSTILE[name]
    ]
    assert raw(service, gateway, b"{}", headers) == 400
    assert count(service) == before


@pytest.mark.parametrize(
    "body", [b"", b"\x00", b"\xff\xfe", b"[" * 100_000, b'{"id": 1}', b'{"id":"\\u0000"}']
)
@pytest.mark.parametrize("gateway", ["stripe", "razorpay"])
def test_rightly_signed_bytes_are_stored_whatever_they_are(service: Service, gateway: str, body: bytes):
    assert post(service, gateway, body, signed(service, gateway, body)).status == 200
    found = service.rows("SELECT status FROM inbox WHERE body = $1 AND gateway = $2", body, gateway)
    assert found == [{"status": "received"}]


def test_a_body_may_be_a_megabyte_and_no_more(service: Service):
    for size, status in ((500_000, 200), (BODY_BYTES, 200), (BODY_BYTES + 1, 400), (2 * BODY_BYTES, 400)):
        body = b'{"id": "evt_large"' + b" " * (size - 19) + b"}"
        assert len(body) == size
        answer = post(service, "stripe", body, signed(service, "stripe", body))
        assert answer.status == status, answer


def test_a_body_sent_in_chunks_is_counted_as_it_comes(service: Service):
    connection = socket.create_connection(("127.0.0.1", urlsplit(service.url).port or 0), timeout=20)
    with connection:
        connection.sendall(b"POST /webhooks/stripe HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
        sent = 0
        while sent <= 2 * BODY_BYTES and not _answered(connection):
            connection.sendall(piece)
            sent += 0x10000
        assert _status(connection) == 400


def _answered(connection: socket.socket) -> bool:
    connection.setblocking(False)
    try:
        return bool(connection.recv(1, socket.MSG_PEEK))
    except BlockingIOError:
        return False
    finally:
        connection.settimeout(20)


def raw(service: Service, gateway: str, body: bytes, headers: list[tuple[bytes, bytes]]) -> int:
    """The status of a request whose headers are sent byte for byte."""
    lines = [b"POST /webhooks/%s HTTP/1.1" % gateway.encode(), b"host: x", b"connection: close"]
    lines += [name + b": " + value for name, value in headers]
    lines += [b"content-length: %d" % len(body), b"", body]
    with socket.create_connection(("127.0.0.1", urlsplit(service.url).port or 0), timeout=20) as connection:
        connection.sendall(b"\r\n".join(lines))
        return _status(connection)


def _status(connection: socket.socket) -> int:
    return int(connection.recv(64).split()[1])


def test_a_webhook_address_takes_nothing_but_posts(service: Service):
    for method in ("GET", "PUT", "DELETE", "OPTIONS"):
        answer = call(service.url, method, "/webhooks/stripe")
        assert (answer.status, answer.json["code"]) == (405, "method_not_allowed")


def test_a_head_is_told_the_same_without_a_body(service: Service):
    answer = call(service.url, "HEAD", "/webhooks/stripe")
    assert (answer.status, answer.headers["content-type"], answer.body) == (
        405,
        "application/problem+json",
        b"",
    )
    assert answer.headers["allow"] == "POST"


@pytest.mark.parametrize(
    "path",
    [
        "/webhooks/stripe/",
        "/webhooks/stripe/more",
        "/webhooks//stripe",
        "/webhooks/Stripe",
        "/webhooks/paypal",
        "/webhooks/",
        "/webhooks",
        "/webhooks/stripe%00",
        "/api/webhooks/stripe",
    ],
)
def test_what_is_sent_to_any_other_address_is_not_found_and_not_stored(service: Service, path: str):
    body, before = builders.as_sent(builders.event("payout.paid", {"object": "payout"})), count(service)
    answer = call(service.url, "POST", path, body, headers=signed(service, "stripe", body))
    assert (answer.status, answer.json["code"]) == (404, "not_found")
    assert count(service) == before


def test_a_query_after_the_address_is_nothing_to_the_inbox(service: Service):
    body = builders.as_sent(builders.event("payout.paid", {"object": "payout"}))
    answer = call(
        service.url, "POST", "/webhooks/stripe?shop=1", body, headers=signed(service, "stripe", body)
    )
    assert answer.status == 200


def test_what_came_of_each_is_counted(service: Service):
    body = builders.as_sent(builders.event("payout.paid", {"object": "payout"}))
    before = _webhooks(service)
    post(service, "stripe", body, signed(service, "stripe", body))
    post(service, "stripe", body, {"stripe-signature": "t=1,v1=00"})
    after = _webhooks(service)
    grown = {name: after[name] - before.get(name, 0) for name in after if after[name] != before.get(name, 0)}
    assert grown == {"stored": 1, "signature_refused": 1}


def _webhooks(service: Service) -> dict[str, int]:
    """Results of Stripe's webhooks so far."""
    page = call(service.url, "GET", "/metrics").body.decode()
    lines = [
        line for line in page.splitlines() if line.startswith('counterfoil_webhooks_total{gateway="stripe"')
    ]
    return {line.split('result="')[1].split('"')[0]: int(float(line.split()[-1])) for line in lines}


class Gate:
    """Holds commits while it is shut."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.reached = threading.Event()

    async def __call__(self, moment: str) -> None:
        if moment == "before commit" and not self.open.is_set():
            self.reached.set()
            while not self.open.is_set():
                await asyncio.sleep(0.01)


@pytest.mark.parametrize("held_s", [0.5, ANSWER_S + 0.5])
def test_no_200_is_seen_before_the_commit(database: Database, sandbox: Sandbox, held_s: float):
    gate = Gate()
    with (
        running_service(
            database.app_url, sandbox=sandbox, work=False, on_commit=gate, clock_url=None
        ) as service,
        ThreadPoolExecutor(1) as elsewhere,
    ):
        body = builders.as_sent(builders.event("payout.paid", {"object": "payout"}))
        headers = signed(service, "stripe", body)
        gate.open.clear()
        answer = elsewhere.submit(post, service, "stripe", body, headers)
        assert gate.reached.wait(5)
        time.sleep(held_s)
        assert answer.done() is (held_s > ANSWER_S)
        assert count(service) == 0
        gate.open.set()
        assert answer.result(5).status == (503 if held_s > ANSWER_S else 200)
        eventually(lambda: count(service) == 1)
        assert post(service, "stripe", body, headers).status == 200
        assert service.rows("SELECT deliveries FROM inbox") == [{"deliveries": 2}]


def test_a_database_that_is_away_is_answered_503_and_nothing_is_lost(database: Database, sandbox: Sandbox):
    with (
        line_to(database.app_url) as (line, url),
        running_service(url, sandbox=sandbox, work=False, clock_url=None) as service,
        ThreadPoolExecutor(8) as elsewhere,
    ):
        bodies = [builders.as_sent(builders.event("payout.paid", {"n": n})) for n in range(8)]

        def send(body: bytes) -> tuple[Answer, float]:
            started = time.monotonic()
            return post(service, "stripe", body, signed(service, "stripe", body)), time.monotonic() - started

        for outage in (line.cut, line.hold):
            outage()
            for answer, took_s in elsewhere.map(send, bodies):
                assert (answer.status, answer.json["code"]) == (503, "database_away")
                assert answer.headers["retry-after"] == "1"
                assert took_s < ANSWER_S + 0.5
            line.mend()
        for body in bodies:
            eventually(lambda body=body: send(body)[0].status == 200)
        kept = {bytes(row["body"]) for row in service.rows("SELECT body FROM inbox")}
        assert kept == set(bodies)


@pytest.mark.parametrize("secret", ["", "   "])
@pytest.mark.parametrize("gateway", ["STRIPE", "RAZORPAY"])
def test_an_empty_webhook_secret_is_refused_at_the_start(gateway: str, secret: str, tmp_path: Path):
    keys = {f"COUNTERFOIL_{name.upper()}": value for name, value in builders.KEYS.items()}
    keys[f"COUNTERFOIL_{gateway}_WEBHOOK_SECRET"] = secret
    ended = subprocess.run(
        counterfoil("serve", "--port", "0", "--data", str(tmp_path)),
        env={**os.environ, **keys},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert ended.returncode == 1
    assert f"COUNTERFOIL_{gateway}_WEBHOOK_SECRET is set but empty" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert list(tmp_path.iterdir()) == []
