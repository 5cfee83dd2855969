"""The merchant's own templates of receipts: brought, previewed, published, withdrawn; and which of them draws a receipt.

A version never changes. One is published only after it has drawn every kind of receipt from made-up data. A receipt keeps
the version that was published when it was issued. Whatever goes wrong later, the built-in look takes its place, and a
person is called.
"""

import asyncio
from collections.abc import Mapping
from typing import Any, Final

import structlog

from counterfoil.documents import page_template, typesetting
from counterfoil.documents import template as documents
from counterfoil.documents.receipt_signing import Signer
from counterfoil.documents.template import MAIL, PAGE, PDF, Template, TemplateError
from counterfoil.domain import receipt_sample, receipt_template
from counterfoil.domain.errors import (
    DocumentsAwayError,
    InvalidRequestError,
    NotFoundError,
    NotPermittedError,
    WrongStateError,
)
from counterfoil.domain.receipt import Receipt
from counterfoil.services.auditing import done
from counterfoil.services.caller import Caller
from counterfoil.services.context import Context
from counterfoil.services.exceptions import call_a_person_about_account
from counterfoil.services.records import instant
from counterfoil.services.shelf import Parts
from counterfoil.store import receipt_templates as store
from counterfoil.store.database import Connection
from counterfoil.store.exceptions import Again
from counterfoil.store.receipt_templates import Stored, Version

# What each file of a template draws, by the format that is asked for.
MAINS: Final[Mapping[str, str]] = {"pdf": PDF, "html": PAGE, "mail": MAIL}
# The PDF goes along, and servers take ten megabytes and more.
MAIL_BYTES: Final = 1024 * 1024

log = structlog.get_logger()


def bad(error: TemplateError) -> InvalidRequestError:
    """A template that cannot be used, as its writer is told: the reason, the file, the line."""
    facts = {"file": error.file, "line": error.line, "column": error.column, "reason": error.reason}
    return InvalidRequestError(
        f"The template cannot be used: {error}.", field="files", **{k: v for k, v in facts.items() if v}
    )


def _allow(ctx: Context, caller: Caller) -> None:
    """Templates draw receipts of both modes: once the settings are live, a key of sandbox mode changes none."""
    if ctx.mode == "live" != caller.mode:
        raise NotPermittedError(needs="admin, of live mode", has=f"a role of {caller.mode} mode")


async def look_through(files: Mapping[str, bytes]) -> Parts:
    """What the files can draw. Raises InvalidRequestError for what can be seen to be wrong without drawing.

    In a thread: a long page takes half a second.
    """
    try:
        return await asyncio.to_thread(_looked_through, files)
    except TemplateError as error:
        raise bad(error) from None


def _looked_through(files: Mapping[str, bytes]) -> Parts:
    made = documents.parts(files)
    for name, body in files.items():
        if name.endswith(".typ"):
            typesetting.refuse_packages(name, body)
    for page in made.keys() & {PAGE, MAIL}:
        page_template.check(page, files[page])
    return made


async def add(
    ctx: Context, caller: Caller, name: str, files: Mapping[str, bytes], *, note: str | None = None
) -> dict[str, Any]:
    """Keep the files as the next version of a template. Nothing is drawn by it before it is published."""
    _allow(ctx, caller)
    if not receipt_template.NAME.fullmatch(name):
        raise InvalidRequestError(f"name must be {receipt_template.NAME_SAYS}.", field="name")
    await look_through(files)
    async with ctx.db.transaction() as conn:
        version = await store.next_version(conn, caller.merchant_id, name, ctx.now())
        await store.insert_version(
            conn,
            caller.merchant_id,
            name,
            version,
            files,
            note=note,
            actor=caller.actor,
            now=ctx.now(),
        )
        await _decided(ctx, conn, caller, "receipt_template.add", name, version)
    return await get(ctx, caller, name)


async def listing(ctx: Context, caller: Caller) -> list[dict[str, Any]]:
    """All templates, by name."""
    async with ctx.db.reading() as conn:
        return [_shown(one) for one in await store.every(conn, caller.merchant_id)]


async def get(ctx: Context, caller: Caller, name: str) -> dict[str, Any]:
    """A template with all its versions, the newest first."""
    async with ctx.db.reading() as conn:
        found = await _of(conn, caller, name)
        versions = await store.versions(conn, caller.merchant_id, name)
    return _shown(found) | {"versions": [_version(one, found) for one in versions]}


async def files(
    ctx: Context, caller: Caller, name: str, version: int | None = None
) -> tuple[int, dict[str, bytes]]:
    """A version, the newest where none is named, and its files."""
    if version and version > receipt_template.VERSIONS_MOST:
        raise NotFoundError("template", receipt_template.reference(name, version))
    async with ctx.db.reading() as conn:
        number = version or (await _of(conn, caller, name)).last
        try:
            return number, await store.files(conn, caller.merchant_id, name, number)
        except LookupError:
            raise NotFoundError("template", receipt_template.reference(name, number)) from None


async def publish(ctx: Context, caller: Caller, name: str, version: int | None = None) -> dict[str, Any]:
    """Draw new receipts by a version, the newest where none is named: once it has drawn one of every kind.

    Raises InvalidRequestError with the line and the reason where it cannot, DocumentsAwayError where that cannot be seen now.
    """
    _allow(ctx, caller)
    number, brought = await files(ctx, caller, name, version)
    parts = await look_through(brought)
    for sample in receipt_sample.every():
        for format_ in MAINS:
            await draw(ctx, parts, sample, format_)
    async with ctx.db.transaction() as conn:
        await _of(conn, caller, name, locked=True)
        await store.publish(conn, caller.merchant_id, name, number)
        await _decided(ctx, conn, caller, "receipt_template.publish", name, number)
    return await get(ctx, caller, name)


async def withdraw(ctx: Context, caller: Caller, name: str) -> dict[str, Any]:
    """Draw no new receipts by it. Those that were issued with it keep it."""
    _allow(ctx, caller)
    async with ctx.db.transaction() as conn:
        found = await _of(conn, caller, name, locked=True)
        if found.published is None:
            raise WrongStateError(command="withdraw it", state="unpublished")
        await store.publish(conn, caller.merchant_id, name, None)
        await _decided(ctx, conn, caller, "receipt_template.withdraw", name, found.published)
    return await get(ctx, caller, name)


async def draw(ctx: Context, parts: Parts, receipt: Receipt, format_: str) -> bytes | None:
    """The receipt as these files draw it; None where they do not draw that format.

    Raises InvalidRequestError with the line and the reason, DocumentsAwayError where it cannot be tried now.
    """
    template = parts.get(MAINS[format_])
    try:
        return await _drawn(ctx, template, receipt) if template else None
    except TemplateError as error:
        raise bad(error) from None


async def rendered(
    ctx: Context,
    receipt: Receipt,
    format_: str,
    signer: Signer | None = None,
    *,
    attached: bool = True,
) -> bytes | None:
    """The receipt by the template it was issued with, a PDF signed where there is a signer. None where the built-in look is to draw it.

    `attached`: the PDF goes with the mail that is drawn.

    That is so of a void one, which no template may forget to mark; and where the template fails: then a person is called.
    """
    if receipt.template is None or receipt.voided or format_ not in MAINS:
        return None
    try:
        template = (await _parts(ctx, receipt.template)).get(MAINS[format_])
    except (TemplateError, LookupError) as cannot:
        await _failed(ctx, receipt, str(cannot))
        return None
    try:
        return await _drawn(ctx, template, receipt, signer, attached=attached) if template else None
    except TemplateError as cannot:
        await _failed(ctx, receipt, str(cannot))
        return None
    except DocumentsAwayError as away:
        await _call(ctx, receipt, "documents_away", away.reason, Again.ALWAYS)
        return None


async def chosen(
    ctx: Context, conn: Connection, merchant_id: str, receipt: Receipt, metadata: Mapping[str, str]
) -> str | None:
    """The template that a receipt is to be drawn by, with its version; None for the built-in look."""
    names = receipt_template.fitting(ctx.directory.templates, receipt, metadata)
    if not names:
        return None
    published = await store.published(conn, merchant_id, names)
    name = next((name for name in names if name in published), None)
    return receipt_template.reference(name, published[name]) if name else None


async def _drawn(
    ctx: Context,
    template: Template,
    receipt: Receipt,
    signer: Signer | None = None,
    *,
    attached: bool = True,
) -> bytes:
    if template.main in {PAGE, MAIL}:
        page = (await ctx.renderer.page(receipt, template, attached=attached)).encode()
        if template.main == MAIL and len(page) > MAIL_BYTES:
            raise TemplateError(
                f"a mail has at most {MAIL_BYTES // 1024 // 1024} MB, pictures included", file=MAIL
            )
        return page
    return await ctx.renderer.pdf(receipt, template=template, signer=signer)


async def _parts(ctx: Context, reference: str) -> Parts:
    """The files of a version that a receipt names. Raises LookupError where it is not there."""
    if kept := ctx.shelf.find(reference):
        return kept
    async with ctx.db.reading() as conn:
        found = await store.files(conn, ctx.merchant_id, *receipt_template.parts(reference))
    made = documents.parts(found)
    ctx.shelf.put(reference, made)
    return made


async def _failed(ctx: Context, receipt: Receipt, reason: str) -> None:
    """Call a person, once for a version: it never changes and its receipts keep it, so nobody can mend it for them."""
    log.warning("a template failed", template=receipt.template, receipt=receipt.id)
    await _call(ctx, receipt, "template_failed", reason, Again.NEVER)


async def _call(ctx: Context, receipt: Receipt, kind: str, reason: str, again: Again) -> None:
    sentence = f"The template {receipt.template} could not draw {receipt.number}, and the built-in look took its place: {reason}."
    async with ctx.db.transaction() as conn:
        await call_a_person_about_account(
            ctx,
            conn,
            merchant_id=ctx.merchant_id,
            mode="sandbox" if receipt.sandbox else "live",
            kind=kind,
            subject=receipt.template or "",
            sentence=sentence,
            again=again,
        )


async def _of(conn: Connection, caller: Caller, name: str, *, locked: bool = False) -> Stored:
    try:
        return await store.get(conn, caller.merchant_id, name, locked=locked)
    except LookupError:
        raise NotFoundError("template", name) from None


async def _decided(
    ctx: Context, conn: Connection, caller: Caller, action: str, name: str, version: int
) -> None:
    detail = {"template": receipt_template.reference(name, version)}
    await done(ctx, conn, caller, action, name, detail)


def _shown(stored: Stored) -> dict[str, Any]:
    return {
        "object": "receipt_template",
        "name": stored.name,
        "published": stored.published,
        "last_version": stored.last,
        "created_at": instant(stored.created_at),
    }


def _version(one: Version, stored: Stored) -> dict[str, Any]:
    return {
        "version": one.version,
        "published": one.version == stored.published,
        "note": one.note,
        "created_by": one.created_by,
        "created_at": instant(one.created_at),
        "draws": [format_ for format_, main in MAINS.items() if main in one.files],
        "files": [{"name": name, "bytes": size} for name, size in sorted(one.files.items())],
    }
