"""Razorpay: `gateway.connect` makes one account's calls; `speak` reads webhooks and needs no credentials."""

from counterfoil.gateways.razorpay import gateway, speak

__all__ = ["gateway", "speak"]
