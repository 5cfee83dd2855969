"""Files that pages load: listed here, read once, served with fixed types, and named by what is in them.

A page asks for `/static/NAME?v=MARK`, where the mark changes with the content, so that a browser may keep it for ever.
"""

from base64 import b64encode
from dataclasses import dataclass
from functools import cache
from hashlib import sha384
from importlib.resources import files
from pathlib import PurePosixPath
from typing import Final

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

NAMES: Final = (
    "checkout/icon.svg",
    "checkout/page.css",
    "checkout/page.js",
    "checkout/razorpay.js",
    "checkout/result.js",
    "checkout/stripe.js",
    "reference/page.css",
)
TYPES: Final = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
FOR_EVER: Final = "public, max-age=31536000, immutable"
MARK_CHARS: Final = 12


@dataclass(frozen=True, slots=True)
class Asset:
    """A file as a page needs it: its address under the service, and the digest that the browser checks."""

    name: str
    body: bytes
    type: str
    digest: str  # SHA-384, base64

    @property
    def mark(self) -> str:
        return self.digest[:MARK_CHARS].replace("+", "-").replace("/", "_")

    @property
    def path(self) -> str:
        return f"/static/{self.name}?v={self.mark}"

    @property
    def integrity(self) -> str:
        return f"sha384-{self.digest}"


@cache
def find(name: str) -> Asset:
    """A listed file. Raises KeyError for any other name, before the disk is asked."""
    if name not in NAMES:
        raise KeyError(name)
    body = files("counterfoil.web").joinpath("static", *PurePosixPath(name).parts).read_bytes()
    return Asset(name, body, TYPES[PurePosixPath(name).suffix], b64encode(sha384(body).digest()).decode())


async def serve(request: Request) -> Response:
    try:
        asset = find(request.path_params["name"])
    except KeyError:
        raise HTTPException(404) from None
    current = request.query_params.get("v") == asset.mark
    tag = f'"{asset.mark}"'
    headers = {
        "cache-control": FOR_EVER if current else "no-cache",
        "cross-origin-resource-policy": "same-origin",
        "etag": tag,
    }
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(asset.body, headers=headers, media_type=asset.type)


ROUTES: Final = [Route("/static/{name:path}", serve, methods=["GET"])]
