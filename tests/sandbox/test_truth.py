"""The truth outlives the sandbox: after kill -9 everything that was answered is there."""

import http.client
import json
import os
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest
import stripe

from counterfoil.sandbox.config import Config
from counterfoil.sandbox.truth import Truth
from counterfoil.sandbox.world import make_world
from sandbox_server import Sandbox, eventually
from sandbox_stripe import Merchant

SERVE = """
import sys
from pathlib import Path
from counterfoil.sandbox.config import Config
from counterfoil.sandbox.server import serve
serve(Config(data=Path(sys.argv[1]), seed=1), port=int(sys.argv[2]))
"""


def free_port():
    with closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def process(folder, port):
    """A real sandbox process; it is killed at the end."""
    running = subprocess.Popen([sys.executable, "-c", SERVE, str(folder), str(port)])
    try:
        sandbox = Sandbox(port, Config())
        eventually(lambda: answers(sandbox), seconds=10)
        yield running, sandbox
    finally:
        running.kill()
        running.wait()


def answers(sandbox):
    try:
        return sandbox.control("GET", "clock")
    except (OSError, http.client.HTTPException):
        return None


@pytest.mark.crash
def test_the_truth_survives_kill_9_with_its_clock_timers_and_keys(tmp_path):
    port = free_port()
    with process(tmp_path, port) as (running, sandbox):
        merchant = Merchant(sandbox)
        sandbox.advance(3600)
        paid = merchant.paid()
        held = merchant.paid(capture_method="manual")
        options = {"idempotency_key": "r1"}
        back = merchant.v1.refunds.create({"payment_intent": paid.id, "amount": 1}, options)
        sandbox.webhooks(hold=True)
        before, offset = sandbox.truth(), sandbox.control("GET", "clock")["offset"]
        os.kill(running.pid, signal.SIGKILL)
        running.wait()
        merchant.session.close()
    with process(tmp_path, port) as (_, sandbox):
        merchant = Merchant(sandbox)
        after = sandbox.truth()["stripe"]
        for kind in ("payment_intents", "charges", "refunds"):
            assert [one["id"] for one in after[kind]] == [one["id"] for one in before["stripe"][kind]]
        assert sandbox.control("GET", "clock")["offset"] == offset
        again = merchant.v1.refunds.create({"payment_intent": paid.id, "amount": 1}, options)
        assert again.id == back.id
        assert merchant.intent().id not in str(before)
        sandbox.advance(8 * 86400)
        assert merchant.again(held).status == "canceled"
        merchant.session.close()


@pytest.mark.crash
def test_whatever_was_answered_is_there_after_kill_9_in_the_midst_of_it(tmp_path):
    port = free_port()
    answered = []
    with process(tmp_path, port) as (running, sandbox):
        merchant = Merchant(sandbox)
        with pytest.raises(stripe.APIConnectionError):  # noqa: PT012  the kill strikes somewhere in the loop
            for turn in range(400):
                answered.append(merchant.intent().id)
                if turn == 50:
                    os.kill(running.pid, signal.SIGKILL)
        merchant.session.close()
    with process(tmp_path, port) as (_, sandbox):
        kept = {one["id"] for one in sandbox.truth()["stripe"]["payment_intents"]}
        assert set(answered) <= kept
        assert len(kept) <= len(answered) + 1


def test_a_restart_with_the_same_seed_draws_other_ids(tmp_path):
    drawn = []
    for _ in range(3):
        world = make_world(Config(data=tmp_path, seed=1))
        drawn.append(world.ids.stripe("ch"))
        world.truth.put("stripe", "charge", {"id": drawn[-1], "created": 1})
        world.truth.close()
    assert len(set(drawn)) == 3


def test_a_transaction_that_fails_leaves_nothing():
    truth = Truth(None)

    def fail():
        with truth.transaction():
            truth.put("stripe", "charge", {"id": "ch_1", "created": 1})
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert truth.get("stripe", "charge", "ch_1") is None
    truth.close()


def test_an_object_keeps_its_place_parent_and_hidden_part_when_it_changes():
    truth = Truth(None)
    truth.put("stripe", "charge", {"id": "ch_1", "created": 1}, parent="pi_1", hidden={"plan": "paid"})
    truth.put("stripe", "charge", {"id": "ch_2", "created": 2}, parent="pi_1")
    truth.put("stripe", "charge", {"id": "ch_1", "created": 1, "amount": 5})
    assert [one["id"] for one in truth.all("stripe", "charge", parent="pi_1")] == ["ch_1", "ch_2"]
    assert truth.hidden("stripe", "ch_1") == {"plan": "paid"}
    assert json.loads(truth.raw("stripe", "ch_1"))["amount"] == 5
    truth.close()


def test_the_two_gateways_do_not_see_each_others_objects():
    truth = Truth(None)
    truth.put("stripe", "refund", {"id": "x", "created": 1, "of": "stripe"})
    truth.put("razorpay", "refund", {"id": "x", "created": 1, "of": "razorpay"})
    assert truth.get("stripe", "refund", "x")["of"] == "stripe"
    truth.delete("stripe", "x")
    assert truth.get("razorpay", "refund", "x")["of"] == "razorpay"
    truth.close()
