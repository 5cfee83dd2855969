"""docs/generated/cli.md: every command, as its own --help says it."""

from collections.abc import Iterator

import click
from page import settle

from counterfoil.cli.main import app


def pages(command: click.Command, path: str) -> Iterator[str]:
    """The help of a command and of everything below it."""
    context = click.Context(command, info_name=path, max_content_width=100, terminal_width=100)
    yield f"## `{path}`\n\n```\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            if below is not None:
                yield from pages(below, f"{path} {name}")


settle("cli.md", "# Commands\n\n" + "\n".join(pages(app, "counterfoil")))
