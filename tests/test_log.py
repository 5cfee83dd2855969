"""No secret and no card number survives on its way into a log line."""

import json
import logging
import subprocess
import sys
from collections.abc import Callable
from time import process_time
from typing import Any

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from counterfoil import log
from counterfoil.log import scrub

WORD = st.text("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", min_size=12, max_size=60)
KEYS = st.builds(
    "{}{}".format,
    st.sampled_from(
        [
            "sk_test_", "sk_live_", "rk_test_", "rk_live_", "whsec_", "cf_sandbox_", "cf_live_",
            "rzp_test_", "rzp_live_", "pi_3abc_secret_", "seti_1abc_secret_",
        ]
    ),
    WORD,
)  # fmt: skip
# How a key may stand in a line.
PLACES: list[Callable[[str], str]] = [
    "{}".format,
    "the key {} was refused".format,
    "'{}',".format,
    '{{"key": "{}"}}'.format,
    "https://api.example/v1?key={}&page=2".format,
    "Authorization: Bearer {}".format,
    "b'{}'".format,
    "({})".format,
    "key={}\nnext line".format,
    "\x1b[31m{}\x1b[0m".format,
]
CARDS = ["4242424242424242", "5555555555554444", "378282246310005", "6011111111111117", "3056930009020004", "3566002020360505", "6200000000000005", "6527658900001005"]  # fmt: skip


@given(KEYS, st.sampled_from(PLACES))
def test_no_key_survives(key, place):
    assert key.rpartition("_")[2] not in scrub(place(key))


@given(WORD, st.sampled_from(["Bearer", "bearer", "BEARER", "Basic", "basic"]))
def test_what_an_authorization_header_holds_does_not_survive(secret, scheme):
    for line in (f"Authorization: {scheme} {secret}", f"{{'authorization': '{scheme} {secret}'}}"):
        assert secret not in scrub(line)


@given(
    st.text("abcXYZ019!$%^&*()_+=~`|;:'<>,.@#", min_size=8, max_size=30),
    st.sampled_from(["postgresql://app:{}@db/counterfoil", "postgresql://:{}@db/x", "redis://default:{}@10.0.0.1:6379"]),
)  # fmt: skip
def test_no_password_of_an_address_survives(password, address):
    assert password not in scrub(f"cannot connect to {address.format(password)} now")


@given(
    WORD, st.sampled_from(["password={}", "postgresql://db/x?user=a&password={}&sslmode=on", "PASSWORD='{}'"])
)
def test_no_named_password_survives(password, place):
    assert password not in scrub(place.format(password))


@given(
    st.sampled_from(CARDS),
    st.sampled_from(["", " ", "-"]),
    st.sampled_from([place for place in PLACES if "Bearer" not in place("")]),
)
def test_no_card_number_survives(card, between, place):
    written = between.join(card[n : n + 4] for n in range(0, len(card), 4))
    line = scrub(place(written))
    assert written not in line
    assert card[:6] not in line.replace(between, "")


@pytest.mark.parametrize(
    "line",
    [
        "payment pmt_01m82q4mexgp9s3vb3tax4n4pn is captured",
        "pi_3Y1bvAL3flA7iheJ8X1TWd95 ch_3EgtavtgNbKQjXaJ7t2Rko6g pay_FmsrmDHgkpoMBD order_cWRa8PPAWwuvCY",
        "at 2026-11-22T22:48:27.869123Z, 1795387707869 ms",
        "GET https://api.stripe.com/v1/payment_intents/pi_1?expand[]=latest_charge 200",
        "user@shop.example paid 10000 USD",
        "ask_the_bank risk_level",
    ],
)
def test_what_an_operator_needs_is_left(line):
    assert scrub(line) == line


@pytest.mark.parametrize("piece", [":", "a:", ":@", "://", "bearer ", "password=", "sk_test_", "_secret_"])
def test_a_text_four_times_as_long_is_scrubbed_in_about_four_times_as_long(piece):
    """What stands in the address of a request is anybody's, and is scrubbed to be told back."""

    def cost(times: int) -> float:
        started = process_time()
        scrub("://" + piece * times)
        return process_time() - started

    assert min(cost(8_000) for _ in range(5)) < 0.001 + 9 * min(cost(2_000) for _ in range(5))


@given(st.text())
def test_any_text_can_be_scrubbed_and_then_nothing_is_left_to_scrub(text):
    assert scrub(scrub(text)) == scrub(text)


# The lines themselves


@pytest.fixture
def lines(capsys: pytest.CaptureFixture[str]) -> Any:
    """Configure as a process does, and read what it said; what pytest had set up is put back."""
    root, handlers = logging.getLogger(), list(logging.getLogger().handlers)
    level = root.level

    def read(*, as_json: bool) -> Callable[[], str]:
        log.configure(json=as_json)
        return lambda: capsys.readouterr().err

    yield read
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


SECRET = "sk_live_counterfoil0123456789"
CARD = CARDS[0]


class Talkative:
    """An object whose repr tells too much."""

    def __repr__(self) -> str:
        return f"Talkative({SECRET})"


@pytest.mark.parametrize("as_json", [True, False])
@pytest.mark.parametrize(
    "value",
    [
        f"{SECRET} {CARD}",
        {"headers": {"authorization": SECRET}, "card": [CARD, {"n": CARD}]},
        {SECRET: CARD},
        [SECRET, (CARD,), {SECRET}],
        int(CARD),
        SECRET.encode(),
        Talkative(),
        ValueError(SECRET, CARD),
    ],
    ids=["text", "mapping", "name", "list", "number", "bytes", "object", "error"],
)
def test_whatever_a_line_is_given_is_scrubbed(lines, as_json, value):
    read = lines(as_json=as_json)
    structlog.get_logger().warning(f"about {SECRET}", value=value)
    said = read()
    assert "value" in said
    assert SECRET[8:] not in said
    assert CARD not in said


@pytest.mark.parametrize("as_json", [True, False])
def test_a_traceback_is_told_and_scrubbed(lines, as_json):
    read = lines(as_json=as_json)
    try:
        int(f"bad card {CARD} with {SECRET}")
    except ValueError as error:
        structlog.get_logger().error("request failed", exc_info=error)
    said = read()
    assert "'bad card [card] with [secret]'" in said
    assert "Traceback" in said
    assert SECRET not in said
    assert CARD not in said


def test_a_json_line_is_json(lines):
    read = lines(as_json=True)
    structlog.get_logger().info(
        "payment captured", payment="pmt_1", amount=100, parts=[1, {"a": None}], ok=True
    )
    line = json.loads(read())
    assert line.pop("timestamp").endswith("Z")
    assert line == {"event": "payment captured", "level": "info", "payment": "pmt_1", "amount": 100, "parts": [1, {"a": None}], "ok": True}  # fmt: skip


def test_lines_of_libraries_are_scrubbed_too(lines):
    read = lines(as_json=False)
    logging.getLogger("asyncpg").warning("cannot connect to %s", f"postgresql://app:{SECRET}@db/x")
    try:
        {}[CARD]
    except KeyError:
        logging.getLogger("aiohttp").exception("it failed")
    said = read()
    assert "cannot connect" in said
    assert "KeyError: '[card]'" in said
    assert SECRET not in said


def test_chatter_of_libraries_is_not_told(lines):
    read = lines(as_json=False)
    logging.getLogger("aiohttp").info("hello")
    structlog.get_logger().debug("hello")
    assert read() == ""


SERVER = """
import asyncio, sys
from counterfoil import log
from counterfoil.web.server import make_server
log.configure(json=sys.argv[1] == "json")

async def app(scope, receive, send):
    if scope["type"] == "lifespan":
        await receive()
        await send({"type": "lifespan.startup.complete"})
        return
    raise ValueError("bad card 4242424242424242 with sk_live_counterfoil0123456789")

app.state = None  # where an application keeps what its server must end first

async def main():
    server = make_server(app, host="127.0.0.1", port=0)
    serving = asyncio.create_task(server.serve())
    while not server.started:
        await asyncio.sleep(0.01)
    port = server.servers[0].sockets[0].getsockname()[1]
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET / HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n")
    await reader.read()
    writer.close()
    server.should_exit = True
    await serving

asyncio.run(main())
"""


@pytest.mark.parametrize("form", ["json", "text"])
def test_what_the_server_itself_logs_of_a_failed_request_is_scrubbed(form):
    ran = subprocess.run(
        [sys.executable, "-c", SERVER, form], capture_output=True, text=True, timeout=30, check=False
    )
    said = ran.stdout + ran.stderr
    assert "ValueError: bad card [card] with [secret]" in said
    assert CARD not in said
    assert SECRET not in said
