"""Who may see a payment's page."""

from dataclasses import replace
from datetime import timedelta
from http.cookies import SimpleCookie
from urllib.parse import quote

import pytest
from starlette.requests import Request
from starlette.responses import Response

from counterfoil.web.checkout import visits
from customer import Customer, arrive, path_of, text_of
from service import call

ABSENT = "pmt_01m82q4mexgp9s3vb3tax4n4pn"


def token_of(customer: Customer) -> str:
    return customer.link.partition("?token=")[2]


def test_a_links_token_is_swapped_for_a_cookie_and_leaves_the_address(service):
    customer = Customer(service, service.create())
    answer = customer.get(customer.link)
    assert answer.status == 303
    assert path_of(answer) == customer.page
    assert token_of(customer) not in str(answer.headers)
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"


def test_the_cookie_is_for_this_payments_pages_and_out_of_reach_of_scripts(service):
    customer = Customer(service, service.create())
    [cookie] = SimpleCookie(customer.get(customer.link).headers["set-cookie"]).values()
    assert cookie["path"] == customer.page
    assert cookie["httponly"] is True
    assert cookie["samesite"].lower() == "lax"
    assert int(cookie["max-age"]) == 24 * 3600
    assert not cookie["domain"]
    assert not cookie["secure"]  # this service is reached by http


def test_over_https_the_cookie_is_secure(service):
    response = Response()
    public = replace(service.context, public_url="https://pay.shop.example")
    visits.begin(public, ABSENT, response, path=f"/pay/{ABSENT}")
    assert "; secure" in response.headers["set-cookie"].lower()


def test_with_the_cookie_the_page_opens_again_and_again(service):
    customer = arrive(service)
    assert [customer.get().status for _ in range(3)] == [200, 200, 200]


def test_without_the_cookie_nothing_of_the_payment_is_shown(service):
    customer = Customer(service, service.create(description="A secret present"))
    for path in ("", "/return"):
        answer = customer.get(customer.page + path)
        assert answer.status == 403
        assert "A secret present" not in answer.body.decode()
        assert "Open the link again" in text_of(answer)
    status = customer.get(f"{customer.page}/status")
    assert (status.status, status.json["status"]) == (403, "refused")


def hostile(token: str) -> list[str]:
    until, _, mark = token.partition(".")
    return [
        "",
        "x",
        ".",
        f"{until}.",
        f"{int(until, 16) + 3600:x}.{mark}",
        f"{until}.{mark[:-1]}",
        f"{until}.{mark}A",
        f"{until}.{mark.swapcase()}",
        f"-{until}.{mark}",
        f"0{until}.{mark}",
        "f" * 5000,
        "%00",
        "%ff%fe",
        "é.ü",
        "9" * 13 + f".{mark}",
    ]


def test_a_token_that_was_changed_opens_nothing(service):
    customer = Customer(service, service.create())
    for token in hostile(token_of(customer)):
        answer = customer.get(f"{customer.page}?token={quote(token, safe='%')}")
        assert (answer.status, answer.headers.get("set-cookie")) == (403, None), token


def test_another_payments_link_and_no_payment_at_all_look_the_same(service):
    mine, other = Customer(service, service.create()), Customer(service, service.create())
    signed = service.context.vault.sign_link(ABSENT, service.context.now() + timedelta(hours=1))
    bodies = {
        mine.get(f"{mine.page}?token={token_of(other)}").body,
        mine.get(f"{mine.page}?token=wrong").body,
        mine.get(f"/pay/{ABSENT}?token={token_of(mine)}").body,
        mine.get(f"/pay/{ABSENT}").body,
        mine.get("/pay/anything-else").body,
        mine.get("/pay/ch_1234").body,
    }
    assert len(bodies) == 1
    # Even a link that we signed says no more of a payment that is not there.
    absent = Customer(service, {"id": ABSENT, "checkout": {"url": f"/pay/{ABSENT}?token={signed}"}})
    absent.open()
    assert absent.get().status == 403
    assert absent.get().body in bodies


def test_a_cookie_opens_the_payment_it_was_given_for_and_no_other(service):
    mine, other = arrive(service), Customer(service, service.create())
    other.cookie = mine.cookie
    assert other.get().status == 403


def test_a_links_token_is_no_cookie_and_a_cookie_no_token(service):
    customer = arrive(service)
    value = customer.cookie.partition("=")[2]
    assert customer.get(f"{customer.page}?token={value}").status == 403
    customer.cookie = f"{visits.COOKIE}={token_of(customer)}"
    assert customer.get().status == 403


def test_a_link_that_has_ended_says_so_and_what_to_do(service):
    customer = Customer(service, service.create())
    past = service.context.vault.sign_link(customer.id, service.context.now() - timedelta(seconds=1))
    answer = customer.get(f"{customer.page}?token={past}")
    assert answer.status == 410
    assert "set-cookie" not in answer.headers
    assert "Ask the shop for a new link" in text_of(answer)


def test_a_visit_ends_after_a_day(service):
    customer = arrive(service)
    old = service.context.vault.sign_link(
        f"visit/{customer.id}", service.context.now() - timedelta(seconds=1)
    )
    customer.cookie = f"{visits.COOKIE}={old}"
    assert customer.get().status == 410


def request(**headers: str) -> Request:
    pairs = [(name.replace("_", "-").encode(), text.encode()) for name, text in headers.items()]
    return Request({"type": "http", "method": "POST", "path": "/", "headers": pairs})


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec_fetch_site": "same-origin"}, True),
        ({"sec_fetch_site": "same-origin", "origin": "https://pay.shop.example"}, True),
        ({"origin": "https://pay.shop.example"}, True),
        ({"origin": "http://inside:8400", "host": "inside:8400"}, True),
        ({"sec_fetch_site": "same-origin", "origin": "null"}, False),
        ({}, False),
        ({"sec_fetch_site": "same-site"}, False),
        ({"sec_fetch_site": "cross-site"}, False),
        ({"sec_fetch_site": "none"}, False),
        ({"sec_fetch_site": "cross-site", "origin": "https://pay.shop.example"}, False),
        ({"sec_fetch_site": "same-origin", "origin": "https://evil.example"}, False),
        ({"origin": "https://evil.example"}, False),
        ({"origin": "https://pay.shop.example.evil.example"}, False),
        ({"origin": "https://evil.example/pay.shop.example"}, False),
        ({"origin": "https://pay.shop.example:8443"}, False),
        ({"origin": "null"}, False),
        ({"origin": "null", "host": ""}, False),
        ({"origin": ""}, False),
    ],
)
def test_only_our_own_pages_may_send(headers, ours):
    assert visits.same_origin(request(**headers), "https://pay.shop.example/shop") is ours


def test_methods_that_a_page_does_not_take_are_refused(service):
    customer = arrive(service)
    for method, path in (("POST", ""), ("GET", "/confirm"), ("PUT", ""), ("DELETE", "/return")):
        answer = call(service.url, method, customer.page + path, headers={"cookie": customer.cookie})
        assert answer.status == 405


@pytest.mark.parametrize(
    ("headers", "ours"),
    [
        ({"sec_fetch_site": "same-origin", "origin": "null"}, True),
        ({"sec_fetch_site": "same-origin", "origin": "https://pay.shop.example"}, True),
        ({"sec_fetch_site": "cross-site", "origin": "null"}, False),
        ({"origin": "null"}, False),
        ({}, False),
    ],
)
def test_a_form_of_ours_may_hide_where_it_stands(headers, ours):
    assert visits.by_our_form(request(**headers), "https://pay.shop.example/shop") is ours
