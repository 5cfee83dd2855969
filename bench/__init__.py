"""Counterfoil's benchmarks: `python -m bench` measures the service beside its peers, in one run on one machine.

ingest       webhooks stored, against the same server without storage, one commit each, Django and dj-stripe
understand   from a webhook's acknowledgement to the payment that shows captured
payments     create and confirm: what the service adds to the gateway's own time, and its processor time
endtoend     the same through the sandbox, until the webhook is understood

Only what was measured is printed. Nothing asserts on time; a bar that is missed is printed as missed.
"""

from pathlib import Path
from typing import Final

ROOT: Final = Path(
    __file__
).parent.parent  # where the processes of a run start, so that they find this package
