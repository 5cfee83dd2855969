"""settings: the settings document, from the command line."""

import json
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from counterfoil.cli.running import as_json, configuration, in_house, operator, show
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.settings_fields import BY_PATH, SEALED_PARTS, Kind
from counterfoil.domain.settings_patch import apart_from_version, holds, put, value_at
from counterfoil.services import adopting
from counterfoil.services import settings as service
from counterfoil.services.context import Context

same_account = click.option(
    "--same-account/--another-account",
    "same",
    default=None,
    help="Whose the new keys are, where the gateway cannot be asked.",
)


@click.group()
def settings() -> None:
    """The settings document: show, get, set, unset, adopt-env, history."""


@settings.command(name="show")
@as_json
def show_all(as_json: bool) -> None:
    """Every field, and what it says now. Secrets read as whether they are set."""
    _print(in_house(service.read), json_wanted=as_json)


@settings.command()
@click.argument("path")
@as_json
def get(path: str, as_json: bool) -> None:
    """One field, or a section of them."""
    document = in_house(service.read)
    if not holds(document, path):
        raise InvalidRequestError(f"There is no setting {path}.", field=path)
    found = value_at(document, path)
    if as_json or not isinstance(found, Mapping):
        click.echo(json.dumps(found, indent=2, ensure_ascii=False) if as_json else _said(found))
    else:
        _print({path: found}, json_wanted=False)


@settings.command(name="set")
@click.argument("path", required=False)
@click.argument("value", required=False)
@click.option("--stdin", "from_stdin", is_flag=True, help="Read the value of PATH from the standard input.")
@click.option(
    "--from-file", type=click.Path(path_type=Path), help="Read the value of PATH from a file: for secrets."
)
@click.option(
    "--file",
    "change",
    type=click.File("rb"),
    help="A JSON merge patch of any fields; - is the standard input.",
)
@click.option(
    "--version", "version", type=click.IntRange(1), help="Only where the settings are at this version."
)
@same_account
@as_json
def change_some(
    path: str | None,
    value: str | None,
    from_stdin: bool,
    from_file: Path | None,
    change: Any,
    version: int | None,
    same: bool | None,
    as_json: bool,
) -> None:
    """Set one field, or many by a file. Secrets come from the standard input or a file, never as an argument.

    \b
    counterfoil settings set routing.breaker.failures 3
    counterfoil settings set paymentGateways.stripe.webhookSecret --stdin < secret
    counterfoil settings set --file change.json
    """  # noqa: D301  \b is click's own mark: it leaves the lines below as they are
    given = [value is not None, from_stdin, from_file is not None, change is not None]
    if sum(given) != 1 or (path is None) != (change is not None):
        raise click.UsageError("Give PATH and its value (or --stdin, or --from-file), or --file alone.")
    if path is None:
        patch, named = apart_from_version(_json(change.read(), "--file"))
        version = version or named
    else:
        patch = _of_path(path, _value(path, value, from_stdin=from_stdin, from_file=from_file))
    _change(_with_owner(patch, same), version, json_wanted=as_json)


@settings.command()
@click.argument("path")
@as_json
def unset(path: str, as_json: bool) -> None:
    """Put a field that may be absent back to its default."""
    _change(_of_path(path, None), None, json_wanted=as_json)


@settings.command(name="adopt-env")
@same_account
@as_json
def adopt_env(same: bool | None, as_json: bool) -> None:
    """Take what the environment says over what is stored: mode, gateway keys, and the name of the business."""
    _change(adopting.patch(configuration(), same_account=same), None, json_wanted=as_json)


@settings.command()
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200))
@as_json
def history(limit: int, as_json: bool) -> None:
    """Who changed what and when, newest first."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        return await service.history(ctx, limit=limit)

    rows = in_house(act)
    if not as_json:
        rows = [
            {"version": row["version"], "at": row["at"], "actor": row["actor"]}
            | {name: _said(value) if name != "path" else value for name, value in one.items()}
            for row in rows
            for one in row["changes"]
        ]
    columns = ("version", "at", "actor", "path", "from", "to")
    show(rows, columns, json_wanted=as_json, empty="Nothing was changed yet.")


def _change(patch: Any, version: int | None, *, json_wanted: bool) -> None:
    """Carry it out, and say what changed."""

    async def act(ctx: Context) -> tuple[dict[str, Any], dict[str, Any]]:
        before = await service.read(ctx)
        return before, await service.change(ctx, operator(ctx), patch, version=version)

    before, after = in_house(act)
    if json_wanted:
        click.echo(json.dumps(after, indent=2, ensure_ascii=False))
        return
    was, rows = dict(_rows(before)), []
    for path, value in _rows(after):
        if was.get(path) != value and path not in {"version", "updated_at"}:
            rows.append({"setting": path, "was": _said(was.get(path)), "is": _said(value)})
    show(rows, ("setting", "was", "is"), json_wanted=False, empty="It says so already; nothing was changed.")
    if rows:
        click.echo(f"Version {after['version']}, in force everywhere within five seconds.")


def _of_path(path: str, value: Any) -> dict[str, Any]:
    patch: dict[str, Any] = {}
    put(patch, path, value)
    return patch


def _with_owner(patch: Any, same: bool | None) -> Any:
    """The patch, told whose the keys in it are."""
    for gateway in ("stripe", "razorpay") if same is not None else ():
        section = value_at(patch, f"paymentGateways.{gateway}")
        if isinstance(section, dict):
            section["sameAccount"] = same
    return patch


def _is_secret(path: str) -> bool:
    field = BY_PATH.get(path)
    return path in SEALED_PARTS or (field is not None and field.kind is Kind.SECRET)


def _value(path: str, value: str | None, *, from_stdin: bool, from_file: Path | None) -> Any:
    """The value of a field: text as it stands where the field holds text, else JSON."""
    if value is not None and _is_secret(path):
        raise InvalidRequestError(
            f"{path} is a secret, which other processes could read among the arguments: use --stdin or --from-file.",
            field=path,
        )
    text = value
    if from_stdin:
        text = sys.stdin.read().strip()
    if from_file is not None:
        text = _contents(from_file)
    field = BY_PATH.get(path)
    if _is_secret(path) or (field is not None and field.rule.text):
        return text
    try:
        return _json((text or "").encode(), path)
    except InvalidRequestError:
        return text  # the field's own rule says what it wants


def _contents(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as bad:
        raise InvalidRequestError(f"{path} cannot be read: {bad}.") from None


def _json(text: bytes, what: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequestError(f"{what} is not JSON.") from None


def _rows(document: Mapping[str, Any], where: str = "") -> Iterator[tuple[str, Any]]:
    """Each field with its path."""
    for name, value in document.items():
        path = f"{where}.{name}" if where else name
        if path in BY_PATH or not isinstance(value, Mapping):
            yield path, value
        else:
            yield from _rows(value, path)


def _said(value: Any) -> str:
    """A value for a person's eyes."""
    if isinstance(value, Mapping) and "set" in value and "last4" in value:
        return f"…{value['last4'] or ''}, since {value['updatedAt']}" if value["set"] else "(not set)"
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False)


def _print(document: Mapping[str, Any], *, json_wanted: bool) -> None:
    if json_wanted:
        click.echo(json.dumps(document, indent=2, ensure_ascii=False))
        return
    rows = [{"setting": path, "value": _said(value)} for path, value in _rows(document)]
    show(rows, ("setting", "value"), json_wanted=False, empty="Nothing.")
