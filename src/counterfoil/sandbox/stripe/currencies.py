"""What Stripe charges: currencies, how they are written, and the least and most of each.

Kept here, apart from the service's own table, so that the two can disagree. Sources: Stripe's pages on currencies,
zero-decimal and special cases, and minimum amounts.
"""

from typing import Final

from counterfoil.sandbox.calls import RefusedError
from counterfoil.sandbox.stripe.errors import invalid

_TWO = (
    "aed afn all amd ang aoa ars aud awg azn bam bbd bdt bgn bmd bnd bob brl bsd btn bwp byn bzd cad cdf chf cny cop "
    "crc cve czk dkk dop dzd egp etb eur fjd fkp gbp gel gip gmd gtq gyd hkd hnl htg huf idr ils inr isk jmd kes kgs "
    "khr kyd kzt lak lbp lkr lrd lsl mad mdl mkd mmk mnt mop mur mvr mwk mxn myr mzn nad ngn nio nok npr nzd pab pen "
    "pgk php pkr pln qar ron rsd rub sar sbd scr sek sgd shp sle sos srd std szl thb tjs top try ttd twd tzs uah ugx "
    "usd uyu uzs wst xcd xcg yer zar zmw"
)
_ZERO = "bif clp djf gnf jpy kmf krw mga pyg rwf vnd vuv xaf xof xpf"
_THREE = "bhd jod kwd omr tnd"

SUPPORTED: Final = frozenset(f"{_TWO} {_ZERO} {_THREE}".split())
# The amount is a multiple of this: isk and ugx are written with two decimals that are 00, three decimals end in 0.
STEP: Final = {"isk": 100, "ugx": 100, **dict.fromkeys(_THREE.split(), 10)}
LEAST: Final = {
    **dict.fromkeys(("aud", "brl", "cad", "chf", "eur", "inr", "nzd", "sgd", "usd"), 50),
    "aed": 200,
    "bgn": 100,
    "czk": 1500,
    "dkk": 250,
    "gbp": 30,
    "hkd": 400,
    "huf": 17500,
    "jpy": 50,
    "mxn": 1000,
    "myr": 200,
    "nok": 300,
    "pln": 200,
    "ron": 200,
    "sek": 300,
    "thb": 1000,
}
# Eight digits.
MOST: Final = 99_999_999


def check_currency(currency: str) -> str:
    """The currency as Stripe writes it. Raises RefusedError."""
    code = currency.lower()
    if code not in SUPPORTED:
        raise invalid(f"Invalid currency: {currency}", param="currency")
    return code


def check_amount(amount: int, currency: str) -> None:
    """Raises RefusedError for an amount that Stripe would not charge in this currency."""
    least = LEAST.get(currency, 1)
    if amount < 1:
        raise invalid("Invalid positive integer: amount", code="parameter_invalid_integer", param="amount")
    if amount < least:
        raise invalid(f"Amount must be at least {least} {currency}", code="amount_too_small", param="amount")
    if amount > MOST:
        raise invalid(
            f"Amount must be no more than {MOST} {currency}", code="amount_too_large", param="amount"
        )
    if wrong := bad_step(amount, currency):
        raise wrong


def bad_step(amount: int, currency: str, param: str = "amount") -> RefusedError | None:
    """The error for an amount that is finer than the currency can be charged or refunded in."""
    step = STEP.get(currency, 1)
    if amount % step == 0:
        return None
    return invalid(f"Invalid amount: {currency} amounts are multiples of {step}", param=param)
