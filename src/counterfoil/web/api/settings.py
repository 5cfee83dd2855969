"""/api/payments/settings: the settings document, read and changed."""

import re
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Request
from fastapi.responses import JSONResponse

from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.settings_patch import apart_from_version
from counterfoil.services import settings as service
from counterfoil.web.api.answers import PROBLEMS, SettingsAnswer, says
from counterfoil.web.api.strict import StrictRoute
from counterfoil.web.security import Admin, InContext

router = APIRouter(
    prefix="/api/payments/settings", tags=["settings"], route_class=StrictRoute, responses=PROBLEMS
)
# A version as ETag gave it out: quoted, perhaps called weak by a proxy that compressed the answer.
_TAG: Final = re.compile(r'(?:W/)?"?([1-9][0-9]{0,17})"?')


@router.get("", response_model=None, responses=says(SettingsAnswer))
async def read(ctx: InContext, _caller: Admin) -> JSONResponse:
    """The whole document. Secrets read as whether they are set, their last four characters, and since when."""
    return _answer(await service.read(ctx))


@router.patch("", response_model=None, responses=says(SettingsAnswer))
async def change(
    request: Request,
    ctx: InContext,
    caller: Admin,
    asked: Annotated[
        Any, Body(description="a JSON merge patch (RFC 7396), and `version` where it is for that one alone")
    ],
) -> JSONResponse:
    """Merge into the document: all of it is taken, or nothing. `If-Match`, or `version`, refuses it where another
    change came between.
    """
    patch, version = apart_from_version(asked)
    matched = _matched(request.headers.get("if-match"))
    if version is not None and matched is not None and version != matched:
        raise InvalidRequestError("version and If-Match name different versions.", field="version")
    return _answer(await service.change(ctx, caller, patch, version=matched if version is None else version))


def _matched(header: str | None) -> int | None:
    """The version that If-Match names; None where it names none, or any."""
    if header is None or header.strip() == "*":
        return None
    tag = _TAG.fullmatch(header.strip())
    if tag is None:
        raise InvalidRequestError("If-Match must be a version, as ETag gave it.", field="If-Match")
    return int(tag[1])


def _answer(document: dict[str, Any]) -> JSONResponse:
    return JSONResponse(document, headers={"ETag": f'"{document["version"]}"'})
