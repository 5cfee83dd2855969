"""The courier: where it will not go, whatever the name says and whenever it says it."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from counterfoil import courier as module
from counterfoil.courier import Courier
from counterfoil.domain.boundary import NetworkInsideTransactionError, transaction_open
from counterfoil.domain.errors import InvalidRequestError
from gateways.scripted import self_signed
from receiver import Receiver, receiving

Make = Callable[..., Courier]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    made: list[Courier] = []

    def making(**options: Any) -> Courier:
        made.append(Courier(**{"allow_loopback": True, **options}))
        return made[-1]

    yield making
    for one in made:
        await one.close()


@pytest.fixture
async def shop() -> AsyncIterator[Receiver]:
    async with receiving() as backend:
        yield backend


def names(*answers: str | list[str]) -> Callable[[str], Awaitable[list[str]]]:
    """A resolver that answers these in turn, the last one for ever."""
    left = list(answers)

    async def resolve(_: str) -> list[str]:
        answer = left.pop(0) if len(left) > 1 else left[0]
        return [answer] if isinstance(answer, str) else answer

    return resolve


async def test_what_is_sent_arrives_and_its_answer_comes_back(make: Make, shop: Receiver):
    reply = await make().post(shop.url, "sandbox", {"x-mark": "1"}, b"{}")
    assert (reply.status, reply.error) == (200, None)
    assert (shop.got[0].headers["x-mark"], shop.got[0].body) == ("1", b"{}")
    assert shop.got[0].headers["user-agent"] == "counterfoil"


async def test_a_name_that_turns_to_this_machine_after_the_check_gains_nothing(make: Make, shop: Receiver):
    """DNS rebinding: public at saving, private at sending."""
    courier = make(allow_loopback=False, resolve=names("8.8.8.8", "127.0.0.1"))
    url = f"http://shop.example:{shop.port}/"
    await courier.check(url, "sandbox")
    reply = await courier.post(url, "sandbox", {}, b"")
    assert reply.status is None
    assert reply.error == "shop.example is at 127.0.0.1, which is no public address (loopback)"
    assert shop.got == []


async def test_the_connection_is_made_to_the_address_that_was_checked(make: Make, shop: Receiver):
    """The name is asked once for a sending: there is no second answer to be fooled by."""
    asked = []

    async def resolve(host: str) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    reply = await make(resolve=resolve).post(f"http://shop.example:{shop.port}/", "sandbox", {}, b"")
    assert reply.status == 200
    assert asked == ["shop.example"]
    assert shop.got[0].headers["host"] == f"shop.example:{shop.port}"


async def test_each_sending_asks_anew(make: Make, shop: Receiver):
    courier = make(resolve=names("127.0.0.1", "10.0.0.1"))
    url = f"http://shop.example:{shop.port}/"
    assert (await courier.post(url, "sandbox", {}, b"")).status == 200
    assert "10.0.0.1" in ((await courier.post(url, "sandbox", {}, b"")).error or "")
    assert len(shop.got) == 1


async def test_one_bad_address_among_good_ones_is_enough(make: Make):
    courier = make(allow_loopback=False, resolve=names(["8.8.8.8", "10.0.0.1"]))
    with pytest.raises(InvalidRequestError, match=r"10\.0\.0\.1"):
        await courier.check("https://shop.example/", "live")
    assert "10.0.0.1" in ((await courier.post("https://shop.example/", "live", {}, b"")).error or "")


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "2130706433", "127.1", "0x7f.1", "0177.0.0.1", "localhost"]
)
async def test_no_spelling_of_this_machine_is_let_through(make: Make, shop: Receiver, host: str):
    courier, url = make(allow_loopback=False), f"http://{host}:{shop.port}/"
    with pytest.raises(InvalidRequestError):
        await courier.check(url, "sandbox")
    reply = await courier.post(url, "sandbox", {}, b"")
    assert reply.status is None
    assert shop.got == []


@pytest.mark.parametrize(
    "host",
    ["10.0.0.1", "169.254.169.254", "[::ffff:127.0.0.1]", "[64:ff9b::7f00:1]", "[fe80::1]", "100.64.0.1"],
)
async def test_an_address_in_the_url_is_looked_at_as_the_socket_is_made(make: Make, host: str):
    reply = await make().post(f"http://{host}:9000/", "sandbox", {}, b"")
    assert "no public address" in (reply.error or "")


async def test_loopback_is_for_the_sandbox_even_where_it_is_allowed(make: Make, shop: Receiver):
    courier = make(resolve=names("127.0.0.1"))
    await courier.check(f"https://shop.example:{shop.port}/", "sandbox")
    with pytest.raises(InvalidRequestError, match="loopback"):
        await courier.check(f"https://shop.example:{shop.port}/", "live")


async def test_a_name_that_is_unknown_or_answers_too_late_is_told(
    make: Make, monkeypatch: pytest.MonkeyPatch
):
    async def unknown(_: str) -> list[str]:
        raise socket.gaierror

    async def late(_: str) -> list[str]:
        await asyncio.sleep(60)
        return []

    monkeypatch.setattr(module, "RESOLVE_S", 0.05)
    for resolve in (unknown, late):
        with pytest.raises(InvalidRequestError, match="cannot be resolved"):
            await make(resolve=resolve).check("https://shop.example/", "live")
    assert (await make(resolve=unknown).post("https://shop.example/", "live", {}, b"")).status is None


async def test_no_proxy_of_the_environment_is_used(
    make: Make, shop: Receiver, monkeypatch: pytest.MonkeyPatch
):
    async with receiving() as proxy:
        for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
            monkeypatch.setitem(os.environ, name, proxy.url)
        assert (await make().post(shop.url, "sandbox", {}, b"")).status == 200
        assert proxy.got == []


async def test_no_answer_at_all_is_told_without_what_the_peer_said(make: Make, shop: Receiver):
    async def rubbish(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 two hundred whsec_counterfoil\r\n\r\n")
        await writer.drain()

    shop.say = rubbish
    reply = await make().post(shop.url, "sandbox", {}, b"")
    assert (reply.status, reply.answer) == (None, "")
    assert "whsec" not in (reply.error or "")
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    assert (await make().post(f"http://127.0.0.1:{port}/", "sandbox", {}, b"")).error


async def test_nothing_is_sent_while_a_transaction_is_open(make: Make, shop: Receiver):
    with transaction_open(), pytest.raises(NetworkInsideTransactionError):
        await make().post(shop.url, "sandbox", {}, b"")


async def test_tls_is_for_the_name_in_the_url_and_is_verified(make: Make, tmp_path: Path):
    called, certificate = [], self_signed(tmp_path)
    certificate.sni_callback = lambda _socket, name, _context: called.append(name)
    async with receiving(ssl=certificate) as shop:
        url = f"https://shop.example:{shop.port}/"
        reply = await make(resolve=names("127.0.0.1")).post(url, "sandbox", {}, b"{}")
        assert called == ["shop.example"]
        assert reply.status is None
        assert "Certificate" in (reply.error or "")
        assert shop.got == []


async def test_a_url_that_would_not_be_saved_is_not_sent_to_either(make: Make, shop: Receiver):
    """What is stored may be older than a rule."""
    reply = await make().post(shop.url, "live", {}, b"")
    assert (reply.status, reply.error) == (
        None,
        "url must begin with https://; plain http is for sandbox mode.",
    )
    assert shop.got == []
