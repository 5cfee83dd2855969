"""/docs: the API as one page, made here from what /openapi.json says, so that it needs no script and no other host."""

import re
import secrets
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

from fastapi import FastAPI
from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape
from starlette.requests import Request
from starlette.responses import HTMLResponse, RedirectResponse, Response

from counterfoil.domain.errors import Problem
from counterfoil.web import assets
from counterfoil.web.checkout import policy

PATH: Final = "/docs"
_TEMPLATES: Final = Environment(
    loader=PackageLoader("counterfoil.web", "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def _marked(text: str) -> Markup:
    """Text of a docstring: what stands between backticks is code."""
    return Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(escape(text))))  # noqa: S704  escaped before


_TEMPLATES.filters["marked"] = _marked

Json = Mapping[str, Any]


class Kind(NamedTuple):
    """What a value is, in words, and the shape on this page that says more of it."""

    text: str
    shape: str | None = None


class Field(NamedTuple):
    name: str
    kind: Kind
    needed: bool
    says: str


class Operation(NamedTuple):
    method: str
    path: str
    says: str
    fields: list[Field]  # of the path and the query
    body: Kind | None
    answer: Kind


class Shape(NamedTuple):
    name: str
    says: str
    fields: list[Field]
    kind: Kind


def install(app: FastAPI) -> None:
    """Add the page; it is made once, when it is first asked for."""

    @cache
    def text() -> str:
        return page(app.openapi())

    async def docs(_request: Request) -> Response:
        return HTMLResponse(text(), headers=policy.headers(secrets.token_urlsafe(16)))

    async def home(_request: Request) -> Response:
        """Whoever only knows the address is shown what is here."""
        return RedirectResponse(PATH, 303)

    app.add_route(PATH, docs, include_in_schema=False)
    app.add_route("/", home, include_in_schema=False)


def page(described: Json) -> str:
    """The page of an OpenAPI document."""
    return _TEMPLATES.get_template("reference.html").render(
        version=described["info"]["version"],
        operations=sorted(operations(described), key=lambda one: one.path),
        shapes=shapes(described),
        problems=list(Problem),
        style=assets.find("reference/page.css"),
        icon=assets.find("checkout/icon.svg"),
    )


def operations(described: Json) -> Iterator[Operation]:
    for path, methods in described["paths"].items():
        for method, said in methods.items():
            answers = {status: one for status, one in said["responses"].items() if status != "default"}
            yield Operation(
                method=method.upper(),
                path=path,
                says=said.get("description", ""),
                fields=[
                    Field(one["name"], kind(one["schema"]), one["required"], one.get("description", ""))
                    for one in said.get("parameters", ())
                ],
                body=_content(said["requestBody"]) if "requestBody" in said else None,
                answer=_content(next(iter(answers.values()))),
            )


def shapes(described: Json) -> list[Shape]:
    """What bodies and answers are made of, by name."""
    return [
        Shape(name, said.get("description", ""), list(_fields(said)), kind(said))
        for name, said in sorted(described["components"]["schemas"].items())
    ]


def _content(said: Json) -> Kind:
    """What a body or an answer is: JSON of some shape, content of another type, or nothing."""
    for media, content in said.get("content", {}).items():
        return kind(content["schema"]) if content.get("schema") else Kind(media)
    return Kind("nothing")


def _fields(shape: Json) -> Iterator[Field]:
    needed = shape.get("required", ())
    for name, said in shape.get("properties", {}).items():
        yield Field(name, kind(said), name in needed, said.get("description", ""))


def kind(said: Json) -> Kind:
    """What a JSON schema allows, as a person says it."""
    if "$ref" in said:
        name = said["$ref"].rpartition("/")[2]
        return Kind(name, name)
    if "anyOf" in said:
        kinds = [kind(one) for one in said["anyOf"]]
        named = next((one.shape for one in kinds if one.shape), None)
        return Kind(" or ".join(one.text for one in kinds), named)
    if "enum" in said:
        return Kind(" or ".join(map(str, said["enum"])))
    if said.get("type") == "array":
        item = kind(said["items"])
        return Kind(f"list of {item.text}", item.shape)
    return Kind(str(said.get("const", said.get("type", "anything"))))
