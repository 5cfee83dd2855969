"""POST /pay/{id}/confirm: what the browser sends, and its confirmation, once for each token."""

from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Final, Self, TypeAlias

from pydantic import StringConstraints, ValidationError, model_validator
from starlette.requests import Request

from counterfoil.domain.errors import CounterfoilError, MalformedRequestError, WrongStateError
from counterfoil.gateways.base import Method, Outcome
from counterfoil.services import idempotency, payments
from counterfoil.services.context import Context
from counterfoil.services.idempotency import Hold, Replay, Resume
from counterfoil.services.payments import Answer, Caller
from counterfoil.store.idempotency import Scope
from counterfoil.store.payments import Family
from counterfoil.web.api import strict
from counterfoil.web.api.answering import within
from counterfoil.web.api.shapes import Shape, Token
from counterfoil.web.checkout import answers
from counterfoil.web.checkout.answers import Body
from counterfoil.web.checkout.looks import Looks

Signature: TypeAlias = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
BODY_BYTES: Final = 4096  # a token, or an order, a payment and a signature: under 300


class Confirmation(Shape):
    """Stripe: the token its fields made. Razorpay: the three fields that its checkout signed.

    A saved payment method is never taken from a browser: whose it is cannot be known here.
    """

    confirmation_token: Token | None = None
    razorpay_order_id: Token | None = None
    razorpay_payment_id: Token | None = None
    razorpay_signature: Signature | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        signed = (self.razorpay_order_id, self.razorpay_payment_id, self.razorpay_signature)
        if any(signed) == (self.confirmation_token is not None) or (any(signed) and not all(signed)):
            raise ValueError("send confirmation_token, or the three razorpay_ fields")
        return self


async def read(request: Request) -> Confirmation:
    """The request's body. Raises a CounterfoilError for anything that is no confirmation."""
    request.scope["counterfoil.body_limit"] = BODY_BYTES
    if request.headers.get("content-type", "").partition(";")[0].strip().lower() != "application/json":
        raise MalformedRequestError("The body is not JSON.")
    value = strict.parse(await request.body())
    strict.refuse_cards(value)
    try:
        return Confirmation.model_validate(value)
    except ValidationError:
        raise MalformedRequestError("The body is no confirmation.") from None


class Confirming:
    """Confirms payments for the browsers of their customers."""

    def __init__(self, ctx: Context, looks: Looks) -> None:
        self._ctx, self._looks = ctx, looks

    async def carry_out(self, caller: Caller, family: Family, asked: Confirmation, result: str) -> Body:
        """Confirm, once for each token: what is sent again is answered again.

        `result` is the address of the result page. Raises CounterfoilError; a token that was refused is as good as
        before, and one whose confirmation broke off is resumed when it is sent again.
        """
        hold = _hold(caller, family.payment.id, asked)
        held = await idempotency.claim_alone(self._ctx, hold, family.payment.id)
        if isinstance(held, Replay):
            return await self._again(caller, held, result)
        try:
            answer = await within(self._confirm(caller, family, asked, held))
        except CounterfoilError as refused:
            if refused.problem.status < HTTPStatus.INTERNAL_SERVER_ERROR:
                await idempotency.forget(self._ctx, hold)
            raise
        finally:
            self._looks.forget(family.payment.id)
        body = await self._told(family.payment.id, answer.outcome if answer else None, result)
        await idempotency.answer(self._ctx, hold, 200, answers.kept(body))
        return body

    async def _confirm(
        self, caller: Caller, family: Family, asked: Confirmation, resume: Resume | None
    ) -> Answer:
        """Confirm; where the payment is past that, by another tab or by time, look how it stands instead."""
        try:
            return await _by(self._ctx, caller, family.payment.id, asked, resume)
        except WrongStateError:
            return await payments.look(self._ctx, caller, family.payment.id)

    async def _again(self, caller: Caller, replay: Replay, result: str) -> Body:
        """The answer that was given; what was still going on is told as it stands now, and an action anew: neither lasts."""
        if "next_action" not in replay.body and replay.body["status"] != "pending":
            return replay.body
        looked = await payments.look(self._ctx, caller, replay.payment_id)
        return await self._told(replay.payment_id, looked.outcome, result)

    async def _told(self, payment_id: str, outcome: Outcome | None, result: str) -> Body:
        family, under_way = await payments.of_link(self._ctx, payment_id)
        return answers.of(family, outcome, now=self._ctx.now(), under_way=under_way, result=result)


async def _by(
    ctx: Context, caller: Caller, payment_id: str, asked: Confirmation, resume: Resume | None
) -> Answer:
    if asked.confirmation_token is not None:
        method, since = Method(confirmation_token=asked.confirmation_token), resume.since if resume else None
        return await payments.confirm(ctx, caller, payment_id, method, since=since)
    return await payments.confirm_by_checkout(
        ctx,
        caller,
        payment_id,
        order_id=asked.razorpay_order_id or "",
        charge_ref=asked.razorpay_payment_id or "",
        signature=asked.razorpay_signature or "",
    )


def _hold(caller: Caller, payment_id: str, asked: Confirmation) -> Hold:
    """The token is the key; only its digest is kept."""
    token = asked.confirmation_token or asked.razorpay_payment_id or ""
    return Hold(
        Scope(
            merchant_id=caller.merchant_id,
            mode=caller.mode,
            method="POST",
            path=f"/pay/{payment_id}/confirm",
            key=sha256(token.encode()).hexdigest(),
            body_digest=sha256(asked.model_dump_json().encode()).digest(),
        )
    )
