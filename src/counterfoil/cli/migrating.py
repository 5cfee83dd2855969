"""migrate: bring the database up to date."""

import click

from counterfoil import wiring
from counterfoil.cli.running import configuration


@click.command()
def migrate() -> None:
    """Run the migrations that are missing. Two at once run them once."""
    with wiring.find_database(configuration(), supervise=False) as addresses:
        applied = wiring.bring_up_to_date(addresses)
    click.echo("\n".join(f"migrated: {name}" for name in applied) or "The database is up to date.")
