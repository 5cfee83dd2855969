"""receipts signing: the key and certificate with which receipts are signed, installed, shown and taken away."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click

from counterfoil.cli.running import as_json, in_house, operator
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.settings_patch import value_at
from counterfoil.domain.signing import SECTION, certificates
from counterfoil.services import settings
from counterfoil.services import signing as service
from counterfoil.services.context import Context

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


@click.command()
@click.option("--key", type=FILE, help="A private key on P-256, in PEM.")
@click.option(
    "--certificate", type=FILE, help="Its certificate in PEM, and those above it, if any, behind it."
)
@click.option("--password-stdin", is_flag=True, help="Read the key's password from the standard input.")
@click.option(
    "--off", is_flag=True, help="Sign no more; certificates stay, so that what was signed stays verifiable."
)
@as_json
def signing(
    key: Path | None, certificate: Path | None, password_stdin: bool, off: bool, as_json: bool
) -> None:
    """Sign every PDF receipt with your key; without options: how they are signed now.

    \b
    counterfoil receipts signing --key receipts.key --certificate receipts.pem
    counterfoil receipts signing --certificate renewed.pem      # of the same key
    counterfoil receipts signing --off

    Certificates that are there already stay behind the new one. A key with a password asks for it.
    """  # noqa: D301  \b is click's own mark: it leaves the lines below as they are
    if (off and (key or certificate)) or (key and not certificate) or (password_stdin and not key):
        raise click.UsageError(
            "Give --key and --certificate, or --certificate alone for the same key, or --off."
        )
    changed = {"key": None, "password": None} if off else _key(key, from_stdin=password_stdin) if key else {}
    first = certificates(_contents(certificate), str(certificate)) if certificate else []

    async def act(ctx: Context) -> dict[str, Any]:
        if changed or first:
            await _change(ctx, changed, first)
        return service.shown(ctx)

    shown = in_house(act)
    click.echo(json.dumps(shown, indent=2, ensure_ascii=False) if as_json else _said(**shown))


async def _change(ctx: Context, changed: dict[str, Any], first: list[str]) -> None:
    """Change the settings; certificates that are known already stay behind the new ones."""
    before = await settings.read(ctx)
    known = value_at(before, f"{SECTION}.certificates")
    section = changed | {"certificates": list(dict.fromkeys([*first, *known]))}
    patch = {"receiptGeneration": {"signing": section}}
    await settings.change(ctx, operator(ctx), patch, version=before["version"])


def _key(path: Path, *, from_stdin: bool) -> dict[str, Any]:
    """The key and its password. One without takes away the password of the key before it."""
    text = _contents(path)
    password = None
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    elif "ENCRYPTED" in text:
        password = click.prompt(f"Password of {path}", hide_input=True, err=True)
    return {"key": text, "password": password}


def _contents(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        raise InvalidRequestError(f"{path} cannot be read as PEM.") from None


def _said(*, signed: bool, certificates: Sequence[dict[str, Any]]) -> str:
    own, others = (certificates[0], certificates[1:]) if signed else (None, certificates)
    lines = ["Receipts are not signed."]
    if own:
        lines = [f"Receipts are signed as {own['subject']}, valid until {own['valid_until'][:10]}."]
        if not own["valid"]:
            lines.append("The certificate is not valid now: readers of PDFs will warn of it.")
    if others:
        lines.append(
            "Known for ours beside it, and verifiable:" if own else "Known for ours, and verifiable:"
        )
        lines += [f"  {one['subject']}, valid until {one['valid_until'][:10]}" for one in others]
    return "\n".join(lines)
