"""Templates become pages, each with the headers that belong to it."""

import secrets
from enum import Enum
from typing import Any, Final, NamedTuple

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse, Response

from counterfoil.gateways.base import Script
from counterfoil.web import assets
from counterfoil.web.checkout import policy

_TEMPLATES: Final = Environment(
    loader=PackageLoader("counterfoil.web", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


class _Notice(NamedTuple):
    status: int
    heading: str
    text: str
    what_to_do: str


class Notice(_Notice, Enum):
    """Pages that say why there is nothing else to see. They name no payment and no merchant: anybody may get them."""

    BAD_LINK = _Notice(
        403,
        "This link does not open a payment",
        "It may be incomplete, or belong to another payment.",
        "Open the link again from the message or shop that gave it to you. If you have just paid, the shop knows.",
    )
    ENDED_LINK = _Notice(
        410,
        "This payment link has ended",
        "Payment links work for a limited time, to keep you safe.",
        "Ask the shop for a new link. If you have already paid, you need not do anything.",
    )
    AWAY = _Notice(
        503,
        "We cannot show this right now",
        "Nothing is lost, and nothing was charged by opening this page.",
        "Wait a moment, then reload the page. Please do not pay again elsewhere until you have seen the result.",
    )


def render(
    template: str, *, root: str = "", status: int = 200, script: Script | None = None, **values: Any
) -> Response:
    """A page. `root` is the path under which the service is reached; `script` is the gateway's, where it is loaded."""
    nonce = secrets.token_urlsafe(16)
    page = _TEMPLATES.get_template(f"checkout/{template}")
    text = page.render(
        nonce=nonce, root=root, asset=assets.find, script_url=script.url if script else None, **values
    )
    return HTMLResponse(text, status, policy.headers(nonce, script))


def notice(which: Notice, *, root: str = "") -> Response:
    response = render("notice.html", root=root, status=which.status, notice=which)
    if which is Notice.AWAY:
        response.headers["retry-after"] = "2"
    return response
