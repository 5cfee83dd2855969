"""serve, web, worker: the processes that run."""

import asyncio
import contextlib
import gc
import signal
import socket
from pathlib import Path

import click

from counterfoil import wiring
from counterfoil.cli.running import bind, configuration
from counterfoil.settings import Settings

HOST, PORT = "127.0.0.1", 8400
where = [
    click.option("--host", default=HOST, show_default=True, help="Address to listen on."),
    click.option(
        "--port", default=PORT, show_default=True, type=click.IntRange(0, 65535), help="Port to listen on."
    ),
]


@click.command()
@where[0]
@where[1]
@click.option("--data", type=click.Path(path_type=Path), help="Folder of the embedded database.")
def serve(host: str, port: int, data: Path | None) -> None:
    """Serve web and worker in one process; with no database configured, run our own."""
    from dataclasses import replace

    chosen = configuration()
    _run_web(replace(chosen, data=data) if data else chosen, host, port, work=True)


@click.command()
@where[0]
@where[1]
def web(host: str, port: int) -> None:
    """Serve the web side alone; `counterfoil worker` does the rest."""
    _run_web(configuration(), host, port, work=False)


def _run_web(chosen: Settings, host: str, port: int, *, work: bool) -> None:
    with (
        contextlib.closing(bind(host, port)) as bound,
        wiring.find_database(chosen, supervise=work) as addresses,
    ):
        if work:
            for applied in wiring.bring_up_to_date(addresses):
                click.echo(f"migrated: {applied}", err=True)
        else:
            wiring.expect_up_to_date(addresses)
        _loop(_serve(chosen, addresses, bound, work=work))


async def _serve(chosen: Settings, addresses: wiring.Addresses, bound: socket.socket, *, work: bool) -> None:
    from counterfoil.web.app import create_app
    from counterfoil.web.server import make_server

    async with wiring.open_house(chosen, addresses) as house:
        host, port = bound.getsockname()[:2]
        server = make_server(create_app(house, work=work), host=host, port=port)
        _spare_the_collector()
        click.echo(f"Counterfoil ({chosen.mode}) listens on http://{host}:{port}", err=True)
        await server.serve(sockets=[bound])


@click.command()
def worker() -> None:
    """Work through the queue and the sweeps; any number of these may run."""
    chosen = configuration()
    with wiring.find_database(chosen, supervise=False) as addresses:
        wiring.expect_up_to_date(addresses)
        _loop(_work(chosen, addresses))


async def _work(chosen: Settings, addresses: wiring.Addresses) -> None:
    from counterfoil.services import worker as service

    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    async with wiring.open_house(chosen, addresses) as house:
        fresh = asyncio.create_task(house.context.directory.keep_fresh(stop))
        _spare_the_collector()
        click.echo("Counterfoil's worker is at work", err=True)
        await service.work(house.context, house.direct_url, stop)
        await fresh


def _spare_the_collector() -> None:
    """What is loaded by now stays: the garbage collector need not walk through it while a gateway waits."""
    gc.collect()
    gc.freeze()


def _loop(work: object) -> None:
    """Run on uvloop where it is to be had."""
    import uvloop

    with contextlib.suppress(KeyboardInterrupt):  # before there is a server to end
        uvloop.run(work)  # type: ignore[arg-type]
