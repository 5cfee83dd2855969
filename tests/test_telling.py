"""What docs/events.md says to do is what works."""

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from counterfoil.domain import event
from counterfoil.domain.endpoint import DELAYS, MOST, OVERLAP
from counterfoil.services import delivering
from counterfoil.web import streams

PAGE = (Path(__file__).parents[1] / "docs" / "events.md").read_text("utf-8")
SECRET = "whsec_Y291bnRlcmZvaWwtdGVzdHMtMzItYnl0ZXMtbG9uZyE="


def _receiver() -> Any:
    """The function that the page gives its reader."""
    code = next(block for block in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if "Webhook(" in block)
    made: dict[str, Any] = {}
    exec(code, made)  # noqa: S102  the page's own code
    return made["receive"]


def test_the_pages_receiver_takes_what_we_sign_and_nothing_else():
    receive, body = _receiver(), '{"id": "out_1"}'
    headers = delivering.signed("out_1", body, [SECRET])
    assert receive(SECRET, headers, body.encode()) == {"id": "out_1"}
    assert receive(SECRET, headers, b'{"id": "out_2"}') is None
    assert receive(SECRET, headers | {"webhook-id": "out_2"}, body.encode()) is None
    assert receive(SECRET, {}, body.encode()) is None


def test_a_signature_is_of_real_time_whatever_clock_the_service_follows():
    stamp = int(delivering.signed("out_1", "", [SECRET])["webhook-timestamp"])
    assert abs(stamp - datetime.now(UTC).timestamp()) < 60


def test_the_pages_numbers_are_those_of_the_program():
    waits = re.search(r"At once, then after (.*?), each", PAGE, re.DOTALL)
    assert waits is not None
    units = {"s": 1, "min": 60, "h": 3600}
    told = [int(n) * units[unit] for n, unit in re.findall(r"(\d+) (s|min|h)\b", waits.group(1))]
    assert told == [delay.total_seconds() for delay in DELAYS]
    assert f"{MOST} endpoints a mode" in PAGE
    assert f"For {OVERLAP.days * 24} hours" in PAGE
    assert (delivering.HANDS, delivering.KEPT.days) == (8, 30)
    assert (streams.STREAMS_MOST, streams.STREAM_S) == (50, 300)
    assert "payment.captured" in event.TYPES
