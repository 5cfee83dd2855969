"""docs/generated/settings.md: every start-up variable."""

from dataclasses import fields

from page import settle, table

from counterfoil.settings import Settings, variable

rows = [
    (
        f"`{variable(spec.name)}`",
        str(spec.metadata["doc"]) + (" (secret)" if spec.metadata["secret"] else ""),
        "" if spec.default in (None, False) else f"`{spec.default}`",
    )
    for spec in fields(Settings)
]
settle(
    "settings.md",
    "# Start-up settings\n\nRead from the environment once. Each may also be given as `…_FILE`, a path to read it from.\n\n"
    + table(("variable", "what it is", "default"), rows),
)
