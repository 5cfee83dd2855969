"""Who is asking: an API key in the Authorization header, and whether its role is enough."""

from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from counterfoil.domain.errors import NotAuthenticatedError, NotPermittedError
from counterfoil.domain.operator import Role, may
from counterfoil.services import keys
from counterfoil.services.context import Context
from counterfoil.services.payments import Caller
from counterfoil.store.keys import ApiKey

_BEARER: Final = HTTPBearer(
    auto_error=False, scheme_name="API key", description="`counterfoil keys create` makes a key."
)
_KEY: Final = "counterfoil.key"  # where it is kept in the scope of its request


async def context(request: Request) -> Context:  # a plain function would be run in a thread
    found: Context = request.app.state.context
    return found


InContext = Annotated[Context, Depends(context)]


async def recognised(request: Request) -> ApiKey:
    """Whose key came with the request, looked up once a request. Raises NotAuthenticatedError."""
    if _KEY not in request.scope:
        sent = await _BEARER(request)
        if sent is None:
            raise NotAuthenticatedError("This path needs an API key.")
        request.scope[_KEY] = await keys.recognise(await context(request), sent.credentials.strip())
    key: ApiKey = request.scope[_KEY]
    return key


class Requires:
    """A dependency that lets through keys whose role includes `role`, and says who they are."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(
        self, request: Request, _described: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
    ) -> Caller:
        key = await recognised(request)
        if not may(Role(key.role), self.role):
            raise NotPermittedError(needs=self.role.value, has=key.role)
        return Caller(
            actor=key.id,
            merchant_id=key.merchant_id,
            mode=key.mode,
            role=Role(key.role),
            stands_behind=key.person,
        )


Viewer = Annotated[Caller, Depends(Requires(Role.VIEWER))]
Approver = Annotated[Caller, Depends(Requires(Role.APPROVER))]
Support = Annotated[Caller, Depends(Requires(Role.SUPPORT))]
Admin = Annotated[Caller, Depends(Requires(Role.ADMIN))]
