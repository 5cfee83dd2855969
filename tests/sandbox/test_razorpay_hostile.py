"""Whatever is sent to the sandbox's Razorpay, it answers as Razorpay would, and never with a failure of its own."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sandbox_razorpay import Shop, open_shop

NAMES = st.sampled_from(
    [
        *(
            "amount",
            "currency",
            "receipt",
            "notes",
            "payment",
            "payment_capture",
            "capture",
            "capture_options",
        ),
        *("speed", "payment_id", "method", "card", "vpa", "bank", "number", "expiry", "cvv", "x"),
    ]
)
LEAVES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**18, 10**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=60),
    st.sampled_from(["INR", "card", "upi", "automatic", "optimum", "success@razorpay"]),
)
JSON = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(NAMES | st.text(max_size=9), inner, max_size=6)
    ),
    max_leaves=12,
)
OBJECTS = st.dictionaries(NAMES, JSON, max_size=6)
ONE_BY_ONE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def shop():
    with open_shop() as shop:
        shop.sandbox.webhooks(deliver_to=None)
        yield shop


@pytest.fixture(scope="module")
def made(shop: Shop):
    """An order, an authorized and a captured payment: what hostile calls are about."""
    order = shop.order()
    disputed = shop.captured()["id"]
    return {
        "order": order["id"],
        "authorized": shop.paid(order)["id"],
        "captured": shop.captured()["id"],
        "dispute": shop.act("dispute", payment_id=disputed)["id"],
    }


def bears(answer):
    status, body = answer
    assert status in {200, 400, 401, 413}, body
    assert "entity" in body or "razorpay_payment_id" in body or body["error"]["code"]


@ONE_BY_ONE
@given(body=OBJECTS | JSON)
def test_any_json_is_answered_everywhere(shop, made, body):
    bears(shop.api("POST", "orders", body))
    bears(shop.api("PATCH", f"orders/{made['order']}", body))
    bears(shop.api("POST", f"payments/{made['authorized']}/capture", body))
    bears(shop.api("POST", f"payments/{made['captured']}/refund", body))
    bears(shop.api("POST", "refunds", body))
    bears(shop.api("PATCH", f"disputes/{made['dispute']}/contest", {**evidence(body), "action": "draft"}))
    bears(shop.call("POST", "/razorpay/checkout/pay", body))


def evidence(body):
    """The same values under the names that evidence has."""
    names = ("amount", "summary", "others", "billing_proof", "explanation_letter")
    values = list(body.values()) if isinstance(body, dict) else [body]
    return dict(zip(names, values, strict=False))


@ONE_BY_ONE
@given(
    body=st.binary(max_size=300)
    | st.lists(
        st.sampled_from(
            [b"--b", b"--b--", b"\r\n", b"Content-Disposition: form-data; name=", b'"file"', b'"purpose"',
             b"; filename=\xff", b"dispute_evidence", b"%PDF-1", b"Content-Type: ", b"\x00", b":", b"=?utf-8?b?a"]
        )
    ).map(b"".join),
    kind=st.sampled_from(["multipart/form-data; boundary=b", "multipart/form-data", "x", "multipart/mixed; boundary="]),
)  # fmt: skip
def test_any_form_is_answered(shop, body, kind):
    bears(shop.api("POST", "documents", body, **{"content-type": kind}))


@ONE_BY_ONE
@given(chosen=OBJECTS)
def test_any_choice_of_a_customer_is_answered(shop, made, chosen):
    body = {"key": shop.auth[0], "order_id": made["order"], "method": "card", **chosen}
    bears(shop.call("POST", "/razorpay/checkout/pay", body))


@ONE_BY_ONE
@given(body=st.binary(max_size=200))
def test_any_bytes_are_answered(shop, made, body):
    bears(shop.api("POST", "orders", body))
    bears(shop.call("POST", "/razorpay/checkout/pay", body))


@ONE_BY_ONE
@given(query=st.text(alphabet="0123456789abcdef%&=[]-+ countskipromexpand", max_size=40))
def test_any_query_is_answered(shop, made, query):
    for path in ("orders", "payments", "refunds", "disputes", f"disputes/{made['dispute']}"):
        bears(shop.api("GET", f"{path}?{query.replace(' ', '+')}"))
    for path in (f"payments/{made['captured']}", f"payments/{made['captured']}/refunds"):
        bears(shop.api("GET", f"{path}?{query.replace(' ', '+')}"))


@ONE_BY_ONE
@given(
    authorization=st.text(
        alphabet=st.characters(min_codepoint=33, max_codepoint=255, exclude_characters="\x7f"), max_size=40
    )
)
def test_any_credentials_are_answered(shop, authorization):
    header = f"Basic {authorization}".encode("latin-1")
    assert shop.call("GET", "/razorpay/v1/orders", headers={"authorization": header})[0] == 401
