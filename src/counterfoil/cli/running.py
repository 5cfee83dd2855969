"""How a command runs: configuration, database, house, and its result as a table or as JSON."""

import asyncio
import errno
import json
import os
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

import click

from counterfoil import log, settings, wiring
from counterfoil.domain.errors import ConfigurationError
from counterfoil.domain.operator import Role
from counterfoil.services.context import Context
from counterfoil.services.payments import Caller
from counterfoil.settings import Settings

T = TypeVar("T")

PIPED_COLUMNS = 1_000

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")


def configuration() -> Settings:
    """The settings of the environment, with logging set up."""
    log.configure(json=os.environ.get(settings.LOG) == "json")
    chosen = settings.from_environment()
    for name in settings.unknown():
        click.echo(f"counterfoil: {name} is set, but there is no such variable; is it misspelt?", err=True)
    return chosen


def bind(host: str, port: int) -> socket.socket:
    """A socket bound there. Raises ConfigurationError, before anything else starts."""
    from counterfoil.web.server import listen

    try:
        return listen(host, port)
    except OSError as refused:
        other = "--port" if refused.errno in {errno.EADDRINUSE, errno.EACCES} else "--host"
        raise ConfigurationError(
            f"Cannot listen on {host}:{port}: {refused.strerror}. Choose another {other}."
        ) from None


def in_house(act: Callable[[Context], Awaitable[T]]) -> T:
    """Carry out one act in a house opened for it: the running database, or our own for as long as it takes."""
    chosen = configuration()
    with wiring.find_database(chosen, supervise=False) as addresses:
        wiring.bring_up_to_date(addresses)
        return asyncio.run(_in_house(chosen, addresses, act))


async def _in_house(
    chosen: Settings, addresses: wiring.Addresses, act: Callable[[Context], Awaitable[T]]
) -> T:
    async with wiring.open_house(chosen, addresses) as house:
        return await act(house.context)


def operator(ctx: Context) -> Caller:
    """Whoever may run commands on this machine, named as the operating system names them."""
    return Caller(
        actor=f"cli:{os.environ.get('USER') or os.getuid()}",
        merchant_id=ctx.merchant_id,
        mode=ctx.mode,
        role=Role.ADMIN,
    )


def show(rows: Sequence[dict[str, Any]], columns: Sequence[str], *, json_wanted: bool, empty: str) -> None:
    """Print rows: as JSON whole, or the named columns as a table."""
    if json_wanted:
        click.echo(json.dumps(list(rows), indent=2, ensure_ascii=False))
        return
    if not rows:
        click.echo(empty)
        return
    import sys

    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for column in columns:
        table.add_column(
            column.replace("_", " "), justify="right" if "amount" in column else "left", overflow="fold"
        )
    for row in rows:
        table.add_row(*("" if row.get(column) is None else str(row[column]) for column in columns))
    # Into a file or a pipe every row goes on one line, however long.
    Console(width=None if sys.stdout.isatty() else PIPED_COLUMNS).print(table)


def show_one(row: dict[str, Any], *, json_wanted: bool) -> None:
    """Print one thing: as JSON, or a field a line."""
    if json_wanted:
        click.echo(json.dumps(row, indent=2, ensure_ascii=False))
        return
    width = max(map(len, row))
    for name, value in row.items():
        text = json.dumps(value, ensure_ascii=False) if isinstance(value, dict | list) else value
        click.echo(f"{name.replace('_', ' '):<{width}}  {'' if text is None else text}")
