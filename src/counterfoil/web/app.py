"""The application: routes, and what runs as long as it does."""

import asyncio
from collections.abc import AsyncIterator, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any, Final

from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse
from starlette.routing import Route

from counterfoil.domain.errors import DatabaseAwayError
from counterfoil.services import worker
from counterfoil.services.context import Context, House
from counterfoil.services.inbox import Writer
from counterfoil.services.metrics import Metrics
from counterfoil.web import assets, hooks, problems, reference
from counterfoil.web import receipts as receipt_pages
from counterfoil.web.api import (
    answering,
    batches,
    disputes,
    endpoints,
    events,
    exceptions,
    payments,
    receipt_exports,
    receipts,
    refund_reports,
    refunds,
    settings,
    templates,
    webhooks,
)
from counterfoil.web.checkout.routes import Checkout
from counterfoil.web.limits import Limits
from counterfoil.web.streams import Streams

VERSION: Final = "0.1.0"
WATCHED_S: Final = 2.0  # the usual patience of whoever watches


def create_app(house: House, *, work: bool) -> FastAPI:
    """The web application; with `work` it also runs the worker in the same process."""
    ctx, metrics = house.context, house.metrics
    writer, streams = Writer(ctx), Streams(ctx)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        stop = asyncio.Event()
        writer.start()
        tasks = [asyncio.create_task(ctx.directory.keep_fresh(stop), name="keep accounts fresh")]
        tasks.append(asyncio.create_task(streams.listen(house.direct_url, stop), name="listen for events"))
        if work:
            tasks.append(asyncio.create_task(worker.work(ctx, house.direct_url, stop), name="worker"))
        async with AsyncExitStack() as closing:
            closing.push_async_callback(_ended, tasks)
            closing.callback(stop.set)
            closing.push_async_callback(answering.drain)
            closing.push_async_callback(writer.stop)
            yield

    app = FastAPI(
        title="Counterfoil",
        version=VERSION,
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
    )
    app.state.context = ctx
    app.state.streams, app.state.leave = streams, streams.leave
    app.include_router(webhooks.router)
    app.include_router(endpoints.router)
    app.include_router(events.router)
    app.include_router(exceptions.router)
    app.include_router(settings.router)
    app.include_router(batches.router)
    app.include_router(refund_reports.router)
    app.include_router(refunds.router)
    app.include_router(disputes.router)
    app.include_router(templates.router)
    app.include_router(receipt_exports.router)
    app.include_router(receipts.router)
    app.include_router(payments.router)
    doors = hooks.routes(ctx, writer, metrics)
    app.router.routes.extend([*doors, *Checkout(ctx).routes(), *receipt_pages.routes(ctx), *assets.ROUTES])
    _health(app, ctx, metrics)
    reference.install(app)
    problems.install(app)
    app.add_middleware(hooks.Ahead, endpoints={door.path: door.endpoint for door in doors})
    app.add_middleware(Limits)
    return app


async def _ended(tasks: list[asyncio.Task[None]]) -> None:
    await asyncio.gather(*tasks, return_exceptions=True)


def _health(app: FastAPI, ctx: Context, metrics: Metrics) -> None:
    async def healthz(_request: Request) -> Response:
        """The process is alive."""
        return JSONResponse({"status": "ok"})

    async def readyz(_request: Request) -> Response:
        """It can serve: it is fit for the mode of the settings, and the database answers."""
        if ctx.unfit:
            return JSONResponse({"status": "unfit", "because": ctx.unfit}, status_code=503)
        try:
            await _in_time(ctx.db.ping())
        except DatabaseAwayError as away:
            return JSONResponse({"status": "unavailable", "because": away.detail}, status_code=503)
        return JSONResponse({"status": "ready"})

    async def show_metrics(_request: Request) -> Response:
        try:
            await _in_time(metrics.read(ctx.db, ctx.now()))
        except DatabaseAwayError:
            metrics.away()  # what was counted in this process is shown all the same
        return PlainTextResponse(metrics.page(), media_type="text/plain; version=0.0.4; charset=utf-8")

    for path, endpoint in (("/healthz", healthz), ("/readyz", readyz), ("/metrics", show_metrics)):
        app.router.routes.append(Route(path, endpoint, methods=["GET"]))


async def _in_time(asking: Coroutine[Any, Any, None]) -> None:
    """Ask the database, and wait no longer than whoever watches. Raises DatabaseAwayError.

    What is still under way is cancelled but not waited for: on a line that went dead, its clean-up takes as long.
    """
    task = asyncio.create_task(asking)
    done, _ = await asyncio.wait({task}, timeout=WATCHED_S)
    if not done:
        task.cancel()
        raise DatabaseAwayError("The database did not answer in time.")
    task.result()
