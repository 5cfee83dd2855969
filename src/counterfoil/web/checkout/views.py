"""What the templates and scripts of the checkout are given: plain values, words, and addresses."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

from counterfoil.domain import routing
from counterfoil.domain.attempt import Attempt
from counterfoil.domain.money import Money, to_wire
from counterfoil.domain.payment import Payment, winner_charge
from counterfoil.gateways.base import Gateway
from counterfoil.services import failover
from counterfoil.services.context import Context
from counterfoil.store.payments import Family
from counterfoil.web.checkout.amounts import has_sign, written
from counterfoil.web.checkout.standing import Standing

# With more lines than this the list begins folded.
OPEN_ITEMS: Final = 4


@dataclass(frozen=True, slots=True)
class Addresses:
    """Where the pages of one payment are, under whatever path the service is reached by."""

    root: str  # "" or the path of the public URL
    page: str

    @classmethod
    def of(cls, ctx: Context, payment_id: str) -> "Addresses":
        root = urlsplit(ctx.public_url).path.rstrip("/")
        return cls(root, f"{root}/pay/{payment_id}")

    @property
    def confirm(self) -> str:
        return f"{self.page}/confirm"

    @property
    def gateway(self) -> str:
        return f"{self.page}/gateway"

    @property
    def status(self) -> str:
        return f"{self.page}/status"

    @property
    def result(self) -> str:
        return f"{self.page}/return"


def summary(ctx: Context, payment: Payment) -> dict[str, Any]:
    """What is owed, to whom, and for what."""
    return {
        "merchant": ctx.merchant_name,
        "amount": written(payment.money),
        "currency": payment.currency if has_sign(payment.currency) else None,
        "description": payment.description,
        "reference": payment.reference,
        "lines": [_item(item, payment.currency) for item in payment.line_items],
        "unfolded": len(payment.line_items) <= OPEN_ITEMS,
        "sandbox": payment.mode == "sandbox",
        "back": back(payment),
    }


def _item(item: Mapping[str, Any], currency: str) -> dict[str, Any]:
    quantity, unit = int(item.get("quantity", 1)), int(item["amount"])
    return {
        "name": item["name"],
        "quantity": quantity,
        "unit": written(Money(unit, currency)),
        "total": written(Money(quantity * unit, currency)),
    }


def others(ctx: Context, family: Family) -> dict[str, Any]:
    """The other ways to pay, and whether a try has failed: until then the page keeps them to itself."""
    currency = family.payment.currency
    ways = [
        {"gateway": choice.gateway, "methods": methods(choice.gateway, currency)}
        for choice in failover.others(ctx, family)
    ]
    return {"ways": ways, "offered": bool(failover.offers(ctx, family))}


def back(payment: Payment) -> str | None:
    """The merchant's own address, told which payment this was and how it stands. What it held stays as it was."""
    if payment.return_url is None:
        return None
    address, mark, fragment = payment.return_url.partition("#")
    told = urlencode({"payment": payment.id, "status": payment.status.value})
    return f"{address}{'&' if '?' in address else '?'}{told}{mark}{fragment}"


def script_settings(ctx: Context, payment: Payment, attempt: Attempt, gateway: Gateway) -> dict[str, Any]:
    """What our own script needs to draw the gateway's fields. Amounts are in the gateway's own units."""
    where = Addresses.of(ctx, payment.id)
    common = {
        "key": gateway.public_key,
        "amount": to_wire(gateway.name, attempt.money),
        "currency": attempt.currency,
        "confirm": where.confirm,
        "status": where.status,
        "result": where.result,
    }
    name, email = payment.customer.get("name") or "", payment.customer.get("email") or ""
    if gateway.confirm is not None:
        capture = "automatic_async" if attempt.capture == "automatic" else "manual"
        returning = f"{ctx.public_url}/pay/{payment.id}/return"
        return common | {
            "capture": capture,
            "returning": returning,
            "billing": {"name": name, "email": email},
        }
    prefill = {"name": name, "email": email, "contact": payment.customer.get("phone") or ""}
    described = {"name": ctx.merchant_name, "description": payment.description or ""}
    return common | {"order": attempt.ref, "prefill": prefill, **described}


_METHODS: Final = {
    "card": "cards",
    "upi": "UPI",
    "netbanking": "netbanking",
    "wallet": "wallets",
    "emi": "EMI",
}


def methods(gateway: str, currency: str) -> str:
    """What the gateway takes, as a person lists it: cards, UPI and wallets."""
    names = [_METHODS.get(method, method.replace("_", " ")) for method in routing.methods(gateway, currency)]
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))


@dataclass(frozen=True, slots=True)
class Words:
    """What the result page says. `tone` is good, wait or bad; {merchant} and {amount} are filled in."""

    tone: str
    heading: str
    text: str


RESULTS: Final = {
    Standing.PAID: Words("good", "Payment received", "{merchant} has received your payment of {amount}."),
    Standing.APPROVED: Words(
        "good",
        "Payment approved",
        "Your bank has set {amount} aside. {merchant} takes it when your order is ready.",
    ),
    Standing.PROCESSING: Words(
        "wait",
        "Your bank is working on it",
        "Some payments take a minute, some a few days. You do not need to pay again. This page tells you when it is done.",
    ),
    Standing.CHECKING: Words(
        "wait",
        "We are checking your payment",
        "The answer has not come yet, and we are asking for it. Please do not pay again until this page says so.",
    ),
    Standing.DECLINED: Words(
        "bad", "Payment not completed", "You may use the same method again, or another one."
    ),
    Standing.ACTION: Words(
        "bad",
        "Payment not confirmed",
        "Your bank has not heard from you, so nothing was charged. You can try again.",
    ),
    Standing.OPEN: Words("bad", "Not paid yet", "Nothing was charged. You can pay now."),
    Standing.CANCELLED: Words(
        "bad",
        "Payment cancelled",
        "{merchant} has cancelled this payment. If your bank had set anything aside, it is released.",
    ),
    Standing.EXPIRED: Words(
        "bad", "Payment expired", "It was not paid in time. Please ask {merchant} for a new link."
    ),
    Standing.FAILED: Words(
        "bad",
        "Payment not possible",
        "This payment cannot be taken any more. Please ask {merchant} for a new link.",
    ),
}


def result(ctx: Context, family: Family, stands: Standing) -> dict[str, Any]:
    """How it went: words and proof."""
    payment, words = family.payment, RESULTS[stands]
    filled = words.text.format(merchant=ctx.merchant_name, amount=written(payment.money))
    return {"tone": words.tone, "heading": words.heading, "text": filled, "proof": _proof(family)}


def _proof(family: Family) -> list[tuple[str, str]]:
    """What a customer keeps of a payment, as names and values."""
    payment = family.payment
    charge = winner_charge(payment.winner_attempt_id, family.charges)
    rows = [("Amount", written(payment.money))]
    if charge is not None:
        if name := _paid_with(charge.detail):
            rows.append(("Paid with", name))
        rows.append(("Date", f"{charge.made_at.astimezone(UTC):%-d %B %Y, %H:%M} UTC"))
    if payment.amount_refunded:
        rows.append(("Refunded", written(Money(payment.amount_refunded, payment.currency))))
    if payment.reference:
        rows.append(("Reference", payment.reference))
    return [*rows, ("Payment", payment.id)]


_CAPITALS: Final = {"upi": "UPI", "emi": "EMI"}
_BRANDS: Final = {"amex": "American Express", "jcb": "JCB", "rupay": "RuPay", "unionpay": "UnionPay"}


def _paid_with(detail: Mapping[str, Any]) -> str:
    """Visa ending in 4242; UPI, bu***@okbank; Netbanking, HDFC."""
    method = str(detail.get("method") or "")
    brand = str(detail.get("brand") or "")
    name = _BRANDS.get(brand, brand.title()) or _CAPITALS.get(method, method.replace("_", " ").capitalize())
    if detail.get("last4"):
        return f"{name} ending in {detail['last4']}"
    more = detail.get("vpa") or detail.get("bank") or detail.get("wallet")
    return f"{name}, {more}" if more else name
