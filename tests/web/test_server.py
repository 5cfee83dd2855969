"""The server against clients that are slow, silent, too many, or no HTTP at all."""

import contextlib
import socket
import time
from collections.abc import Iterator

import pytest

from counterfoil.web import server
from counterfoil.web.server import GuardedProtocol, listen
from service import Service

REQUEST = (
    b"POST /api/payments HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 34\r\n"
)
BODY = b'{"amount": 10000,"currency":"USD"}'


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A request must be whole within half a second."""
    monkeypatch.setattr(GuardedProtocol, "receive_s", 0.5)


@pytest.fixture
def client(service: Service) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=5) as one:
        yield one


def closed_after(client: socket.socket) -> float:
    """How long until the server ends the connection, in seconds."""
    started = time.monotonic()
    with contextlib.suppress(ConnectionError):
        while client.recv(65536):
            pass
    return time.monotonic() - started


def dripped(client: socket.socket, text: bytes) -> float:
    """How long the server listens to a byte every twentieth of a second."""
    started = time.monotonic()
    client.settimeout(0.05)
    for byte in text:
        try:
            client.sendall(bytes([byte]))
            if client.recv(1) == b"":
                break
        except TimeoutError:
            continue
        except ConnectionError:
            break
    return time.monotonic() - started


def authorized(service: Service) -> bytes:
    return REQUEST + f"Authorization: Bearer {service.key()}\r\n\r\n".encode()


def test_a_silent_connection_is_ended(impatient, client):
    client.sendall(b"G")
    assert closed_after(client) < 2


def test_headers_that_drip_are_cut(impatient, client):
    assert dripped(client, REQUEST * 10) < 2


def test_a_body_that_drips_is_cut_and_nothing_of_it_is_done(service, impatient, client):
    before = service.rows("SELECT count(*) AS n FROM payments")
    client.sendall(authorized(service))
    assert dripped(client, BODY) < 2
    assert service.rows("SELECT count(*) AS n FROM payments") == before


def test_a_body_that_stalls_is_cut(service, impatient, client):
    client.sendall(authorized(service) + BODY[:10])
    assert closed_after(client) < 2


def test_the_second_request_of_a_connection_has_no_more_time_than_the_first(service, impatient, client):
    client.sendall(authorized(service) + BODY)
    assert client.recv(65536).startswith(b"HTTP/1.1 201")
    client.sendall(authorized(service) + BODY[:10])
    assert closed_after(client) < 2


def test_a_whole_request_may_take_its_time_to_be_answered(service, impatient, client):
    service.sandbox.fault("stripe", "payment_intents.create", "delay", seconds=1.0)
    client.sendall(authorized(service) + BODY)
    assert client.recv(65536).startswith(b"HTTP/1.1 201")


def test_a_request_that_is_whole_in_time_is_answered_however_it_is_cut_up(service, client):
    for start in range(0, len(authorized(service) + BODY), 7):
        client.sendall((authorized(service) + BODY)[start : start + 7])
    assert client.recv(65536).startswith(b"HTTP/1.1 201")


def test_an_idle_connection_is_ended_after_its_time(service, client, monkeypatch):
    client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
    assert client.recv(65536).startswith(b"HTTP/1.1 200")
    client.settimeout(server.KEEP_ALIVE_S + 3)
    assert server.KEEP_ALIVE_S - 1 < closed_after(client) < server.KEEP_ALIVE_S + 3


def test_headers_without_an_end_are_not_gathered(client):
    client.settimeout(5)
    sent = 0
    with contextlib.suppress(ConnectionError):
        client.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: ")
        while sent < 30_000_000:
            sent += client.send(b"a" * 65536)
    assert sent < 10_000_000


@pytest.mark.parametrize(
    "head", [b"X-Long: " + b"a" * 100_000, b"\r\n".join(b"X-%d: a" % n for n in range(20_000))]
)
def test_headers_that_are_too_long_end_the_connection(client, head):
    with contextlib.suppress(ConnectionError):
        client.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n" + head)
        time.sleep(0.2)
        client.sendall(b"\r\n\r\n")
        assert client.recv(65536) == b""


def test_more_connections_than_it_has_room_for_are_ended_at_once(service, monkeypatch):
    open_now = len(service.server.server_state.connections)
    monkeypatch.setattr(GuardedProtocol, "connections_most", open_now + 3)
    address = ("127.0.0.1", int(service.url.rpartition(":")[2]))
    with contextlib.ExitStack() as stack:
        held = [stack.enter_context(socket.create_connection(address, timeout=2)) for _ in range(6)]
        time.sleep(0.2)
        ended = 0
        for one in held:
            one.settimeout(0.2)
            try:
                ended += one.recv(1) == b""
            except TimeoutError:
                continue
            except ConnectionError:
                ended += 1
        assert ended == 3
    service.eventually(lambda: service.get("/healthz", key="").status == 200)


@pytest.mark.parametrize("noise", [b"\x16\x03\x01\x02\x00\x01\x00\x01", b"HELO there\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x00" * 100])  # fmt: skip
def test_what_is_no_http_is_refused_and_ended(service, client, noise):
    client.sendall(noise)
    with contextlib.suppress(ConnectionError):
        assert client.recv(65536)[:12] in {b"HTTP/1.1 400", b""}
    assert closed_after(client) < 2
    assert service.get("/healthz", key="").status == 200


def test_the_server_does_not_say_what_it_is(service):
    assert "server" not in service.get("/healthz", key="").headers


def test_a_port_in_use_is_told_before_anything_starts():
    with listen("127.0.0.1", 0) as bound:
        bound.listen()
        with pytest.raises(OSError, match="in use"):
            listen("127.0.0.1", bound.getsockname()[1])


def test_it_listens_on_ipv6_where_that_is_asked_for():
    with listen("::1", 0) as bound:
        assert bound.family == socket.AF_INET6
