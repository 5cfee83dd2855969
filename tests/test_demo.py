"""The demo, as a newcomer runs it: real processes, real HTTP, nothing prepared."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from counterfoil.cli.demo import _free

COMMAND = [sys.executable, "-c", "from counterfoil.cli.main import main; main()", "demo"]
PORTS = ("--port", "0", "--sandbox-port", "0")


def test_a_port_that_was_just_left_is_taken_again() -> None:
    """Connections of an earlier demo linger for a minute; what listens does not."""
    with socket.create_server(("127.0.0.1", 0)) as left:
        port = left.getsockname()[1]
        assert _free(port) != port
        with socket.create_connection(("127.0.0.1", port)):
            left.accept()[0].close()  # who closes first is the one that lingers
    assert _free(port) == port


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """A caller whose own configuration must not leak into the demo."""
    return os.environ | {"COUNTERFOIL_MODE": "live", "HOME": str(tmp_path)}


def test_the_tour_takes_a_payment_through_each_gateway_and_ends_well(environment: dict[str, str]) -> None:
    ran = subprocess.run(
        [*COMMAND, "--exit", *PORTS],
        check=False,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert re.search(r"pmt_\w{26} is captured: 24\.50 USD", ran.stdout)
    assert re.search(r"pmt_\w{26} is captured: 499\.00 INR", ran.stdout)
    for heard in ("stripe payment_intent.succeeded", "razorpay payment.captured", "razorpay order.paid"):
        assert re.search(rf"webhook +{re.escape(heard)} +processed", ran.stdout), heard
    assert ran.stdout.count("gateway_balance +2450 · sales -2450") == 1
    assert "Ctrl-C" not in ran.stdout
    assert ran.stdout.count("gateway_balance +49900 · sales -49900") == 1
    assert ran.stdout.count("captured: razorpay (dead) → stripe (won)") == 5
    assert re.search(r"6\. pmt_\w{26} captured: stripe \(won\) .*razorpay is left alone until", ran.stdout)
    assert len(re.findall(r"order_\w+ is fenced, and the customer pays at Stripe: captured", ran.stdout)) == 2
    assert "It is not captured: Razorpay gives it back." in ran.stdout
    assert "1299.00 INR are given back by themselves" in ran.stdout
    assert "the two customers paid 2598.00 INR together: once each" in ran.stdout


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_it_stays_up_until_it_is_interrupted_and_leaves_nothing_behind(
    environment: dict[str, str], number: int
) -> None:
    demo = subprocess.Popen([*COMMAND, *PORTS], env=environment, stdout=subprocess.PIPE, text=True)
    try:
        said = _until(demo, "Ctrl-C ends it.")
        time.sleep(0.5)
        assert demo.poll() is None
        demo.send_signal(number)
        rest, _ = demo.communicate(timeout=200)
    finally:
        demo.kill()
        demo.wait()
    assert demo.returncode == 0
    assert "the demo's data is gone" in rest
    address = re.search(r"http://127\.0\.0\.1:(\d+)/docs", said)
    assert address is not None
    assert not _listens(int(address[1]))


def _until(demo: subprocess.Popen[str], last: str) -> str:
    assert demo.stdout is not None
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if last in line:
            return "".join(lines)
    raise AssertionError("".join(lines))


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
