"""Customers, as far as payments need them."""

from typing import Final

from counterfoil.sandbox.stripe.api import Endpoint
from counterfoil.sandbox.stripe.lists import listed
from counterfoil.sandbox.stripe.params import ADDRESS, LIST, SHIPPING, Shape, expand, merged, metadata, text
from counterfoil.sandbox.stripe.session import Session
from counterfoil.sandbox.truth import Json

SETTINGS: Final = {
    "custom_fields": None,
    "default_payment_method": None,
    "footer": None,
    "rendering_options": None,
}


def create(session: Session, params: Json) -> Json:
    customer: Json = {
        "id": f"cus_{session.world.ids.word(14)}",
        "object": "customer",
        "address": params.get("address"),
        "balance": 0,
        "created": session.now,
        "currency": None,
        "default_source": None,
        "delinquent": False,
        "description": params.get("description"),
        "discount": None,
        "email": params.get("email"),
        "invoice_prefix": session.world.ids.word(8).upper(),
        "invoice_settings": SETTINGS,
        "livemode": session.world.config.livemode,
        "metadata": merged({}, params.get("metadata")),
        "name": params.get("name"),
        "next_invoice_sequence": 1,
        "phone": params.get("phone"),
        "preferred_locales": [],
        "shipping": params.get("shipping"),
        "tax_exempt": "none",
        "test_clock": None,
    }
    session.save(customer)
    session.emit("customer.created", customer)
    return customer


def retrieve(session: Session, _params: Json) -> Json:
    return session.need("customer", session.id, "customer")


def search(session: Session, params: Json) -> Json:
    where = {"email": params["email"]} if "email" in params else None
    return listed(session, "customer", "/v1/customers", params, where=where)


ENDPOINTS: Final = [
    Endpoint(
        "customers.create",
        "POST",
        "/v1/customers",
        Shape(
            address=ADDRESS,
            description=text,
            email=text,
            expand=expand,
            metadata=metadata,
            name=text,
            phone=text,
            shipping=SHIPPING,
        ),
        create,
    ),
    Endpoint("customers.list", "GET", "/v1/customers", Shape(**LIST, email=text), search),
    Endpoint("customers.retrieve", "GET", "/v1/customers/{id}", Shape(expand=expand), retrieve),
]
