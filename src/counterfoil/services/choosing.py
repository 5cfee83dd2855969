"""Which gateway a payment goes to: the capabilities, the merchant's rules, and how each gateway fares now."""

from collections.abc import Iterable, Sequence

from counterfoil.domain import routing
from counterfoil.domain.errors import CounterfoilError, NoGatewayError
from counterfoil.domain.money import Money
from counterfoil.domain.payment import Payment
from counterfoil.domain.routing import Choice, Down, Feature, Verdict
from counterfoil.domain.routing_policy import Question
from counterfoil.services.context import Context


def choose(
    ctx: Context, question: Question, mode: str, *, named: str | None = None, needs: Iterable[Feature] = ()
) -> list[Choice]:
    """The gateways that can take this payment, best first. Raises as domain.routing.choose."""
    enabled = ctx.directory.enabled(mode)
    down = _down(ctx, question, mode, enabled)
    return routing.choose(question, enabled, ctx.directory.routing, named=named, needs=needs, down=down)


def explain(
    ctx: Context, question: Question, mode: str, *, named: str | None = None, needs: Iterable[Feature] = ()
) -> list[Verdict]:
    """What routing thinks of every gateway, best first, without paying."""
    enabled = ctx.directory.enabled(mode)
    if named is not None and named not in enabled:
        raise NoGatewayError(f"{named} is not configured or not enabled in this mode.", gateway=named)
    down = _down(ctx, question, mode, enabled)
    return routing.weigh(question, enabled, ctx.directory.routing, named=named, needs=needs, down=down)


async def admitted(ctx: Context, choices: Sequence[Choice], method: str | None, mode: str) -> list[Choice]:
    """The choices, without those whose breaker is trying somebody else right now."""
    left: list[Choice] = []
    for choice in choices:
        account_id = ctx.directory.active(choice.gateway, mode).account_id
        if left or await ctx.health.admit(account_id, method):
            left.append(choice)
    return left or list(choices)


def able(ctx: Context, payment: Payment) -> list[Choice]:
    """The gateways that can take this payment now; none is an answer too."""
    try:
        return choose(ctx, _question(payment), payment.mode)
    except CounterfoilError:
        return []


def instead(ctx: Context, payment: Payment, *, named: str | None, without: str | None) -> Choice:
    """The gateway to go to, named or the best but one. Raises as `choose`, NoGatewayError where there is no other."""
    if named is not None:
        return choose(ctx, _question(payment), payment.mode, named=named)[0]
    others = [c for c in choose(ctx, _question(payment), payment.mode) if c.gateway != without]
    if not others:
        raise NoGatewayError(f"No gateway but {without} can take {payment.money}.")
    return others[0]


def _question(payment: Payment) -> Question:
    country = payment.customer.get("country")
    return Question(
        Money(payment.amount, payment.currency), None, country if isinstance(country, str) else None
    )


def _down(ctx: Context, question: Question, mode: str, enabled: Sequence[str]) -> dict[str, Down]:
    accounts = {name: ctx.directory.active(name, mode).account_id for name in enabled}
    return ctx.health.down(accounts, question.method)
