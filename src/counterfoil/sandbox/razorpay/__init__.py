"""Razorpay imitated: orders, payments, refunds, downtimes, Checkout and webhooks."""

from collections.abc import Callable
from functools import partial
from typing import Final

from starlette.routing import BaseRoute, Route

from counterfoil.sandbox.calls import Answer, Call, Dialect, Handler, Incoming, RefusedError, route
from counterfoil.sandbox.control import acts
from counterfoil.sandbox.plug import Plug
from counterfoil.sandbox.razorpay import (
    checkout,
    control,
    disputes,
    disputing,
    downtimes,
    orders,
    paying,
    payments,
    refunding,
    refunds,
)
from counterfoil.sandbox.razorpay.account import (
    ADJUSTMENT,
    DISPUTE,
    DOCUMENT,
    ORDER,
    PAYMENT,
    REFUND,
    Account,
)
from counterfoil.sandbox.razorpay.dialect import GATEWAY, CheckoutDialect, RazorpayDialect
from counterfoil.sandbox.razorpay.errors import plain
from counterfoil.sandbox.razorpay.hooks import Hooks
from counterfoil.sandbox.razorpay.instruments import APPROVED_CARDS, DECLINED_CARDS
from counterfoil.sandbox.world import World

# Earlier rows win: `downtimes` is no payment id.
API: Final[tuple[tuple[str, str, str, Handler], ...]] = (
    ("orders.create", "POST", "/v1/orders", orders.create),
    ("orders.list", "GET", "/v1/orders", orders.list_all),
    ("orders.retrieve", "GET", "/v1/orders/{id}", orders.retrieve),
    ("orders.update", "PATCH", "/v1/orders/{id}", orders.update),
    ("orders.payments", "GET", "/v1/orders/{id}/payments", orders.payments),
    ("payments.list", "GET", "/v1/payments", payments.list_all),
    ("downtimes.list", "GET", "/v1/payments/downtimes", downtimes.list_all),
    ("downtimes.retrieve", "GET", "/v1/payments/downtimes/{id}", downtimes.retrieve),
    ("payments.retrieve", "GET", "/v1/payments/{id}", payments.retrieve),
    ("payments.update", "PATCH", "/v1/payments/{id}", payments.update),
    ("payments.card", "GET", "/v1/payments/{id}/card", payments.card),
    ("payments.capture", "POST", "/v1/payments/{id}/capture", payments.capture),
    ("payments.refund", "POST", "/v1/payments/{id}/refund", refunds.create_for_payment),
    ("payments.refunds", "GET", "/v1/payments/{id}/refunds", refunds.list_of_payment),
    (
        "payments.refunds.retrieve",
        "GET",
        "/v1/payments/{id}/refunds/{refund_id}",
        refunds.retrieve_of_payment,
    ),
    ("refunds.create", "POST", "/v1/refunds", refunds.create),
    ("refunds.list", "GET", "/v1/refunds", refunds.list_all),
    ("refunds.retrieve", "GET", "/v1/refunds/{id}", refunds.retrieve),
    ("refunds.update", "PATCH", "/v1/refunds/{id}", refunds.update),
    ("disputes.list", "GET", "/v1/disputes", disputes.list_all),
    ("disputes.retrieve", "GET", "/v1/disputes/{id}", disputes.retrieve),
    ("disputes.accept", "POST", "/v1/disputes/{id}/accept", disputes.accept),
    ("disputes.contest", "PATCH", "/v1/disputes/{id}/contest", disputes.contest),
    ("documents.create", "POST", "/v1/documents", disputes.upload),
    ("documents.retrieve", "GET", "/v1/documents/{id}", disputes.document),
    ("documents.content", "GET", "/v1/documents/{id}/content", disputes.document_content),
)
BROWSER: Final[tuple[tuple[str, str, str, Handler], ...]] = (
    ("checkout.script", "GET", "/checkout.js", checkout.script),
    ("checkout.preflight", "OPTIONS", "/checkout/pay", checkout.preflight),
    ("checkout.pay", "POST", "/checkout/pay", checkout.pay),
    ("checkout.status", "GET", "/checkout/payments/{id}", checkout.status),
)
ANY_METHOD: Final = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]


def plug(world: World) -> Plug:
    return Plug(
        gateway=GATEWAY,
        routes=_routes(world),
        controls=_controls(world),
        timers=_timers(world),
        carrier=Hooks(world),
        kinds={
            "orders": ORDER,
            "payments": PAYMENT,
            "refunds": REFUND,
            "disputes": DISPUTE,
            "adjustments": ADJUSTMENT,
            "documents": DOCUMENT,
        },
        money=lambda: control.money(world),
        begin=lambda: None,
        cards=_test_values(),
    )


def _routes(world: World) -> list[BaseRoute]:
    api, browser = RazorpayDialect(), CheckoutDialect()
    return [
        *(route(world, browser, *row) for row in BROWSER),
        *(route(world, api, *row) for row in API),
        Route("/{path:path}", Call(world, api, "unknown", _unknown_url), methods=ANY_METHOD),
    ]


def _unknown_url(world: World, call: Incoming) -> Answer:  # noqa: ARG001  the same for everyone
    """A path or a method that is not there: 400, not 404."""
    raise RefusedError(plain("The requested URL was not found on the server."))


def _controls(world: World) -> list[Route]:
    script: Dialect = CheckoutDialect()
    acted = {
        "/": control.switch,
        "/late_authorize": control.late_authorize,
        "/refund": control.end_refund,
        "/dashboard_refund": control.refund_by_hand,
        "/dispute": control.dispute,
        "/dispute_status": control.dispute_status,
        "/downtime": control.downtime,
    }
    return [
        *(Route(path, acts(control.acting(world, act)), methods=["POST"]) for path, act in acted.items()),
        route(world, script, "checkout.pay", "POST", "/pay", checkout.pay_by_script),
    ]


def _timers(world: World) -> dict[str, Callable[[str], None]]:
    account = Account(world)
    return {
        paying.EXPIRE_PENDING: partial(paying.expire_pending, account),
        paying.GIVE_BACK: partial(paying.give_back, account),
        disputing.DEADLINE: partial(disputing.expire, account),
        refunding.CHANGE_SPEED: partial(refunding.change_speed, account),
        refunding.SETTLE: partial(refunding.settle, account),
        refunding.REFERENCE: partial(refunding.give_reference, account),
    }


def _test_values() -> list[tuple[str, str]]:
    return [
        *((number, f"{network}, approved") for number, network in APPROVED_CARDS.items()),
        *((number, f"Visa, {reason}") for number, reason in DECLINED_CARDS.items()),
        ("success@razorpay", "UPI, approved"),
        ("failure@razorpay", "UPI, payment_failed"),
        ("pending@razorpay", "UPI, created; failed after ten minutes; may be authorized late"),
        ("retry@razorpay", "UPI, failed, then authorized under the same id"),
    ]
