"""doctor: what is well, what is not, and what to do about it."""

import asyncio
from dataclasses import asdict

import click

from counterfoil import wiring
from counterfoil.cli.running import as_json, configuration
from counterfoil.services.examining import Finding, examine
from counterfoil.settings import Settings

MARKS = {"ok": ("ok  ", "green"), "warn": ("warn", "yellow"), "fail": ("FAIL", "red")}


@click.command()
@as_json
def doctor(as_json: bool) -> None:
    """Check configuration, keys, gateways, clock and database, and say what to mend. Exits 1 where something fails."""
    chosen = configuration()
    with wiring.find_database(chosen, supervise=False) as addresses:
        wiring.bring_up_to_date(addresses)
        findings = asyncio.run(_examine(chosen, addresses))
    if as_json:
        import json

        click.echo(json.dumps([asdict(finding) for finding in findings], indent=2))
    else:
        _print(findings)
    if any(finding.state == "fail" for finding in findings):
        raise SystemExit(1)


async def _examine(chosen: Settings, addresses: wiring.Addresses) -> list[Finding]:
    async with wiring.open_house(chosen, addresses) as house:
        key_file = chosen.key_file or wiring.key_file_of(chosen)
        return await examine(house.context, chosen, key_file)


def _print(findings: list[Finding]) -> None:
    for finding in findings:
        mark, colour = MARKS[finding.state]
        click.echo(f"{click.style(mark, fg=colour, bold=True)}  {finding.name:<18} {finding.sentence}")
        if finding.mend:
            click.echo(f"{'':24} → {finding.mend}")
