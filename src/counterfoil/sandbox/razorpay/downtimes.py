"""Downtimes: one bank, network or UPI handle that does not work; never Razorpay as a whole."""

from typing import Any, Final

from counterfoil.sandbox.calls import Answer, Incoming
from counterfoil.sandbox.razorpay.account import DOWNTIME, Account, Held
from counterfoil.sandbox.razorpay.lists import collection
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.world import World

METHODS: Final = ("card", "netbanking", "upi")
SEVERITIES: Final = ("low", "medium", "high")
STATUSES: Final = ("scheduled", "started", "updated", "resolved")
INSTRUMENTS: Final = ("bank", "issuer", "network", "card_type", "vpa_handle", "psp", "flow")


def list_all(world: World, call: Incoming) -> Answer:  # noqa: ARG001  the list takes no parameters
    """Those that are not over, newest first."""
    return collection([found for found in _all(Account(world)) if found["status"] != "resolved"])


def retrieve(world: World, call: Incoming) -> Answer:
    return Answer.json(Account(world).find(DOWNTIME, call.ids["id"]).body)


def report(account: Account, given: Json) -> Json:
    """A downtime begins, changes or ends: {"method", "instrument": {…}, "severity", "status"}.

    The same method and instrument are the same downtime until it is resolved. Raises ValueError with a sentence.
    """
    method = _one_of(given, "method", METHODS, None)
    severity = _one_of(given, "severity", SEVERITIES, "high")
    status = _one_of(given, "status", STATUSES, "started")
    held = _open(account, method, _instrument(given))
    if held is None:
        if status in {"updated", "resolved"}:
            raise ValueError("there is no such downtime to change; begin it with the status started")
        held = Held(DOWNTIME, _entity(account, method, _instrument(given)))
    held.body.update(severity=severity, status=status, updated_at=account.now)
    held.body["scheduled"] = status == "scheduled"
    held.body["end"] = account.now if status == "resolved" else None
    account.save(held)
    if status != "scheduled":
        account.announce(f"payment.downtime.{status}", {"payment.downtime": _told(held.body)})
    return held.body


def _one_of(given: Json, name: str, allowed: tuple[str, ...], default: str | None) -> str:
    value = given.get(name, default)
    if value not in allowed:
        raise ValueError(f"{name} is one of {', '.join(allowed)}")
    return str(value)


def _instrument(given: Json) -> Json:
    instrument = given.get("instrument")
    if not isinstance(instrument, dict) or not instrument or not instrument.keys() <= set(INSTRUMENTS):
        raise ValueError(f"instrument is an object with some of {', '.join(INSTRUMENTS)}")
    return instrument


def _open(account: Account, method: str, instrument: Json) -> Held | None:
    for found in _all(account):
        if found["status"] != "resolved" and (found["method"], found["instrument"]) == (method, instrument):
            return Held(DOWNTIME, found)
    return None


def _all(account: Account) -> list[Json]:
    return account.every(DOWNTIME)[::-1]


def _entity(account: Account, method: str, instrument: Json) -> dict[str, Any]:
    return {
        "id": account.world.ids.razorpay("down"),
        "entity": "payment.downtime",
        "method": method,
        "begin": account.now,
        "end": None,
        "status": "started",
        "scheduled": False,
        "severity": "high",
        "instrument": instrument,
        "created_at": account.now,
        "updated_at": account.now,
    }


def _told(downtime: Json) -> Json:
    """As webhooks carry it: with a schema of the instrument, and `type` where the API says `card_type`."""
    instrument = {
        "type" if name == "card_type" else name: value for name, value in downtime["instrument"].items()
    }
    return {**downtime, "instrument": instrument, "instrument_schema": list(instrument)}
