"""/pay/{id}: the page a customer pays on, the page that says how it went, and what their scripts ask.

Plain Starlette routes: none of it belongs to the documented API.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, TypeAlias

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from counterfoil.domain.errors import CounterfoilError, DatabaseAwayError, NotFoundError, Problem
from counterfoil.gateways.base import Outcome
from counterfoil.services import failover, payments
from counterfoil.services.context import Context
from counterfoil.services.payments import Caller
from counterfoil.services.standing import live_attempt
from counterfoil.store.payments import Family
from counterfoil.web.api.answering import within
from counterfoil.web.checkout import answers, confirming, pages, standing, views, visits
from counterfoil.web.checkout.confirming import Confirming
from counterfoil.web.checkout.looks import Looks
from counterfoil.web.checkout.pages import Notice
from counterfoil.web.checkout.standing import DONE, PAYABLE, WAITING, Standing
from counterfoil.web.checkout.views import Addresses
from counterfoil.web.checkout.visits import Ticket

Endpoint: TypeAlias = Callable[[Request], Awaitable[Response]]

PRIVATE: Final = {"cache-control": "no-store", "referrer-policy": "no-referrer"}
_AGAIN: Final = {Standing.OPEN: "Pay now", Standing.DECLINED: "Try again", Standing.ACTION: "Try again"}
_TURNED_AWAY: Final = {Ticket.BAD: Notice.BAD_LINK, Ticket.ENDED: Notice.ENDED_LINK}


class TurnedAwayError(Exception):
    """Whoever asks may not see this payment, or there is none: the page says the same."""

    def __init__(self, notice: Notice) -> None:
        super().__init__(notice.heading)
        self.notice = notice


@dataclass(frozen=True, slots=True)
class Visit:
    """A customer at their payment."""

    family: Family
    under_way: bool
    caller: Caller
    where: Addresses


class Checkout:
    """The checkout pages of one service."""

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx
        self._root = Addresses.of(ctx, "").root
        self._looks = Looks(partial(payments.look, ctx))
        self._confirming = Confirming(ctx, self._looks)

    def routes(self) -> list[Route]:
        return [
            Route("/pay/{payment_id}", self._page(self.pay), methods=["GET"]),
            Route("/pay/{payment_id}/return", self._page(self.result), methods=["GET"]),
            Route("/pay/{payment_id}/status", _json(self.status), methods=["GET"]),
            Route("/pay/{payment_id}/confirm", _json(self.confirm), methods=["POST"]),
            Route("/pay/{payment_id}/gateway", self._page(self.change_gateway), methods=["POST"]),
        ]

    async def pay(self, request: Request) -> Response:
        """The form, while there is something to pay; a link's token is swapped for a cookie first."""
        if "token" in request.query_params:
            return self._let_in(request.path_params["payment_id"], request.query_params["token"])
        visit, stands, outcome = await self._ask(await self._visit(request))
        if stands not in PAYABLE:
            return _go(visit.where.result)
        return self._form(visit, stands, outcome)

    def _let_in(self, payment_id: str, token: str) -> Response:
        _require(visits.of_link(self._ctx, payment_id, token))
        where = Addresses.of(self._ctx, payment_id)
        response = _go(where.page)
        visits.begin(self._ctx, payment_id, response, path=where.page)
        return response

    def _form(self, visit: Visit, stands: Standing, outcome: Outcome | None) -> Response:
        payment, attempt = visit.family.payment, live_attempt(visit.family)
        assert attempt is not None  # noqa: S101  a payment without one is not payable
        gateway = self._ctx.directory.gateway(attempt.account_id)
        return pages.render(
            "pay.html",
            root=self._root,
            script=gateway.script,
            gateway=gateway.name,
            methods=views.methods(gateway.name, payment.currency),
            payment=views.summary(self._ctx, payment),
            where=visit.where,
            settings=views.script_settings(self._ctx, payment, attempt, gateway),
            said=_last_try(stands, outcome),
            others=views.others(self._ctx, visit.family),
        )

    async def result(self, request: Request) -> Response:
        """How it went, by the gateway's word: what the address says is not even read."""
        visit = await self._visit(request)
        if request.url.query:  # Stripe puts a client secret there
            return _go(visit.where.result)
        visit, stands, outcome = await self._ask(visit)
        said = standing.why_declined(outcome) if stands is Standing.DECLINED else None
        return pages.render(
            "result.html",
            root=self._root,
            payment=views.summary(self._ctx, visit.family.payment),
            result=views.result(self._ctx, visit.family, stands),
            where=visit.where,
            said=said,
            again=_AGAIN.get(stands),
            waiting=stands in WAITING,
            done=stands in DONE,
            version=visit.family.payment.version,
        )

    async def status(self, request: Request) -> Response:
        """What the scripts look at while they wait: read here, never asked of the gateway."""
        payment = (await self._visit(request)).family.payment
        return _answer({"status": payment.status.value, "version": payment.version})

    async def confirm(self, request: Request) -> Response:
        """What the gateway's fields made, from our own page alone."""
        if not visits.same_origin(request, self._ctx.public_url):
            return _answer(answers.refused("This was not sent from the payment page."), 403)
        visit = await self._visit(request)
        asked = await confirming.read(request)
        body = await self._confirming.carry_out(visit.caller, visit.family, asked, visit.where.result)
        return _answer(body)

    async def change_gateway(self, request: Request) -> Response:
        """The customer takes another way to pay: a plain form, so that it works without scripts."""
        visit = await self._visit(request)
        if visits.by_our_form(request, self._ctx.public_url):
            form = await request.form(max_files=0, max_fields=1)
            wanted = str(form.get("gateway", ""))
            if wanted in {choice.gateway for choice in failover.others(self._ctx, visit.family)}:
                await self._change(visit, wanted)
        return _go(visit.where.page)

    async def _change(self, visit: Visit, gateway: str) -> None:
        """What stands in the way (paid meanwhile, an unknown outcome) is what the page shows next."""
        try:
            await within(payments.change_gateway(self._ctx, visit.caller, visit.family.payment.id, gateway))
        except CounterfoilError as refused:
            if refused.problem is Problem.DATABASE_AWAY:
                raise
        finally:
            self._looks.forget(visit.family.payment.id)

    async def _visit(self, request: Request) -> Visit:
        payment_id = request.path_params["payment_id"]
        _require(visits.of_request(self._ctx, payment_id, request))
        return await self._visit_of(payment_id)

    async def _visit_of(self, payment_id: str) -> Visit:
        try:
            family, under_way = await payments.of_link(self._ctx, payment_id)
        except NotFoundError:
            raise TurnedAwayError(Notice.BAD_LINK) from None
        caller = Caller("customer", family.payment.merchant_id, family.payment.mode)
        return Visit(family, under_way, caller, Addresses.of(self._ctx, payment_id))

    async def _ask(self, visit: Visit) -> tuple[Visit, Standing, Outcome | None]:
        """How the payment stands now. Where our own record leaves a doubt, its gateway is asked."""
        stands, outcome = self._stands(visit, None), None
        if stands in WAITING or (stands is Standing.OPEN and _disclosed(visit.family)):
            outcome = await self._looks.ask(
                visit.caller, visit.family.payment.id, visit.family.payment.version
            )
            visit = await self._visit_of(visit.family.payment.id)
            stands = self._stands(visit, outcome)
        return visit, stands, outcome

    def _stands(self, visit: Visit, outcome: Outcome | None) -> Standing:
        return standing.of(visit.family, outcome, self._ctx.now(), under_way=visit.under_way)

    def _page(self, endpoint: Endpoint) -> Endpoint:
        async def shown(request: Request) -> Response:
            try:
                return await endpoint(request)
            except TurnedAwayError as refusal:
                return pages.notice(refusal.notice, root=self._root)
            except DatabaseAwayError:
                return pages.notice(Notice.AWAY, root=self._root)

        return shown


def _json(endpoint: Endpoint) -> Endpoint:
    async def answered(request: Request) -> Response:
        try:
            return await endpoint(request)
        except TurnedAwayError as refusal:
            return _answer(answers.refused(refusal.notice.what_to_do), refusal.notice.status)
        except CounterfoilError as error:
            return _answer(answers.of_error(error), error.problem.status)

    return answered


def _require(ticket: Ticket) -> None:
    if ticket in _TURNED_AWAY:
        raise TurnedAwayError(_TURNED_AWAY[ticket])


def _disclosed(family: Family) -> bool:
    """Whether a browser may have paid without us: a Razorpay order is paid in its own window."""
    attempt = live_attempt(family)
    return attempt is not None and attempt.disclosed_at is not None


def _last_try(stands: Standing, outcome: Outcome | None) -> str | None:
    """What the form says above its fields."""
    if stands is Standing.DECLINED:
        return standing.why_declined(outcome)
    return views.RESULTS[stands].text if stands is Standing.ACTION else None


def _go(path: str) -> Response:
    return RedirectResponse(path, 303, PRIVATE)


def _answer(body: dict[str, Any], status: int = 200) -> Response:
    return JSONResponse(body, status, PRIVATE)
