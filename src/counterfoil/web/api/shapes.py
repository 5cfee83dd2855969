"""The shapes of requests: strict types, unknown fields refused, every size named."""

import re
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StrictInt, StringConstraints, model_validator

from counterfoil.domain.money import MAX_MINOR, Money, owed
from counterfoil.domain.settings_rules import LOCALE_TEXT
from counterfoil.gateways.base import Method
from counterfoil.services.inbox import REPLAYED_AT_ONCE

Short = Annotated[str, StringConstraints(min_length=1, max_length=100)]
Text = Annotated[str, StringConstraints(min_length=1, max_length=500)]
Token = Annotated[str, StringConstraints(min_length=3, max_length=255, pattern=r"^[A-Za-z0-9_\-]+$")]
StripeCustomer = Annotated[str, StringConstraints(max_length=255, pattern=r"^cus_[A-Za-z0-9]+$")]
Minor = Annotated[StrictInt, Field(gt=0, le=MAX_MINOR, description="minor units of the currency")]
MethodName = Literal["card", "upi", "netbanking", "wallet", "emi", "redirect", "bank_debit"]
# Both gateways keep what we send along: Razorpay fifteen pairs of 256 characters, Stripe fifty of 500. Two are ours.
METADATA_PAIRS = 13
LINE_ITEMS = 200
AWAY = "off_session needs payment_method: a saved method, charged with the customer away"
# The character's escape in JSON; after a whole escaped backslash the same six letters are only text.
_NUL = re.compile(r"(?<!\\)(?:\\\\)*\\u0000")


class Shape(BaseModel):
    model_config = ConfigDict(strict=True, extra="forbid", str_strip_whitespace=True)

    @model_validator(mode="after")
    def _no_nul(self) -> Self:
        """PostgreSQL holds no NUL in text; refuse it here, where it can be told."""
        if _NUL.search(self.model_dump_json()):
            raise ValueError("text may not contain the character U+0000")
        return self


class Customer(Shape):
    id: Short | None = None
    email: Annotated[str, StringConstraints(max_length=254, pattern=r"^[^@\s]+@[^@\s]+$")] | None = None
    phone: Annotated[str, StringConstraints(pattern=r"^\+?[0-9 ()\-]{5,20}$")] | None = None
    name: Short | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = Field(
        default=None, description="ISO 3166-1 alpha-2"
    )
    state: Annotated[str, StringConstraints(pattern=r"^[0-9]{2}$")] | None = Field(
        default=None, description="of India, by its two digits: the place of supply"
    )
    address: list[Short] | None = Field(
        default=None, max_length=6, description="line by line, as receipts show it"
    )
    tax_id: Annotated[str, StringConstraints(min_length=1, max_length=20)] | None = None
    locale: Annotated[str, StringConstraints(pattern=f"^{LOCALE_TEXT.pattern}$")] | None = Field(
        default=None,
        description="in which receipts are written, as hi-IN; that of the business, where left out",
    )


class LineItem(Shape):
    name: Text
    quantity: Annotated[StrictInt, Field(gt=0, le=1_000_000)] = 1
    amount: Annotated[StrictInt, Field(ge=0, le=MAX_MINOR, description="of one unit, in minor units")]
    reference: Short | None = None
    tax_rate: Annotated[StrictInt, Field(ge=0, le=10_000)] | None = Field(
        default=None, description="included in amount, in basis points: 1800 is 18 %"
    )
    hsn: Annotated[str, StringConstraints(pattern=r"^[0-9]{4,8}$")] | None = Field(
        default=None, description="HSN or SAC, for a GST invoice"
    )


class CreatePayment(Shape):
    amount: Minor
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{3}$")] = Field(description="ISO 4217")
    reference: Short | None = Field(default=None, description="your own id of what is paid")
    description: Text | None = None
    customer: Customer | None = None
    metadata: dict[
        Annotated[str, StringConstraints(min_length=1, max_length=40)],
        Annotated[str, StringConstraints(max_length=256)],
    ] = Field(default_factory=dict, max_length=METADATA_PAIRS)
    line_items: list[LineItem] = Field(default_factory=list, max_length=LINE_ITEMS)
    capture: Literal["automatic", "manual"] = "automatic"
    gateway: Literal["stripe", "razorpay"] | None = None
    hint: MethodName | None = Field(
        default=None, alias="method", description="what the payer is said to use: a hint for routing"
    )
    payment_method: Token | None = Field(default=None, description="a saved or test method of Stripe (pm_…)")
    confirmation_token: Token | None = Field(
        default=None, description="made by Stripe's fields in the browser"
    )
    off_session: bool = Field(
        default=False, description="the customer is away: the saved method is charged without them"
    )
    stripe_customer: StripeCustomer | None = Field(
        default=None, description="whose saved method it is, at Stripe (cus_…)"
    )
    confirm: bool = False
    return_url: Annotated[str, StringConstraints(max_length=2000, pattern=r"^https?://[^\s]+$")] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        named = (self.payment_method, self.confirmation_token)
        if self.confirm and not any(named):
            raise ValueError("confirm needs payment_method or confirmation_token")
        if any(named) and not self.confirm:
            raise ValueError(
                "a payment_method or confirmation_token is charged at once: send confirm: true with it"
            )
        if all(named):
            raise ValueError("send payment_method or confirmation_token, not both")
        if self.off_session and not self.payment_method:
            raise ValueError(AWAY)
        return self

    def money(self) -> Money:
        return owed(self.amount, self.currency)

    def method(self) -> Method | None:
        if not self.confirm:
            return None
        return Method(
            payment_method=self.payment_method,
            confirmation_token=self.confirmation_token,
            off_session=self.off_session,
        )


class ChangeGateway(Shape):
    gateway: Literal["stripe", "razorpay"] | None = Field(
        default=None, description="the best other one, where left out"
    )


class ExplainRouting(Shape):
    amount: Minor
    currency: Annotated[str, StringConstraints(pattern=r"^[A-Za-z]{3}$")] = Field(description="ISO 4217")
    method: MethodName | None = None
    country: Annotated[str, StringConstraints(pattern=r"^[A-Z]{2}$")] | None = Field(
        default=None, description="ISO 3166-1 alpha-2"
    )
    gateway: Literal["stripe", "razorpay"] | None = None
    confirm: bool = Field(default=False, description="as if a payment method were charged at once")

    def money(self) -> Money:
        return owed(self.amount, self.currency)


class ConfirmPayment(Shape):
    """Stripe: a method or a token. Razorpay: the three fields its checkout hands to the browser."""

    payment_method: Token | None = None
    confirmation_token: Token | None = None
    off_session: bool = Field(default=False, description="the customer is away")
    razorpay_order_id: Token | None = None
    razorpay_payment_id: Token | None = None
    razorpay_signature: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        razorpay = (self.razorpay_order_id, self.razorpay_payment_id, self.razorpay_signature)
        ways = [self.payment_method is not None, self.confirmation_token is not None, any(razorpay)]
        if sum(ways) != 1 or (any(razorpay) and not all(razorpay)):
            raise ValueError("send payment_method, or confirmation_token, or the three razorpay_ fields")
        if self.off_session and not self.payment_method:
            raise ValueError(AWAY)
        return self

    def method(self) -> Method:
        return Method(
            payment_method=self.payment_method,
            confirmation_token=self.confirmation_token,
            off_session=self.off_session,
        )


class CapturePayment(Shape):
    amount: Minor | None = Field(default=None, description="all that is authorised, where left out")


class ReplayWebhooks(Shape):
    """Which webhooks to understand anew: at least their status."""

    status: Literal["received", "processed", "parked", "dead", "ignored"]
    gateway: Literal["stripe", "razorpay"] | None = None
    type: Short | None = None
    payment: Short | None = None
    limit: Annotated[StrictInt, Field(ge=1, le=REPLAYED_AT_ONCE)] = REPLAYED_AT_ONCE


class Nothing(Shape):
    """An empty body, or none."""
