"""Faults on demand: what goes wrong, at which call, how often."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from counterfoil.sandbox.truth import Json

ANY: Final = "*"
WEBHOOKS: Final = "webhooks"

# What each fault of an API call takes, with its default.
CALL_FAULTS: Final[Mapping[str, Json]] = {
    "refuse": {},  # the connection is closed at once, nothing read
    "reset_before": {},  # TCP reset without an answer, nothing done
    "reset_after": {},  # done, then TCP reset without an answer
    "timeout_before": {"seconds": 60.0},  # silence, nothing done, then a reset
    "timeout_after": {"seconds": 60.0},  # done, then silence, then a reset
    "delay": {"seconds": 1.0},  # a late answer; the idempotency key is in use meanwhile
    "error_4xx": {
        "status": 400,
        "body": None,
        "headers": {},
    },  # nothing done; 401 and 403 imitate revoked keys
    "error_5xx_before": {"status": 500, "headers": {}},  # nothing done, nothing stored
    "error_5xx_after": {"status": 500},  # done; the 500 is what the idempotency key replays
    "rate_limit": {"retry_after": None, "headers": {}},  # 429, nothing done
    "garbage": {},  # done, then 200 with bytes that are no JSON
    "truncated": {},  # done, then half of the answer
}
WEBHOOK_FAULTS: Final[Mapping[str, Json]] = {
    "duplicate": {"copies": 2},  # the same event several times
    "reorder": {"seconds": 0.5},  # events are gathered so long, then sent newest first, one after another
    "drop": {},  # never sent, and recorded as dropped
    "delay": {"seconds": 5.0},  # sent so much later, in sandbox time
    "hold": {},  # kept until webhooks are released
}


@dataclass(slots=True)
class Fault:
    """A switch: after `after` calls that pass, it fires `times` times (None: for ever)."""

    id: int
    gateway: str
    call: str
    fault: str
    times: int | None = 1
    after: int = 0
    params: Json = field(default_factory=dict)
    fired: int = 0

    def matches(self, gateway: str, call: str) -> bool:
        wanted = self.call == call or (self.call == ANY and call != WEBHOOKS)
        return self.gateway == gateway and wanted and (self.times is None or self.fired < self.times)


class Faults:
    """The switches, in the order they were set. They live as long as the process."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._made = 0

    def add(self, gateway: str, call: str, fault: str, /, **more: Any) -> Fault:
        """Set a switch. `more` holds times, after and the fault's own parameters. Raises ValueError with a sentence."""
        known = WEBHOOK_FAULTS if call == WEBHOOKS else CALL_FAULTS
        if fault not in known:
            raise ValueError(f"{fault!r} is no fault of {call}; there are: {', '.join(known)}")
        times, after = more.pop("times", 1), more.pop("after", 0)
        if not (times is None or _counts(times, least=1)) or not _counts(after, least=0):
            raise ValueError("times is a whole number from 1 or null, after one from 0")
        self._made += 1
        added = Fault(self._made, gateway, call, fault, times, after, _params(fault, known[fault], more))
        self._faults.append(added)
        return added

    def take(self, gateway: str, call: str) -> Fault | None:
        """The fault that this call meets, counted as fired; the first that was set and is not used up."""
        for fault in self._faults:
            if not fault.matches(gateway, call):
                continue
            if fault.after > 0:
                fault.after -= 1
                continue
            fault.fired += 1
            return fault
        return None

    def list(self) -> list[Json]:
        return [asdict(fault) for fault in self._faults]

    def clear(self, id_: int | None = None) -> int:
        """Remove one switch, or all; how many were removed."""
        kept = [] if id_ is None else [fault for fault in self._faults if fault.id != id_]
        removed = len(self._faults) - len(kept)
        self._faults = kept
        return removed

    def up(self, gateway: str) -> None:
        """End `refuse` for the whole gateway."""
        self._faults = [f for f in self._faults if (f.gateway, f.call, f.fault) != (gateway, ANY, "refuse")]


def _counts(value: Any, *, least: int) -> bool:
    return type(value) is int and value >= least


def _params(fault: str, known: Json, given: Json) -> Json:
    """The fault's parameters with its defaults. Raises ValueError for one that it does not take."""
    for name, value in given.items():
        if name not in known:
            raise ValueError(f"{fault} takes {', '.join(known) or 'no parameters'}, not {name!r}")
        if name in {"seconds", "retry_after"} and value != known[name] and not _seconds(value):
            raise ValueError(f"{name} is a number of seconds from 0 to a day")
        if name in {"status", "copies"} and not _counts(value, least=2):
            raise ValueError(f"{name} is a whole number")
    headers = given.get("headers", {})
    if not isinstance(headers, dict) or not all(
        _plain(name) and _plain(text) for name, text in headers.items()
    ):
        raise ValueError("headers is an object of printable ASCII strings")
    status = given.get("status", known.get("status"))
    family = {"error_4xx": 4, "error_5xx_before": 5, "error_5xx_after": 5}.get(fault)
    if family is not None and (type(status) is not int or status // 100 != family):
        raise ValueError(f"status of {fault} is from {family}00 to {family}99")
    return {**known, **given}


def _plain(value: Any) -> bool:
    return isinstance(value, str) and value.isascii() and value.isprintable()


def _seconds(value: Any) -> bool:
    return type(value) in {int, float} and 0 <= value <= 86400
