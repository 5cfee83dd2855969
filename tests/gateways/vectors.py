"""The files under tests/data, read."""

import json
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent.parent / "data"


def load(name: str) -> Any:
    return json.loads((DATA / name).read_bytes())


def events(gateway: str) -> dict[str, bytes]:
    """The bodies of one payment's whole life, by the name of their file."""
    found = {
        path.stem: json.loads(path.read_bytes()) for path in sorted(DATA.glob(f"{gateway}/events_scenario/*"))
    }
    return {name: json.dumps(event.get("body", event)).encode() for name, event in found.items()}
