"""One process of the service without ports or a will of its own: what it does, it is told to do, one thing at a time.

Requests go through the whole web application, webhooks through its doors, jobs through the worker's own entrypoints and
sweeps through its own list: what is added to any of them is found here by itself.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import msgspec
from starlette.types import ASGIApp

from asgi import Said, ask
from counterfoil.sandbox.webhooks import Target
from counterfoil.services import worker
from counterfoil.services.context import Context, House
from counterfoil.services.inbox import Writer
from counterfoil.web import hooks

# The house does it in a task of its own; one whose time stands still has to be told.
KEEP_HEALTH = "keep health"
# They make and forget files of what stands: no money moves by them, and where chance picks a sweep it had better pick another.
FILES_ALONE = ("export receipts", "prune exports")


@dataclass(frozen=True, slots=True)
class Job:
    """A job that waits in the queue."""

    id: int
    entrypoint: str
    payload: bytes


class _Entrypoints:
    """What PgQueuer is to the worker when it binds its entrypoints."""

    def __init__(self) -> None:
        self.known: dict[str, Callable[[Any], Any]] = {}

    def entrypoint(self, name: str, **_: Any) -> Callable[[Callable[[Any], Any]], Callable[[Any], Any]]:
        def keep(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
            self.known[name] = function
            return function

        return keep


class Desk:
    """What one process can be told to do. `app` is the web application over the same house."""

    def __init__(self, house: House, app: ASGIApp) -> None:
        self._ctx: Context = house.context
        self._app = app
        self._writer = Writer(self._ctx)
        self._doors = {
            door.path: door.endpoint for door in hooks.routes(self._ctx, self._writer, house.metrics)
        }
        entrypoints: Any = _Entrypoints()
        worker._bind(self._ctx, entrypoints, asyncio.Semaphore(worker.HANDS))
        self._entrypoints = entrypoints.known
        self._keeping = asyncio.Lock()

    def open(self) -> None:
        """Take webhooks from now on."""
        self._writer.start()

    async def close(self) -> None:
        await self._writer.stop()

    async def request(
        self, method: str, path: str, asked: Any = None, headers: Mapping[str, str] | None = None
    ) -> Said:
        body = b"" if asked is None else msgspec.json.encode(asked)
        return await ask(
            self._app,
            method,
            path,
            headers={"content-type": "application/json", **(headers or {})},
            body=body,
        )

    async def webhook(self, target: Target) -> int:
        """The status with which a webhook is taken."""
        path = target.url.partition("://")[2].partition("/")[2]
        said = await ask(
            self._doors[f"/{path}"], "POST", f"/{path}", headers=target.headers, body=target.body
        )
        return said.status

    async def jobs(self) -> list[Job]:
        async with self._ctx.db.reading() as conn:
            rows = await conn.fetch("SELECT id, entrypoint, payload FROM pgqueuer ORDER BY id")
        return [Job(row["id"], row["entrypoint"], row["payload"] or b"") for row in rows]

    async def work(self, job: Job) -> None:
        """Carry out a job, then take it from the queue: a death in between leaves it there, as a lost heartbeat does."""
        await self._entrypoints[job.entrypoint](SimpleNamespace(id=job.id, payload=job.payload))
        async with self._ctx.db.statement() as conn:
            await conn.execute("DELETE FROM pgqueuer WHERE id = $1", job.id)

    async def sweep(self, name: str) -> None:
        """One of `sweeps()`, or KEEP_HEALTH, once."""
        if name == KEEP_HEALTH:
            async with self._keeping:  # a process has one task for it
                await self._ctx.health.write()
                await self._ctx.health.refresh()
        else:
            await worker.SWEEPS[name][1](self._ctx)


def sweeps() -> list[str]:
    """The names of what the worker does from time to time, as far as money or a message may come of it."""
    return [name for name in worker.SWEEPS if name not in FILES_ALONE]
