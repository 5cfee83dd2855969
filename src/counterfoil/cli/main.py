"""The command line: a group a noun, each imported only when it is called."""

from importlib import import_module
from typing import Final

import click

# Command → the module that has it, as an attribute of the same name.
COMMANDS: Final = {
    "serve": "serving",
    "web": "serving",
    "worker": "serving",
    "migrate": "migrating",
    "sandbox": "sandbox",
    "demo": "demo",
    "doctor": "doctor",
    "check": "check",
    "keys": "keys",
    "settings": "settings",
    "payments": "payments",
    "disputes": "disputes",
    "webhooks": "webhooks",
    "refunds": "refunds",
    "receipts": "receipts",
    "endpoints": "endpoints",
    "exceptions": "exceptions",
}


class Lazy(click.Group):
    """Imports a command's module when it is called, so that `--help` and small commands start at once."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        module = COMMANDS.get(cmd_name)
        if module is None:
            return None
        found: click.Command = getattr(import_module(f"counterfoil.cli.{module}"), cmd_name)
        return found


@click.command(cls=Lazy)
@click.version_option(package_name="counterfoil")
def app() -> None:
    """Counterfoil: payments through Stripe and Razorpay, and no money goes missing.

    `counterfoil demo` shows it all on this machine. COUNTERFOIL_… variables start it; `counterfoil settings` has the rest.
    """


def main() -> None:
    """Run the command line; an error of ours is one sentence and exit status 1, not a traceback."""
    from counterfoil.domain.errors import CounterfoilError

    try:
        app()
    except CounterfoilError as error:
        from counterfoil.log import scrub

        click.echo(f"counterfoil: {scrub(error.detail)}", err=True)
        raise SystemExit(1) from None
