"""Who is asking: an API key in the Authorization header, and whether its role is enough."""

from typing import Annotated, Final

from fastapi import Depends, Request
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from counterfoil.domain.errors import NotAuthenticatedError, NotPermittedError
from counterfoil.domain.operator import Role, may
from counterfoil.services import keys
from counterfoil.services.context import Context
from counterfoil.services.payments import Caller

_BEARER: Final = HTTPBearer(
    auto_error=False, scheme_name="API key", description="`counterfoil keys create` makes a key."
)


async def context(request: Request) -> Context:  # a plain function would be run in a thread
    found: Context = request.app.state.context
    return found


InContext = Annotated[Context, Depends(context)]


class Requires:
    """A dependency that lets through keys whose role includes `role`, and says who they are."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(
        self, ctx: InContext, sent: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)]
    ) -> Caller:
        if sent is None:
            raise NotAuthenticatedError("This path needs an API key.")
        key = await keys.recognise(ctx, sent.credentials.strip())
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
