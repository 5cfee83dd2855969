"""Who may do what: one table of permission × route, held against the application's own routes."""

import http.client
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from starlette.routing import Route

import outgoing
from counterfoil.domain.operator import Role
from counterfoil.services import keys
from counterfoil.store import keys as stored_keys
from counterfoil.web.app import create_app
from counterfoil.web.security import Requires
from service import Service

# The least role that each route asks for.
WHO = """
    POST  /api/payments                            support
    GET   /api/payments                            viewer
    GET   /api/payments/{payment_id}               viewer
    GET   /api/payments/{payment_id}/timeline      viewer
    POST  /api/payments/{payment_id}/confirm       support
    POST  /api/payments/{payment_id}/capture       support
    POST  /api/payments/{payment_id}/cancel        support
    POST  /api/payments/{payment_id}/sync          support
    GET   /api/payments/webhooks                   viewer
    GET   /api/payments/webhooks/{webhook_id}      viewer
    POST  /api/payments/webhooks/{webhook_id}/replay   admin
    POST  /api/payments/webhooks/{webhook_id}/ignore   admin
    POST  /api/payments/webhooks/replay            admin
    POST  /api/payments/routing/explain            viewer
    POST  /api/payments/{payment_id}/attempts      support
    GET   /api/payments/settings                   admin
    PATCH /api/payments/settings                   admin
    POST  /api/payments/endpoints                  admin
    GET   /api/payments/endpoints                  admin
    GET   /api/payments/endpoints/{endpoint_id}    admin
    PATCH /api/payments/endpoints/{endpoint_id}    admin
    DELETE /api/payments/endpoints/{endpoint_id}   admin
    POST  /api/payments/endpoints/{endpoint_id}/rotate         admin
    POST  /api/payments/endpoints/{endpoint_id}/test           admin
    POST  /api/payments/endpoints/{endpoint_id}/replay         admin
    GET   /api/payments/endpoints/{endpoint_id}/deliveries     admin
    GET   /api/payments/endpoints/{endpoint_id}/deliveries/{event_id}         admin
    POST  /api/payments/endpoints/{endpoint_id}/deliveries/{event_id}/replay  admin
    GET   /api/payments/events                     viewer
    POST  /api/payments/{payment_id}/fulfil        support
    POST  /api/payments/{payment_id}/refund        support
    GET   /api/payments/refunds                    viewer
    GET   /api/payments/refunds/pending            viewer
    GET   /api/payments/refunds/report             viewer
    GET   /api/payments/refunds/{refund_id}        viewer
    POST  /api/payments/refunds/{refund_id}/approve    approver
    POST  /api/payments/refunds/{refund_id}/reject     approver
    POST  /api/payments/refunds/{refund_id}/cancel     support
    POST  /api/payments/refunds/{refund_id}/send       approver
    POST  /api/payments/refunds/{refund_id}/retry      approver
    POST  /api/payments/refunds/{refund_id}/manual     approver
    GET   /api/payments/refunds/batches                    viewer
    POST  /api/payments/refunds/batches                    approver
    GET   /api/payments/refunds/batches/{batch_id}         viewer
    GET   /api/payments/refunds/batches/{batch_id}/result  viewer
    POST  /api/payments/refunds/batches/{batch_id}/approve approver
    POST  /api/payments/refunds/batches/{batch_id}/reject  approver
    POST  /api/payments/refunds/batches/{batch_id}/cancel  approver
    GET   /api/payments/{payment_id}/receipt               viewer
    GET   /api/payments/refunds/{refund_id}/receipt        viewer
    GET   /api/payments/receipts                           viewer
    GET   /api/payments/receipts/export                    viewer
    POST  /api/payments/receipts/exports                   viewer
    GET   /api/payments/receipts/exports                   viewer
    GET   /api/payments/receipts/exports/{export_id}       viewer
    GET   /api/payments/receipts/exports/{export_id}/file  viewer
    POST  /api/payments/receipts/exports/{export_id}/cancel viewer
    GET   /api/payments/receipts/{receipt_id}              viewer
    POST  /api/payments/receipts/{receipt_id}/void         admin
    GET   /api/payments/receipts/{receipt_id}/deliveries   viewer
    GET   /api/payments/receipts/templates                 admin
    POST  /api/payments/receipts/templates                 admin
    GET   /api/payments/receipts/templates/{name}          admin
    GET   /api/payments/receipts/templates/{name}/versions admin
    GET   /api/payments/receipts/templates/{name}/versions/{version} admin
    POST  /api/payments/receipts/templates/{name}/preview  admin
    POST  /api/payments/receipts/templates/{name}/publish  admin
    POST  /api/payments/receipts/templates/{name}/withdraw admin
    POST  /api/payments/{payment_id}/receipt/deliver       support
    GET   /api/payments/exceptions                         viewer
    POST  /api/payments/exceptions/{exception_id}/resolve  approver
    GET   /api/payments/disputes                           viewer
    GET   /api/payments/disputes/{dispute_id}              viewer
    GET   /api/payments/disputes/{dispute_id}/evidence     support
    PUT   /api/payments/disputes/{dispute_id}/evidence     support
    POST  /api/payments/disputes/{dispute_id}/submit       approver
    POST  /api/payments/disputes/{dispute_id}/accept       approver
"""
# What needs no key, and why.
OPEN = {
    "/webhooks/": "the gateway's signature vouches",
    "/r/": "the receipt's signed link vouches",
    "/pay": "the customer's signed link vouches",
    "/static": "nothing of anybody's",
    "/healthz": "told to whoever watches",
    "/readyz": "told to whoever watches",
    "/metrics": "told to whoever watches: counts, no names",
    "/openapi.json": "documentation",
    "/docs": "documentation",
}
# Which roles include which: the reader's own list, not the program's.
INCLUDED = {
    "admin": {"admin", "approver", "support", "viewer"},
    "approver": {"approver", "support", "viewer"},
    "support": {"support", "viewer"},
    "viewer": {"viewer"},
    "auditor": {"auditor", "viewer"},
}
IDS = {
    "payment_id": "pmt_01m82q4mexgp9s3vb3tax4n4pn",
    "webhook_id": "whk_01m82q4mexgp9s3vb3tax4n4pn",
    "endpoint_id": "ept_01m82q4mexgp9s3vb3tax4n4pn",
    "event_id": "out_01m82q4mexgp9s3vb3tax4n4pn",
    "refund_id": "rfn_01m82q4mexgp9s3vb3tax4n4pn",
    "receipt_id": "rct_01m82q4mexgp9s3vb3tax4n4pn",
    "export_id": "exp_01m82q4mexgp9s3vb3tax4n4pn",
    "batch_id": "bat_01m82q4mexgp9s3vb3tax4n4pn",
    "dispute_id": "dsp_01m82q4mexgp9s3vb3tax4n4pn",
    "exception_id": "exc_01m82q4mexgp9s3vb3tax4n4pn",
    "name": "kaveri",
    "version": "1",
}
# What a request needs to come as far as the thing it is about: by its last word, or by method and path.
BODIES: dict[str, Any] = {
    "confirm": {"payment_method": "pm_card_visa"},
    "explain": {"amount": 100, "currency": "USD"},
    "accept": {"confirm": True},
    "refund": {"reason": "duplicate"},
    "reject": {"reason": "goods were used"},
    "void": {"reason": "wrong name"},
    "resolve": {"note": "paid back"},
    "exports": {"issued_from": "2026-10-01", "issued_to": "2026-11-01"},
    "deliver": {"channels": ["email"]},
    "manual": {"evidence": "UTR 1"},
    "evidence": {"summary": "Delivered."},
    "templates": {"name": "kaveri", "files": {"main.typ": "Paid"}},
    "batches": {"name": "march.csv", "csv": "payment,reason\npmt_01m82q4mexgp9s3vb3tax4n4pn,duplicate\n"},
    "POST /api/payments/webhooks/replay": {"status": "dead"},
    "PATCH /api/payments/endpoints/{endpoint_id}": {"enabled": False},
    "POST /api/payments/endpoints/{endpoint_id}/replay": {"since": "2026-11-22T12:00:00Z"},
}
TABLE = [tuple(line.split()) for line in WHO.strip().splitlines()]


def declared(route: APIRoute) -> str | None:
    """The least role of the route, as it declares it."""
    asked = [one.call.role for one in route.dependant.dependencies if isinstance(one.call, Requires)]
    return asked[0].value if asked else None


def all_routes(service: Service) -> Iterator[tuple[str, str, Any]]:
    for found in iter_route_contexts(create_app(service.house, work=False).routes):
        methods = getattr(found, "methods", None) or {"any"}
        for method in set(methods) - {"HEAD"}:
            yield method, found.path, found.original_route


def test_every_route_declares_who_may_use_it(service):
    found = {
        (method, path, declared(route))
        for method, path, route in all_routes(service)
        if isinstance(route, APIRoute)
    }
    assert found == set(TABLE)


def test_what_needs_no_key_is_listed_with_its_reason(service):
    unkeyed = [path for _, path, route in all_routes(service) if not isinstance(route, APIRoute)]
    assert len(unkeyed) >= 7
    assert not [path for path in unkeyed if path != "/" and not path.startswith(tuple(OPEN))]
    assert all(isinstance(route, APIRoute | Route) or path.startswith("/static") for _, path, route in all_routes(service))  # fmt: skip


def test_every_route_stands_in_the_description_with_its_key(service):
    described = service.get("/openapi.json", key="").json["paths"]
    assert {(method.upper(), path) for path, verbs in described.items() for method in verbs} == {
        (method, path) for method, path, _ in TABLE
    }
    assert all(
        verb["security"] == [{"API key": []}] for verbs in described.values() for verb in verbs.values()
    )


@pytest.mark.parametrize("role", [role.value for role in Role])
@pytest.mark.parametrize(("method", "path", "needs"), TABLE)
def test_a_role_gets_what_it_includes_and_no_more(service, method, path, needs, role):
    answer = service.call(method, path.format(**IDS), key=service.key(role))
    if needs in INCLUDED[role]:
        assert answer.status not in {401, 403}
        return
    assert (answer.status, answer.json["code"]) == (403, "not_permitted")
    assert (answer.json["needs"], answer.json["has"]) == (needs, role)


@pytest.mark.parametrize(("method", "path", "needs"), TABLE)
def test_without_a_key_there_is_nothing(service, method, path, needs):
    answer = service.call(method, path.format(**IDS), key="")
    assert (answer.status, answer.json["code"]) == (401, "not_authenticated")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "header",
    ["", "Bearer", "Bearer ", "Bearer x", "Bearer " + "x" * 201, "Basic cf_sandbox_x", "cf_sandbox_x", "Bearer ké", "Bearer a b"],
)  # fmt: skip
def test_what_is_no_key_of_ours_is_refused(service, header):
    answer = service.call("GET", "/api/payments", key="", headers={"authorization": header})
    assert answer.status == 401


def without_its_body(service: Service, authorization: str) -> int:
    """What is answered to a request whose body of two megabytes is announced, and not sent."""
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=2)
    try:
        connection.putrequest("POST", "/api/payments/refunds/batches")
        for name, value in (("content-type", "application/json"), ("content-length", "2000000")):
            connection.putheader(name, value)
        connection.putheader("authorization", authorization)
        connection.endheaders()
        return connection.getresponse().status
    finally:
        connection.close()


@pytest.mark.parametrize("header", ["", "Bearer x", "Bearer cf_sandbox_" + "x" * 43])
def test_nothing_of_a_body_is_waited_for_or_looked_at_for_who_has_no_key(service, header):
    assert without_its_body(service, header) == 401
    for body in (b"{", b'{"note": "4242424242424242"}', b"[" * 100_000, b"x" * 300_000):
        answer = service.call(
            "POST", "/api/payments", body, key="", headers={"authorization": header} if header else {}
        )
        assert (answer.status, answer.json["code"]) == (401, "not_authenticated")
    with pytest.raises(TimeoutError):  # with a key it is waited for
        without_its_body(service, f"Bearer {service.key('approver')}")


def test_the_connection_of_a_body_that_was_not_read_serves_the_next_request(service):
    connection = http.client.HTTPConnection(urlsplit(service.url).netloc, timeout=5)
    try:
        for authorization, status in (("", 401), (f"Bearer {service.key()}", 413)):
            headers = {"content-type": "application/json", "authorization": authorization}
            connection.request("POST", "/api/payments", b"x" * 2_000_000, headers)
            answer = connection.getresponse()
            assert answer.status == status
            answer.read()
    finally:
        connection.close()


def test_a_key_is_looked_up_once_a_request(service, monkeypatch):
    asked, by_digest = [], stored_keys.by_digest

    async def counting(*named: Any) -> Any:
        asked.append(named)
        return await by_digest(*named)

    monkeypatch.setattr(stored_keys, "by_digest", counting)
    assert service.post("/api/payments", {"amount": 100, "currency": "USD"}).status == 201
    assert service.get("/api/payments").status == 200
    assert len(asked) == 2


def test_the_scheme_may_be_written_in_any_case(service):
    sent = {"authorization": f"bearer   {service.key('viewer')} "}
    assert service.call("GET", "/api/payments", key="", headers=sent).status == 200


def test_a_revoked_key_is_refused_at_once(service):
    key, text = service.run(keys.create(service.context, name="short", role=Role.VIEWER, actor="tests"))
    assert service.get("/api/payments", key=text).status == 200
    assert service.run(keys.revoke(service.context, key.id, "tests"))
    assert service.get("/api/payments", key=text).status == 401


def test_a_key_of_the_other_mode_sees_nothing_of_this_one(service):
    live = service.key("admin", "live")
    made = service.create(
        reference="sandbox alone", payment_method="pm_card_visa", confirm=True, capture="manual"
    )
    service.eventually(lambda: service.get("/api/payments/webhooks").json["data"])
    letter = service.get("/api/payments/webhooks").json["data"][0]
    endpoint, _ = service.run(outgoing.an_endpoint(service.context, "https://8.8.8.8/"))
    assert service.get("/api/payments/endpoints", key=live).json == {"data": [], "next_cursor": None}
    assert service.get("/api/payments", key=live).json == {"data": [], "next_cursor": None}
    assert service.get("/api/payments/webhooks", key=live).json == {"data": [], "next_cursor": None}
    for method, path, _ in TABLE:
        if "{" in path:
            there = path.format(
                **IDS | {"payment_id": made["id"], "webhook_id": letter["id"], "endpoint_id": endpoint.id}
            )
            body = BODIES.get(f"{method} {path}") or BODIES.get(path.rpartition("/")[2])
            answer = service.call(method, there, body, key=live)
            assert (answer.status, answer.json["code"]) == (404, "not_found"), path
    assert service.payment(made["id"])["status"] == "authorized"


def test_a_key_of_the_other_mode_cannot_pay_with_this_ones_gateways(service):
    answer = service.post(
        "/api/payments", {"amount": 100, "currency": "USD"}, key=service.key("admin", "live")
    )
    assert (answer.status, answer.json["code"]) == (422, "no_gateway")


def test_an_idempotency_key_of_the_other_mode_is_another_key(service):
    made = service.create(reference="mine", idempotency_key="shared between modes")
    asked = {"amount": 10_000, "currency": "USD", "reference": "mine"}
    other = service.post("/api/payments", asked, key=service.key("admin", "live"), idempotency_key="shared between modes")  # fmt: skip
    assert other.status == 422
    assert made["id"] not in other.body.decode()


def test_the_text_of_a_key_is_stored_nowhere(service):
    text = service.key("approver")
    (row,) = service.rows("SELECT a::text AS whole FROM api_keys a WHERE role = 'approver'")
    assert text not in row["whole"]
    assert text.removeprefix("cf_sandbox_")[:20] not in row["whole"]
