"""Orders: what is to be paid, and by which rule its payments are captured."""

from typing import Any, Final

from counterfoil.sandbox.calls import Answer, Incoming
from counterfoil.sandbox.razorpay import amounts
from counterfoil.sandbox.razorpay.account import ORDER, PAYMENT, Account, Held
from counterfoil.sandbox.razorpay.dialect import query_of
from counterfoil.sandbox.razorpay.errors import refused
from counterfoil.sandbox.razorpay.fields import Fields
from counterfoil.sandbox.razorpay.lists import collection, expanded, listed
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.world import World

LONGEST_RECEIPT: Final = 40
# Minutes. Razorpay captures by itself for twelve minutes at least, and gives back after five days at most.
LEAST_AUTOMATIC: Final = 12
MOST_MANUAL: Final = 7200

# Orders with a payment that was once authorized, by the list's filter of that name.
_PAYMENT_ONCE_AUTHORIZED: Final = (
    "id {} (SELECT parent FROM objects WHERE gateway = 'razorpay' AND kind = 'payment'"
    " AND json_extract(body, '$.status') IN ('authorized', 'captured', 'refunded'))"
)
_AUTHORIZED: Final = {
    None: "1",
    "1": _PAYMENT_ONCE_AUTHORIZED.format("IN"),
    "0": _PAYMENT_ONCE_AUTHORIZED.format("NOT IN"),
}


def create(world: World, call: Incoming) -> Answer:
    """Not idempotent: the same request makes a second order."""
    account, fields = Account(world), Fields.of(call.body)
    fields.only("amount", "currency", "receipt", "notes", "payment", "payment_capture", "partial_payment")
    amount, currency = fields.integer("amount"), fields.text("currency")
    amounts.check_order(amount, currency)
    if fields.flag("partial_payment", default=False):
        raise refused("Partial payments are not enabled for this account.", field="partial_payment")
    order = Held(ORDER, _entity(account, amount, currency, fields), _capture_rule(fields))
    # An order stands under its receipt, so that looking it up by receipt stays quick.
    account.save(order, parent=order.body["receipt"])
    return Answer.json(order.body)


def _entity(account: Account, amount: int, currency: str, fields: Fields) -> Json:
    return {
        "id": account.world.ids.razorpay("order"),
        "entity": "order",
        "amount": amount,
        "amount_paid": 0,
        "amount_due": amount,
        "currency": currency,
        "receipt": fields.optional_text("receipt", longest=LONGEST_RECEIPT),
        "offer_id": None,
        "status": "created",
        "attempts": 0,
        "notes": fields.notes(),
        "created_at": account.now,
    }


def _capture_rule(fields: Fields) -> Json:
    """When payments are captured and given back, in minutes from their creation; kept beside the order.

    `automatic_expiry_period` None captures whenever the payment is authorized, as the dashboard's default does.
    """
    if not fields.has("payment"):
        captures = fields.flag("payment_capture", default=True)
        return _rule("automatic" if captures else "manual", None, MOST_MANUAL, "normal")
    payment = fields.inner("payment").only("capture", "capture_options")
    options = payment.inner("capture_options").only(
        "automatic_expiry_period", "manual_expiry_period", "refund_speed"
    )
    capture = payment.choice("capture", ("automatic", "manual"), "")
    automatic = None
    if capture == "automatic" or options.has("automatic_expiry_period"):
        options.integer("automatic_expiry_period")
        automatic = options.optional_integer(
            "automatic_expiry_period", 0, least=LEAST_AUTOMATIC, most=MOST_MANUAL
        )
    manual = options.optional_integer(
        "manual_expiry_period", MOST_MANUAL, least=automatic or 1, most=MOST_MANUAL
    )
    speed = options.choice("refund_speed", ("normal", "optimum"), "normal")
    return _rule(capture, automatic, manual, speed)


def _rule(capture: str, automatic: int | None, manual: int, speed: str) -> Json:
    return {
        "capture": capture,
        "automatic_expiry_period": automatic,
        "manual_expiry_period": manual,
        "refund_speed": speed,
    }


def retrieve(world: World, call: Incoming) -> Answer:
    account = Account(world)
    return Answer.json(_shown(account, call, account.find(ORDER, call.ids["id"]).body))


def update(world: World, call: Incoming) -> Answer:
    """Its notes, and nothing else, may change."""
    account, fields = Account(world), Fields.of(call.body).only("notes")
    order = account.find(ORDER, call.ids["id"])
    order.body["notes"] = fields.notes(required=True)
    account.save(order)
    return Answer.json(order.body)


def list_all(world: World, call: Incoming) -> Answer:
    account, query = Account(world), query_of(call)
    authorized = query.get("authorized")
    if authorized not in _AUTHORIZED:
        raise refused("The selected authorized is invalid.", field="authorized")
    found = listed(account, ORDER, call, parent=query.get("receipt"), extra=_AUTHORIZED[authorized])
    return collection([_shown(account, call, order) for order in found])


def payments(world: World, call: Incoming) -> Answer:
    """Every payment of the order, newest first."""
    account = Account(world)
    order = account.find(ORDER, call.ids["id"])
    return collection(account.of(PAYMENT, order.id)[::-1])


def _shown(account: Account, call: Incoming, order: Json) -> Json:
    def its_payments() -> dict[str, Any]:
        items = account.of(PAYMENT, order["id"])[::-1]
        return {"entity": "collection", "count": len(items), "items": items}

    return expanded(call, order, {"payments": its_payments})
