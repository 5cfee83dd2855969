"""Who may see a payment's page: whoever brings a link that we signed, and from then on the cookie it was swapped for.

The link's token leaves the address bar at once, so that it is in no history, log or referrer. The cookie is signed for
one payment, is sent to its pages alone, and outlives the link, so that a payment made in its last minute still shows
how it went.
"""

from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Final

from starlette.requests import Request
from starlette.responses import Response

from counterfoil.domain import ids
from counterfoil.services.context import Context

COOKIE: Final = "counterfoil_pay"
VISIT: Final = timedelta(hours=24)
_LONG_AGO: Final = datetime.fromtimestamp(0, UTC)


class Ticket(Enum):
    GOOD = auto()
    ENDED = auto()  # ours, but past its time
    BAD = auto()  # not ours, or of another payment


def of_link(ctx: Context, payment_id: str, token: str) -> Ticket:
    """What the token of a link is worth."""
    return _check(ctx, payment_id, token, payment_id)


def of_request(ctx: Context, payment_id: str, request: Request) -> Ticket:
    """What the cookie of a request is worth."""
    return _check(ctx, payment_id, request.cookies.get(COOKIE, ""), _subject(payment_id))


def _check(ctx: Context, payment_id: str, token: str, subject: str) -> Ticket:
    if not ids.is_id("payment", payment_id) or not ctx.vault.link_holds(token, subject, _LONG_AGO):
        return Ticket.BAD
    return Ticket.GOOD if ctx.vault.link_holds(token, subject, ctx.now()) else Ticket.ENDED


def _subject(payment_id: str) -> str:
    """Other than a link's, so that neither can stand for the other."""
    return f"visit/{payment_id}"


def begin(ctx: Context, payment_id: str, response: Response, *, path: str) -> None:
    """Give the browser the cookie of this payment; `path` is where its pages are."""
    response.set_cookie(
        COOKIE,
        ctx.vault.sign_link(_subject(payment_id), ctx.now() + VISIT),
        max_age=int(VISIT.total_seconds()),
        path=path,
        secure=ctx.public_url.startswith("https://"),
        httponly=True,
        samesite="lax",  # the bank sends the customer back from another site
    )


def same_origin(request: Request, public_url: str) -> bool:
    """Whether one of our own pages sent this. A request that does not say where it comes from is refused."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site not in {None, "same-origin"} or (site is None and origin is None):
        return False
    ours = {_host(public_url), request.headers.get("host", "").lower()} - {""}
    return origin is None or _host(origin) in ours


def by_our_form(request: Request, public_url: str) -> bool:
    """The same for a plain form: our pages tell nobody where they are, and a browser then hides a form's origin too."""
    hidden = (request.headers.get("sec-fetch-site"), request.headers.get("origin")) == ("same-origin", "null")
    return hidden or same_origin(request, public_url)


def _host(url: str) -> str:
    """The host and port of an address; empty for "null" and other things that name none."""
    return url.partition("://")[2].partition("/")[0].lower()
