"""A customer at the checkout without a browser: opens the link, keeps the cookie, sends what the fields would send."""

import re
from html.parser import HTMLParser
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode, urlsplit

from service import Answer, Service, call

GOOD_CARD = "4242424242424242"
DECLINED_CARD = "4000000000000002"
LOST_CARD = "4000000000009987"
CHALLENGED_CARD = "4000000000003220"

# What a browser says when one of our own pages posts to us.
OWN_PAGE = {"sec-fetch-site": "same-origin"}


class Customer:
    """One customer of one payment."""

    def __init__(self, service: Service, payment: Any) -> None:
        self.service = service
        self.id = payment["id"]
        self.link = payment["checkout"]["url"].removeprefix(service.url)
        self.page = f"/pay/{self.id}"
        self.cookie = ""

    def open(self) -> Answer:
        """Follow the link; the cookie is kept."""
        answer = self.get(self.link)
        self.cookie = _cookie(answer)
        return answer

    def get(self, path: str | None = None) -> Answer:
        headers = {"cookie": self.cookie} if self.cookie else {}
        return call(self.service.url, "GET", path or self.page, headers=headers)

    def result(self) -> str:
        """What the result page says, as text."""
        answer = self.get(f"{self.page}/return")
        assert answer.status == 200, answer
        return text_of(answer)

    def post(self, body: Any, **headers: str) -> Answer:
        cookie = {"cookie": self.cookie} if self.cookie else {}
        sent = cookie | OWN_PAGE | {name.replace("_", "-"): text for name, text in headers.items()}
        return call(self.service.url, "POST", f"{self.page}/confirm", body, headers=sent)

    def token(self, card: str = GOOD_CARD) -> str:
        """What Stripe's fields make of a card."""
        data = {"number": card, "exp_month": "12", "exp_year": "2034", "cvc": "123"}
        form = {"payment_method_data[type]": "card", "return_url": f"{self.service.url}{self.page}/return"}
        form |= {f"payment_method_data[card][{name}]": value for name, value in data.items()}
        key = self.service.sandbox.config.stripe_publishable_key
        headers = {
            "authorization": f"Bearer {key}",
            "content-type": "application/x-www-form-urlencoded",
        }
        path = "/stripe/v1/confirmation_tokens"
        answer = call(self.service.sandbox.url, "POST", path, urlencode(form).encode(), headers=headers)
        assert answer.status == 200, answer
        return str(answer.json["id"])

    def pay(self, card: str = GOOD_CARD) -> Any:
        """Pay by card; the answer's JSON."""
        return self.post({"confirmation_token": self.token(card)}).json

    def intent(self) -> Any:
        """The payment's PaymentIntent, as Stripe has it."""
        (found,) = (
            i for i in self._truth("payment_intents") if i["metadata"]["counterfoil_payment"] == self.id
        )
        return found

    def charges(self) -> list[Any]:
        """The charges of this payment, as Stripe has them."""
        intent = self.intent()["id"]
        return [charge for charge in self._truth("charges") if charge["payment_intent"] == intent]

    def _truth(self, kind: str) -> list[Any]:
        return self.service.sandbox.truth()["stripe"][kind]


def arrive(service: Service, amount: int = 10_000, currency: str = "USD", **asked: Any) -> Customer:
    """A customer who has opened the link of a new payment."""
    customer = Customer(service, service.create(amount, currency, **asked))
    assert customer.open().status == 303
    return customer


def _cookie(answer: Answer) -> str:
    morsels = SimpleCookie(answer.headers.get("set-cookie", "")).values()
    return "; ".join(f"{morsel.key}={morsel.value}" for morsel in morsels)


class Page(HTMLParser):
    """The elements of a page, and its text."""

    def __init__(self, answer: Answer) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.scripts_text = ""
        self._in_script = False
        self.feed(answer.body.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        self._in_script = tag == "script"

    def handle_endtag(self, tag: str) -> None:
        self._in_script = False

    def handle_data(self, data: str) -> None:
        if self._in_script:
            self.scripts_text += data
        else:
            self.text += f"{data} "

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def links(self) -> list[str | None]:
        return [link.get("href") for link in self.all("a")]


def text_of(answer: Answer) -> str:
    """What a person reads on the page, on one line."""
    return re.sub(r"\s+", " ", Page(answer).text).strip()


def policy_of(answer: Answer) -> dict[str, list[str]]:
    """The page's Content-Security-Policy, by directive."""
    directives = answer.headers["content-security-policy"].split("; ")
    return {name: sources.split() for name, _, sources in (one.partition(" ") for one in directives)}


def path_of(answer: Answer) -> str:
    """Where a redirect leads, on our own host."""
    parts = urlsplit(answer.headers["location"])
    assert not parts.netloc
    return parts.path + (f"?{parts.query}" if parts.query else "")
