"""Generated pages: written by `make docs`, and checked by CI, which fails when one is stale."""

import sys
from pathlib import Path

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "generated"


def settle(name: str, text: str) -> None:
    """Write the page; with --check, say where it is stale and exit 1 instead."""
    path, text = FOLDER / name, text.rstrip() + "\n"
    if "--check" not in sys.argv:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    elif not path.exists() or path.read_text("utf-8") != text:
        sys.exit(f"{path} is stale: run `make docs`")


def table(header: tuple[str, ...], rows: list[tuple[str, ...]]) -> str:
    """A Markdown table."""
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(
        "| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in line) + " |"
        for line in lines
    )
