"""What the sandbox is started with."""

from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Config:
    """Start-up configuration. The defaults make a sandbox in memory that calls nobody."""

    data: Path | None = None  # folder of the truth; None keeps it in memory
    livemode: bool = False  # objects say livemode true, and Stripe retries webhooks for days
    seed: int | None = None  # the same seed gives the same ids
    stripe_secret_key: str = field(default="sk_test_counterfoil_sandbox", repr=False)
    stripe_publishable_key: str = "pk_test_counterfoil_sandbox"
    stripe_webhook_secret: str = field(default="whsec_counterfoil_sandbox", repr=False)
    razorpay_key_id: str = "rzp_test_counterfoil"
    razorpay_key_secret: str = field(default="counterfoil_sandbox_secret", repr=False)
    razorpay_webhook_secret: str = field(default="counterfoil_sandbox_webhook", repr=False)
    deliver_to: str | None = (
        None  # base URL of the service; webhooks go to its /webhooks/stripe and /webhooks/razorpay
    )
    latency_ms: int = 0  # added to every API call
    jump_pause_ms: int = (
        1500  # webhooks wait so long after a clock jump, so that a service which follows it has seen it
    )
