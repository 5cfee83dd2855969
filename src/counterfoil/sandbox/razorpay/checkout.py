"""Razorpay Checkout: what the customer does in the browser, and the script that draws it."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from counterfoil.sandbox.calls import Answer, Incoming
from counterfoil.sandbox.razorpay import paying
from counterfoil.sandbox.razorpay.account import ORDER, PAYMENT, Account, Held
from counterfoil.sandbox.razorpay.declines import DECLINES
from counterfoil.sandbox.razorpay.dialect import query_of
from counterfoil.sandbox.razorpay.errors import authentication_failed, refused
from counterfoil.sandbox.razorpay.fields import Fields
from counterfoil.sandbox.razorpay.instruments import Course, Instrument, read
from counterfoil.sandbox.razorpay.signatures import of_checkout
from counterfoil.sandbox.truth import Json
from counterfoil.sandbox.world import World

SCRIPT: Final = Path(__file__).parent / "static" / "checkout.js"
TAKES: Final = (
    "key",
    "order_id",
    "method",
    "card",
    "vpa",
    "bank",
    "wallet",
    "emi_duration",
    "simulate",
    "email",
    "contact",
    "description",
    "notes",
)


def pay(world: World, call: Incoming) -> Answer:
    """The customer presses Pay: {key, order_id, method, …}.

    Success answers razorpay_payment_id, razorpay_order_id and razorpay_signature; a decline {error}; a bank that has
    not answered yet {status: "created"} with the two ids, to be asked for by `status`.
    """
    fields = Fields.of(call.body).only(*TAKES)
    _check_key(world, fields.optional_text("key"))
    return _pay(Account(world), fields)


def pay_by_script(world: World, call: Incoming) -> Answer:
    """The same without a browser, for the control API: the key may be left out."""
    return _pay(Account(world), Fields.of(call.body).only(*TAKES))


def _pay(account: Account, fields: Fields) -> Answer:
    order = account.find(ORDER, fields.text("order_id"))
    if order.body["status"] == "paid":
        raise refused("Payment already done for this order.", field="order_id", reason="order_already_paid")
    today = datetime.fromtimestamp(account.now, UTC)
    instrument = read(fields, account.world.ids, month=(today.year, today.month))
    payment = paying.begin(account, order, instrument, _said(fields))
    _follow(account, payment, instrument)
    return _outcome(account, payment)


def _said(fields: Fields) -> Json:
    return {
        "email": fields.optional_text("email"),
        "contact": fields.optional_text("contact"),
        "description": fields.optional_text("description"),
        "notes": fields.notes(),
    }


def _follow(account: Account, payment: Held, instrument: Instrument) -> None:
    """Let the bank answer."""
    if instrument.course is Course.PENDING:
        return paying.wait_for_bank(account, payment)
    if instrument.decline is not None:
        paying.fail(account, payment, instrument.decline)
    if instrument.course is not Course.DECLINED:
        paying.authorize(account, payment)
    return None


def status(world: World, call: Incoming) -> Answer:
    """What has become of a payment, in the same words as `pay`: the browser waits for the bank with it."""
    account = Account(world)
    _check_key(world, query_of(call).get("key"))
    return _outcome(account, account.find(PAYMENT, call.ids["id"]))


def _check_key(world: World, key: str | None) -> None:
    if key != world.config.razorpay_key_id:
        raise authentication_failed()


def _outcome(account: Account, payment: Held) -> Answer:
    order_id: str = payment.body["order_id"]
    ids = {"razorpay_payment_id": payment.id, "razorpay_order_id": order_id}
    if payment.body["status"] == "created":
        return Answer.json({"status": "created", **ids})
    if payment.body["status"] == "failed":
        return DECLINES[payment.body["error_reason"]].answer(payment.id, order_id)
    signature = of_checkout(order_id, payment.id, account.world.config.razorpay_key_secret)
    return Answer.json({**ids, "razorpay_signature": signature})


def script(world: World, call: Incoming) -> Answer:  # noqa: ARG001  the same for everyone
    """checkout.js; any page may load it."""
    headers = {
        "content-type": "text/javascript; charset=utf-8",
        "cache-control": "no-cache",
        "cross-origin-resource-policy": "cross-origin",
    }
    return Answer(200, SCRIPT.read_bytes(), headers)


def preflight(world: World, call: Incoming) -> Answer:  # noqa: ARG001  the same for everyone
    """Any page may post JSON."""
    headers = {"access-control-allow-methods": "GET, POST", "access-control-allow-headers": "content-type"}
    return Answer(204, b"", headers)
