"""How much is measured: in full, or shortly, to see that everything runs."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """Counts and seconds of each benchmark. A figure's warm-up comes before what is counted."""

    rounds: int  # times every peer is measured; the median counts
    webhooks: int  # at most, a peer and round; enough for the open loops too
    webhooks_warm: int
    webhooks_s: float  # at most, a peer and round
    steady_s: float  # of an open loop
    steady_warm_s: float
    payments: int  # with 64 under way
    payments_alone: int  # one after the other
    receipts_s: float  # a peer, page and round
    book_rows: int  # receipts in a book of Excel
    zipped: int  # receipts in a zip


FULL = Scale(
    rounds=3,
    webhooks=24_000,
    webhooks_warm=1_000,
    webhooks_s=6.0,
    steady_s=15.0,
    steady_warm_s=2.0,
    payments=2_000,
    payments_alone=50,
    receipts_s=8.0,
    book_rows=100_000,
    zipped=10_000,
)
SHORT = Scale(
    rounds=1,
    webhooks=1_300,
    webhooks_warm=200,
    webhooks_s=1.5,
    steady_s=1.0,
    steady_warm_s=0.3,
    payments=128,
    payments_alone=5,
    receipts_s=0.5,
    book_rows=600,
    zipped=40,
)
