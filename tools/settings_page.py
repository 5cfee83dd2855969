"""docs/generated/settings.md: every start-up variable, and every field of the settings document."""

import json
from dataclasses import fields

from page import settle, table

from counterfoil.domain.settings_fields import EMPTY, FIELDS, SEALED_PARTS, Field, Kind
from counterfoil.settings import Settings, variable

HEAD = """\
# Settings

What a process needs to start comes from the environment. Everything else is in one document in the database.
"""
VARIABLES = """\
## Start-up variables

Read from the environment once. Each may also be given as `…_FILE`, a path to read it from.
"""
DOCUMENT = """\
## The settings document

Read with `GET /api/payments/settings` or `counterfoil settings show`, changed with `PATCH` (a JSON merge patch) or
`counterfoil settings set`, both an admin's. A change is checked as a whole, written down with who made it, and in force
in every process within five seconds. What is left out reads as its default; `null` takes a field marked *optional* back
to it. A secret is written and never read: it shows whether it is set, since when, and its last four characters, but for
the key of receipts.

A field that *takes effect with* something is stored and checked, and does nothing until that is there.
"""
KINDS = {Kind.SECRET: "secret: ", Kind.INSTRUCTION: "written only: ", Kind.READ_ONLY: "read only"}


def variables() -> list[tuple[str, ...]]:
    return [
        (
            f"`{variable(spec.name)}`",
            str(spec.metadata["doc"]) + (" (secret)" if spec.metadata["secret"] else ""),
            "" if spec.default in (None, False) else f"`{spec.default}`",
        )
        for spec in fields(Settings)
    ]


def row(field: Field) -> tuple[str, ...]:
    sealed = field.path in SEALED_PARTS
    kind = KINDS[Kind.SECRET] if sealed else KINDS.get(field.kind, "")
    holds = kind + field.rule.says + (" (optional)" if field.optional else "")
    default = f"`{json.dumps(field.default)}`" if field.kind is Kind.PLAIN and not sealed else ""
    awaits = f"; *takes effect with* {field.awaits}" if field.awaits else ""
    return f"`{field.path}`", holds, default, field.effect + awaits


empty = f"{' and '.join(f'`{name}`' for name in EMPTY)} have no field yet."
settle(
    "settings.md",
    "\n".join(
        [
            HEAD,
            VARIABLES,
            table(("variable", "what it is", "default"), variables()),
            "",
            DOCUMENT,
            table(("field", "holds", "at first", "what it does"), [row(field) for field in FIELDS]),
            "",
            empty,
        ]
    ),
)
