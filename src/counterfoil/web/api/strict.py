"""Requests as they should come: JSON in UTF-8, no duplicate names, no NaN, not too deep, no card numbers anywhere; and
no query that would be silently passed over.
"""

import json
import re
from collections.abc import Callable, Collection, Coroutine
from typing import Any, ClassVar, Final, NoReturn

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.types import Receive, Scope

from counterfoil.domain.errors import CardNumberRefusedError, InvalidRequestError, MalformedRequestError
from counterfoil.domain.pan import find_card
from counterfoil.web.limits import BODY_BYTES
from counterfoil.web.security import recognised

# What FastAPI reads as JSON; anything else it would hand over as bytes, unread.
_JSON: Final = re.compile(r"application/([^\s;]+\+)?json\s*(;|$)", re.IGNORECASE)


class StrictRequest(Request):
    """Reads its body once, strictly."""

    def __init__(self, scope: Scope, receive: Receive, files: Collection[str]) -> None:
        super().__init__(scope, receive)
        self._files = files

    async def json(self) -> Any:
        value = parse(await self.body())
        refuse_cards(_without(self._files, value))
        return value


def _without(files: Collection[str], value: Any) -> Any:
    """What is said beside the files: in those, as in a drawing's coordinates, any row of digits may stand."""
    if not isinstance(value, dict):
        return value
    return {name: said for name, said in value.items() if name not in files}


class StrictRoute(APIRoute):
    """A route whose body is read by StrictRequest, and which takes no query that it does not know.

    Nothing of a body is read for who has no key: FastAPI alone would parse it before it asks.
    """

    files: ClassVar[Collection[str]] = ()  # the fields of the body that are whole files
    body_bytes: ClassVar[int] = BODY_BYTES  # the most that a body may have

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        handle, known = super().get_route_handler(), {field.alias for field in self.dependant.query_params}

        async def strictly(request: Request) -> Response:
            request.scope["counterfoil.body_limit"] = self.body_bytes
            _check_query(request, known)
            if _has_body(request) and not _JSON.match(request.headers.get("content-type", "")):
                raise MalformedRequestError(
                    "The body is not called JSON: send Content-Type: application/json."
                )
            await recognised(request)
            return await handle(StrictRequest(request.scope, request.receive, self.files))

        return strictly


def _has_body(request: Request) -> bool:
    return "transfer-encoding" in request.headers or request.headers.get("content-length", "0") != "0"


def _check_query(request: Request, known: Collection[str]) -> None:
    """Raise InvalidRequestError where the query says what nobody would hear, or what PostgreSQL holds no text of."""
    said = set[str]()
    for name, value in request.query_params.multi_items():
        if name not in known:
            raise InvalidRequestError(
                f"{name} is not known here; known: {', '.join(sorted(known)) or 'nothing'}."
            )
        if name in said:
            raise InvalidRequestError(f"{name} stands twice.", field=name)
        if "\x00" in value:
            raise InvalidRequestError(f"{name} may not contain the character U+0000.", field=name)
        said.add(name)


def parse(body: bytes) -> Any:
    """The JSON value of the bytes. Raises MalformedRequestError with the reason."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_once, parse_constant=_refuse)
    except UnicodeDecodeError:
        raise MalformedRequestError("The body is not UTF-8.") from None
    except RecursionError:
        raise MalformedRequestError("The body is nested too deeply.") from None
    except ValueError as bad:
        raise MalformedRequestError(f"The body is not JSON: {bad}.") from None


def refuse_cards(value: Any) -> None:
    """Raise CardNumberRefusedError with the place of what looks like a card number, MalformedRequestError where the
    value is too deep to be looked through.
    """
    try:
        place = find_card(value)
    except RecursionError:
        raise MalformedRequestError("The body is nested too deeply.") from None
    if place:
        raise CardNumberRefusedError(place)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return names


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")
