"""The silence alarm: a gateway that does things of which it does not tell calls a person, until it speaks again.

A shop without customers hears nothing, and that is well. What is not: a charge was made, captured or refused, as an
answer, a reading or the gateway's own list says, and minutes later no webhook has come, not even of anything else.
"""

from datetime import timedelta
from typing import Final

from counterfoil.services.context import Context
from counterfoil.services.exceptions import call_a_person_about_account
from counterfoil.store import exceptions, silence
from counterfoil.store.database import Connection
from counterfoil.store.exceptions import Again
from counterfoil.store.silence import Hearing

KIND: Final = "webhooks_silent"
# Both gateways deliver within seconds, and try again within minutes where we did not answer.
PATIENCE: Final = timedelta(minutes=10)


async def watch(ctx: Context) -> None:
    """Call a person about every account that has fallen silent; close what was opened for one that speaks again."""
    async with ctx.db.transaction() as conn:
        for hearing in await silence.of_accounts(conn):
            if is_silent(ctx, hearing):
                await _call(ctx, conn, hearing)
            elif hearing.untold_since is None:
                await exceptions.end(conn, kind=KIND, about=hearing.account_id, now=ctx.now())


def is_silent(ctx: Context, hearing: Hearing) -> bool:
    """Whether what it did not tell is so long ago that it never will."""
    return hearing.untold_since is not None and ctx.now() - hearing.untold_since >= PATIENCE


def sentence(hearing: Hearing) -> str:
    """How the account is heard, for a person."""
    last = f"{hearing.heard_at:%Y-%m-%d %H:%M} UTC" if hearing.heard_at else None
    if hearing.untold_since is None:
        return f"{hearing.gateway} sent its last webhook at {last}." if last else "Nothing to tell of yet."
    since = f"{hearing.untold_since:%Y-%m-%d %H:%M} UTC"
    heard = f"The last came at {last}." if last else "None ever came."
    return f"Since {since} {hearing.gateway} does things of which it sends no webhook. {heard}"


def mend(ctx: Context, gateway: str) -> str:
    """What to do about a silent gateway."""
    address = f"{ctx.public_url}/webhooks/{gateway}"
    return f"See in {gateway}'s dashboard that the endpoint {address} exists, is enabled, and has the secret stored here."


async def _call(ctx: Context, conn: Connection, hearing: Hearing) -> None:
    """Once for this silence."""
    await call_a_person_about_account(
        ctx,
        conn,
        merchant_id=hearing.merchant_id,
        mode=hearing.mode,
        kind=KIND,
        subject=f"{hearing.account_id}/{hearing.untold_since:%Y%m%dT%H%M%S}",
        sentence=sentence(hearing),
        again=Again.NEVER,
    )
