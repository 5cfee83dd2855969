"""Ids of the gateways' own shape."""

import random
import string

ALNUM = string.ascii_letters + string.digits


class Ids:
    """Draws ids; the same seed draws the same ones.

    `drawn` is how many objects the truth holds already, so that a restarted sandbox does not draw its old ids again.
    """

    def __init__(self, seed: int | None, drawn: int = 0) -> None:
        self._seed = seed
        self.restart(drawn)

    def restart(self, drawn: int = 0) -> None:
        source = None if self._seed is None else f"{self._seed}:{drawn}"
        self._random = random.Random(source)

    def word(self, length: int) -> str:
        """Letters and digits, as in Razorpay's pay_ + 14."""
        return "".join(self._random.choices(ALNUM, k=length))

    def number(self, digits: int) -> str:
        """Decimal digits, as in a bank's reference."""
        return "".join(self._random.choices(string.digits, k=digits))

    def stripe(self, prefix: str, generation: int = 1) -> str:
        """Stripe's shape: prefix, a digit, 23 letters and digits: pi_3…, pm_1…"""
        return f"{prefix}_{generation}{self.word(23)}"

    def razorpay(self, prefix: str) -> str:
        """Razorpay's shape: prefix and 14 letters and digits."""
        return f"{prefix}_{self.word(14)}"
