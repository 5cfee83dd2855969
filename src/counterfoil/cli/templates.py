"""receipts templates: bring, publish and withdraw templates of one's own; receipts preview: see what they draw."""

from pathlib import Path
from typing import Any

import click

from counterfoil.cli.running import as_json, in_house, operator, show, show_one
from counterfoil.documents import template as documents
from counterfoil.documents.template import TemplateError
from counterfoil.documents.typesetting import BUILT_IN
from counterfoil.domain import ids
from counterfoil.domain.errors import InvalidRequestError
from counterfoil.domain.receipt import Kind
from counterfoil.domain.receipt_template import NAME
from counterfoil.services import previews
from counterfoil.services import templates as service
from counterfoil.services.context import Context
from counterfoil.services.previews import Ask

STARTER = BUILT_IN / "starter"
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.group()
def templates() -> None:
    """Templates of receipts: new, add, list, show, save, publish, withdraw."""


@templates.command()
@click.argument("folder", type=click.Path(path_type=Path))
def new(folder: Path) -> None:
    """Write a template to begin with into a new folder."""
    if folder.exists() and any(folder.iterdir() if folder.is_dir() else [folder]):
        raise InvalidRequestError(f"{folder} is there already: name a folder that is new or empty.")
    folder.mkdir(parents=True, exist_ok=True)
    for file in sorted(STARTER.iterdir()):
        (folder / file.name).write_bytes(file.read_bytes())
    click.echo(f"{folder}: change it as you like, then: counterfoil receipts preview {folder}")


@templates.command()
@click.argument("name")
@click.argument("folder", type=FOLDER)
@click.option("--note", help="What is new in it.")
@as_json
def add(name: str, folder: Path, note: str | None, as_json: bool) -> None:
    """Bring the files of a folder as the next version of a template. Nothing is drawn by it before it is published."""
    files = _files(folder)

    async def act(ctx: Context) -> dict[str, Any]:
        return await service.add(ctx, operator(ctx), name, files, note=note)

    _told(in_house(act), as_json=as_json)


@templates.command(name="list")
@as_json
def listing(as_json: bool) -> None:
    """All templates."""

    async def act(ctx: Context) -> list[dict[str, Any]]:
        return await service.listing(ctx, operator(ctx))

    columns = ("name", "published", "last_version", "created_at")
    show(in_house(act), columns, json_wanted=as_json, empty="No templates: receipts have the built-in look.")


@templates.command(name="show")
@click.argument("name")
@as_json
def show_template(name: str, as_json: bool) -> None:
    """A template and its versions."""

    async def act(ctx: Context) -> dict[str, Any]:
        return await service.get(ctx, operator(ctx), name)

    _told(in_house(act), as_json=as_json)


@templates.command()
@click.argument("name")
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--version", type=click.IntRange(min=1), help="The newest, where left out.")
def save(name: str, folder: Path, version: int | None) -> None:
    """Write the files of a version into a folder."""

    async def act(ctx: Context) -> tuple[int, dict[str, bytes]]:
        return await service.files(ctx, operator(ctx), name, version)

    number, files = in_house(act)
    for path, body in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(body)
    click.echo(f"{folder}: version {number} of {name}, {len(files)} files.")


@templates.command()
@click.argument("name")
@click.option("--version", type=click.IntRange(min=1), help="The newest, where left out.")
@as_json
def publish(name: str, version: int | None, as_json: bool) -> None:
    """Draw new receipts by it, once it has drawn one of every kind from made-up data.

    Which receipts it is for, receiptGeneration.customTemplates says.
    """

    async def act(ctx: Context) -> tuple[dict[str, Any], bool]:
        done = await service.publish(ctx, operator(ctx), name, version)
        return done, any(choice.template == name for choice in ctx.directory.templates)

    done, named = in_house(act)
    _told(done, as_json=as_json)
    if not named and not as_json:
        rule = f"""'[{{"template": "{name}"}}]'"""
        click.echo(
            "No rule names it yet, so nothing is drawn by it."
            f" For all receipts: counterfoil settings set receiptGeneration.customTemplates {rule}"
        )


@templates.command()
@click.argument("name")
@as_json
def withdraw(name: str, as_json: bool) -> None:
    """Draw no new receipts by it. Those that were issued with it keep it."""

    async def act(ctx: Context) -> dict[str, Any]:
        return await service.withdraw(ctx, operator(ctx), name)

    _told(in_house(act), as_json=as_json)


@click.command()
@click.argument("template", metavar="NAME_OR_FOLDER")
@click.option("--version", type=click.IntRange(min=1), help="Of a name; the newest, where left out.")
@click.option("--format", "format_", type=click.Choice([*service.MAINS]), default="pdf", show_default=True)
@click.option(
    "--of", metavar="PAYMENT_OR_RECEIPT", help="A receipt that was issued, instead of made-up data."
)
@click.option(
    "--kind", type=click.Choice([kind.value for kind in Kind]), default="payment", show_default=True
)
@click.option("--language", default="en-IN", show_default=True, help="Of the made-up data.")
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    help="preview.pdf or preview.html, where left out.",
)
def preview(
    template: str,
    version: int | None,
    format_: str,
    of: str | None,
    kind: str,
    language: str,
    out: Path | None,
) -> None:
    """Draw a receipt by a template, published or not, or by the files of a folder.

    What is a folder here is drawn as one; with --version it is the name of a template.
    """
    folder = Path(template) if version is None and Path(template).is_dir() else None
    ask = Ask(
        name=template,
        version=version,
        files=_files(folder) if folder else None,
        format=format_,
        receipt_id=of if of and ids.is_id("receipt", of) else None,
        payment_id=of if of and ids.is_id("payment", of) else None,
        kind=Kind(kind),
        language=language,
    )
    if version and not NAME.fullmatch(template):
        raise InvalidRequestError(f"{template[:64]} is no name of a template, and a folder has no versions.")
    if of and not (ask.receipt_id or ask.payment_id):
        raise InvalidRequestError(f"{of[:64]} is no id of a payment or a receipt.")

    async def act(ctx: Context) -> bytes:
        return await previews.preview(ctx, operator(ctx), ask)

    path = out or Path("preview.pdf" if format_ == "pdf" else "preview.html")
    path.write_bytes(in_house(act))
    by = f"the folder {folder.absolute()}" if folder else template + (f"@{version}" if version else "")
    click.echo(f"{path}: as {by} draws it.")


def _files(folder: Path) -> dict[str, bytes]:
    try:
        return documents.read(folder)
    except TemplateError as error:
        raise service.bad(error) from None


def _told(template: dict[str, Any], *, as_json: bool) -> None:
    """The template on a line, and its versions as a table."""
    if as_json:
        show_one(template, json_wanted=True)
        return
    published = f"version {template['published']} is published" if template["published"] else "not published"
    click.echo(f"{template['name']}: {published}.")
    rows = [
        version | {"draws": ", ".join(version["draws"]), "files": len(version["files"])}
        for version in template["versions"]
    ]
    columns = ("version", "draws", "files", "created_by", "created_at", "note")
    show(rows, columns, json_wanted=False, empty="")
