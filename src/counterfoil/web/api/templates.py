"""/api/payments/receipts/templates: the merchant's own templates of receipts."""

import base64
import binascii
from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any, Final, Literal

from fastapi import APIRouter, Depends, Path, Request, Response
from fastapi.responses import JSONResponse
from pydantic import Field, StrictInt, StringConstraints

from counterfoil.documents.template import MAX_BYTES, MAX_FILES
from counterfoil.domain.errors import InvalidRequestError, NotFoundError
from counterfoil.domain.receipt import Kind
from counterfoil.domain.receipt_template import NAME
from counterfoil.services import previews
from counterfoil.services import templates as service
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.services.previews import Ask
from counterfoil.services.receipts import FORMATS
from counterfoil.web.api.answering import hold_of, once_for
from counterfoil.web.api.answers import (
    PROBLEMS,
    TemplateAnswer,
    TemplateFiles,
    TemplateList,
    TemplateVersions,
    says,
)
from counterfoil.web.api.payments import known
from counterfoil.web.api.receipts import PAGE_ALLOWS
from counterfoil.web.api.shapes import Nothing, Shape, Short, Text
from counterfoil.web.api.strict import StrictRoute
from counterfoil.web.security import Admin, InContext

BODY_BYTES: Final = MAX_BYTES * 4 // 3 + 65_536  # a template's files in base64, and their names
PLACE: Final = "/receipts/templates"


class TemplateRoute(StrictRoute):
    """A route that takes whole files."""

    files = frozenset({"files"})
    body_bytes = BODY_BYTES


router = APIRouter(prefix="/api/payments", tags=["receipts"], route_class=TemplateRoute, responses=PROBLEMS)

Name = Annotated[str, StringConstraints(pattern=f"^{NAME.pattern}$")]
Source = Annotated[str, StringConstraints(max_length=MAX_BYTES, strip_whitespace=False)]


class Binary(Shape):
    base64: Annotated[str, StringConstraints(max_length=BODY_BYTES)]


Files = Annotated[
    dict[Short, Source | Binary],
    Field(
        min_length=1,
        max_length=MAX_FILES,
        description='by name: a text as it is, anything else as {"base64": …}; main.typ makes the PDF, main.html the page, mail.html the mail',
    ),
]
Number = Annotated[StrictInt, Field(ge=1, description="the newest, where left out")]


def _named(name: str) -> str:
    """A template's name as a path has it. Raises NotFoundError for what can be none before the database is asked."""
    if not NAME.fullmatch(name):
        raise NotFoundError("template", name[:64])
    return name


Named = Annotated[str, Depends(_named)]


class AddTemplate(Shape):
    name: Name = Field(description="a new one, or one that gets another version")
    files: Files
    note: Text | None = None


class PublishTemplate(Shape):
    version: Number | None = None


class PreviewTemplate(Shape):
    """By a receipt of yours, or by made-up data of a kind and language."""

    version: Number | None = None
    files: Files | None = Field(default=None, description="instead of a version: files that are not kept")
    format: Literal["pdf", "html", "mail"] = "pdf"
    receipt: Short | None = Field(default=None, description="a receipt that was issued")
    payment: Short | None = Field(default=None, description="the payment whose receipt it is")
    kind: Literal["payment", "refund", "invoice"] = "payment"
    language: Annotated[str, StringConstraints(pattern=r"^[a-z]{2,3}(-[A-Za-z0-9]{2,4})*$")] = "en-IN"


def _bytes(files: Mapping[str, str | Binary]) -> dict[str, bytes]:
    return {name: _decoded(name, given) for name, given in files.items()}


def _decoded(name: str, given: str | Binary) -> bytes:
    if isinstance(given, str):
        return given.encode()
    try:
        return base64.b64decode(given.base64, validate=True)
    except (binascii.Error, ValueError):
        raise InvalidRequestError(f"files.{name[:60]} is not base64.", field="files") from None


async def _once(
    request: Request,
    ctx: Context,
    caller: Caller,
    name: str,
    act: Callable[[], Awaitable[dict[str, Any]]],
    *,
    status: int = 200,
) -> JSONResponse:
    """Carry out an action on a template under its idempotency key."""

    async def shown(answer: dict[str, Any] | None) -> dict[str, Any]:
        return answer or await service.get(ctx, caller, name)

    return await once_for(ctx, name, await hold_of(request, caller), act, shown, status=status)


@router.post(PLACE, status_code=201, response_model=None, responses=says(TemplateAnswer, 201))
async def add(request: Request, ctx: InContext, caller: Admin, asked: AddTemplate) -> JSONResponse:
    """Bring a template, or another version of one. No receipt is drawn by it before it is published."""
    files = _bytes(asked.files)

    async def act() -> dict[str, Any]:
        return await service.add(ctx, caller, asked.name, files, note=asked.note)

    return await _once(request, ctx, caller, asked.name, act, status=201)


@router.get(PLACE, response_model=None, responses=says(TemplateList))
async def listing(ctx: InContext, caller: Admin) -> dict[str, Any]:
    """All templates, by name."""
    return {"data": await service.listing(ctx, caller), "next_cursor": None}


@router.get(PLACE + "/{name}", response_model=None, responses=says(TemplateAnswer))
async def read(ctx: InContext, caller: Admin, name: Named) -> dict[str, Any]:
    """A template with all its versions, the newest first."""
    return await service.get(ctx, caller, name)


@router.get(PLACE + "/{name}/versions", response_model=None, responses=says(TemplateVersions))
async def versions(ctx: InContext, caller: Admin, name: Named) -> dict[str, Any]:
    """Its versions alone, the newest first."""
    return {"data": (await service.get(ctx, caller, name))["versions"], "next_cursor": None}


@router.get(PLACE + "/{name}/versions/{version}", response_model=None, responses=says(TemplateFiles))
async def version(
    ctx: InContext, caller: Admin, name: Named, version: Annotated[int, Path(ge=1)]
) -> dict[str, Any]:
    """The files of a version, as they were brought: fit to be brought again."""
    number, files = await service.files(ctx, caller, name, version)
    return {"object": "receipt_template_version", "name": name, "version": number, "files": _told(files)}


def _told(files: Mapping[str, bytes]) -> dict[str, Any]:
    def one(body: bytes) -> str | dict[str, str]:
        try:
            return body.decode()
        except UnicodeDecodeError:
            return {"base64": base64.b64encode(body).decode()}

    return {name: one(body) for name, body in files.items()}


@router.post(PLACE + "/{name}/preview", response_model=None, responses=says(TemplateAnswer))
async def preview(
    ctx: InContext, caller: Admin, name: Named, asked: PreviewTemplate | None = None
) -> Response:
    """Draw a receipt by a version, published or not. The answer is the document; 422 says the line and the reason."""
    asked = asked or PreviewTemplate()
    ask = Ask(
        name=name,
        version=asked.version,
        files=_bytes(asked.files) if asked.files else None,
        format=asked.format,
        receipt_id=known("receipt", asked.receipt) if asked.receipt else None,
        payment_id=known("payment", asked.payment) if asked.payment else None,
        kind=Kind(asked.kind),
        language=asked.language,
    )
    kind = "pdf" if asked.format == "pdf" else "html"
    headers = {"content-disposition": f'inline; filename="preview.{kind}"'}
    if kind == "html":
        headers["content-security-policy"] = PAGE_ALLOWS
    drawn = await previews.preview(ctx, caller, ask)
    return Response(drawn, media_type=FORMATS[kind], headers=headers)


@router.post(PLACE + "/{name}/publish", response_model=None, responses=says(TemplateAnswer))
async def publish(
    request: Request, ctx: InContext, caller: Admin, name: Named, asked: PublishTemplate | None = None
) -> JSONResponse:
    """Draw new receipts by a version, once it has drawn every kind from made-up data. 422 says the line and the reason."""
    version = asked.version if asked else None
    return await _once(request, ctx, caller, name, lambda: service.publish(ctx, caller, name, version))


@router.post(PLACE + "/{name}/withdraw", response_model=None, responses=says(TemplateAnswer))
async def withdraw(
    request: Request, ctx: InContext, caller: Admin, name: Named, _asked: Nothing | None = None
) -> JSONResponse:
    """Draw no new receipts by it. Those that were issued with it keep it."""
    return await _once(request, ctx, caller, name, lambda: service.withdraw(ctx, caller, name))
