"""The control API and the front page."""

import http.client
import json
import re
import time
from contextlib import closing

import pytest

from sandbox_server import ControlError, eventually, run_sandbox
from sandbox_stripe import Merchant, receive


def page(sandbox, path=""):
    with closing(http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=10)) as connection:
        connection.request("GET", f"/_sandbox/{path}")
        response = connection.getresponse()
        return response.status, response.read().decode()


def test_the_clock_goes_with_real_time_and_jumps(sandbox):
    assert sandbox.now() == pytest.approx(time.time(), abs=2)
    jumped = sandbox.advance(86400)
    assert (jumped["offset"], jumped["now"]) == (86400, pytest.approx(time.time() + 86400, abs=2))
    there = sandbox.control("POST", "clock", {"set": 2_000_000_000})
    assert there["now"] == pytest.approx(2_000_000_000, abs=2)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"advance": "1"},
        {"advance": True},
        {"advance": 1, "set": 1},
        {"advance": 1e300},
        {"set": 0},
        {"back": 1},
    ],
)
def test_the_clock_refuses_what_is_no_time(sandbox, wrong):
    with pytest.raises(ControlError):
        sandbox.control("POST", "clock", wrong)
    assert sandbox.control("GET", "clock")["offset"] == 0


def test_what_a_jump_brings_is_dated_as_if_the_time_had_passed(merchant, sandbox):
    held = merchant.paid(capture_method="manual")
    sandbox.advance(30 * 86400)
    gone = merchant.again(held)
    assert gone.canceled_at - held.created == 7 * 86400


def test_timers_fire_as_time_passes_by_itself(merchant):
    merchant.paid()
    eventually(lambda: "charge.updated" in merchant.types())


def test_what_a_jump_brings_near_still_comes_by_itself(merchant, sandbox):
    made = merchant.paid(method="pm_usBankAccount_processing")
    sandbox.advance(179.5)
    assert merchant.again(made).status == "processing"
    eventually(lambda: merchant.again(made).status == "succeeded")


def test_deliveries_pause_after_a_jump():
    with run_sandbox() as sandbox, receive(sandbox) as receiver:
        merchant = Merchant(sandbox)
        sandbox.advance(10)
        jumped = time.monotonic()
        merchant.intent()
        receiver.expect("payment_intent.created")
        assert time.monotonic() - jumped > 1.3
        merchant.session.close()


def test_all_webhooks_are_held_and_released(merchant, receiver, sandbox):
    sandbox.webhooks(hold=True)
    merchant.paid()
    time.sleep(0.2)
    assert receiver.got == []
    sandbox.webhooks(hold=False)
    receiver.expect(*merchant.types()[:3])


def test_deliveries_go_to_where_they_are_told(merchant, receiver, sandbox):
    merchant.intent()
    receiver.expect("payment_intent.created")
    sandbox.webhooks(deliver_to=None)
    merchant.intent()
    assert len(sandbox.deliveries()) == 1
    sandbox.webhooks(deliver_to=f"{receiver.url}/base/")
    merchant.intent()
    eventually(lambda: len(receiver.got) == 2)
    assert receiver.got[1][0][":path"] == "/base/webhooks/stripe"


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"hold": "yes"},
        {"hold": True, "replay": "evt_1"},
        {"replay": "evt_nope"},
        {"deliver_to": "ftp://x"},
        {"deliver_to": 5},
        {"roll_secret": "x"},
        {"roll_secret": {"gateway": "stripe"}},
        {"roll_secret": {"gateway": "stripe", "secret": ""}},
        {"roll_secret": {"gateway": "nobody", "secret": "x"}},
        {"roll_secret": {"gateway": "stripe", "secret": "x", "overlap_seconds": -1}},
        {"roll_secret": {"gateway": "stripe", "secret": "x", "more": 1}},
        {"explode": 1},
    ],
)
def test_a_wrong_wish_about_webhooks_is_refused(sandbox, wrong):
    with pytest.raises(ControlError) as refused:
        sandbox.control("POST", "webhooks", wrong)
    assert refused.value.args[0] == 400


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'"x"', b"\xff", b'{"advance":' + b"1" * 70_000 + b"}"])
def test_a_body_that_is_no_object_is_refused(sandbox, body):
    with closing(http.client.HTTPConnection("127.0.0.1", sandbox.port, timeout=10)) as connection:
        connection.request("POST", "/_sandbox/clock", body)
        response = connection.getresponse()
        assert (response.status, "error" in json.loads(response.read())) == (400, True)


def test_a_reset_forgets_everything(merchant, receiver, sandbox):
    merchant.paid()
    sandbox.fault("stripe", "*", "rate_limit")
    sandbox.advance(86400)
    sandbox.reset()
    assert all(objects == [] for objects in sandbox.truth()["stripe"].values())
    assert (sandbox.faults(), sandbox.deliveries()) == ([], [])
    assert sandbox.control("GET", "clock")["offset"] == 0


def test_a_reset_keeps_the_configured_endpoint():
    with run_sandbox(deliver_to="http://127.0.0.1:9") as sandbox:
        for _ in range(2):
            sandbox.reset()
            [endpoint] = sandbox.truth()["stripe"]["webhook_endpoints"]
            assert endpoint["url"] == "http://127.0.0.1:9/webhooks/stripe"


def test_the_same_seed_draws_the_same_ids():
    ids = []
    for seed in (7, 7, 8):
        with run_sandbox(seed=seed) as sandbox:
            merchant = Merchant(sandbox)
            ids.append(merchant.intent().id)
            merchant.session.close()
    assert ids[0] == ids[1] != ids[2]
    assert re.fullmatch(r"pi_3[A-Za-z0-9]{23}", ids[0])


def test_latency_is_added_to_every_call():
    with run_sandbox(latency_ms=150) as sandbox:
        merchant = Merchant(sandbox)
        started = time.monotonic()
        merchant.intent()
        assert time.monotonic() - started >= 0.15
        merchant.session.close()


def test_an_object_is_shown_as_it_is_kept(merchant, sandbox):
    made = merchant.intent()
    status, body = page(sandbox, f"truth/stripe/{made.id}")
    assert (status, json.loads(body)["id"]) == (200, made.id)
    assert page(sandbox, "truth/stripe/pi_nope")[0] == 404


def test_the_money_of_every_captured_charge_is_told(merchant, sandbox):
    paid, _ = merchant.paid(10000), merchant.paid(5000, capture_method="manual")
    merchant.v1.refunds.create({"payment_intent": paid.id, "amount": 2500})
    failed = merchant.v1.refunds.create({"payment_intent": paid.id, "amount": 100})
    sandbox.control("POST", "stripe/refund", {"refund": failed.id, "status": "failed"})
    sandbox.control("POST", "stripe/dispute", {"payment_intent": paid.id, "amount": 3000})
    assert sandbox.control("GET", "money") == {
        "stripe": [
            {
                "charge": paid.latest_charge,
                "attempt": paid.id,
                "currency": "usd",
                "captured": 10000,
                "refunded": 2500,
                "disputed": 3000,
                "left": 4500,
            }
        ],
        "razorpay": [],
    }


def test_the_front_page_shows_what_is_here(merchant, receiver, sandbox):
    assert "Nothing has happened yet" in page(sandbox)[1]
    paid = merchant.paid()
    sandbox.fault("stripe", "refunds.create", "delay", seconds=3)
    eventually(lambda: {one["state"] for one in sandbox.deliveries()} == {"delivered"})
    status, shown = page(sandbox)
    assert status == 200
    for part in (paid.id, "4242424242424242", "refunds.create", "10000 USD", receiver.url, "delivered"):
        assert part in shown
    assert "https://" not in shown.replace(receiver.url, "")


def test_what_a_customer_writes_cannot_become_markup(merchant, sandbox):
    sandbox.fault("stripe", "<script>alert(1)</script>", "delay")
    assert "<script>alert" not in page(sandbox)[1]
