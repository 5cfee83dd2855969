"""An operator's own template: files by name, one of which is begun with; and what is wrong with one, and where.

A template is held as bytes, never as a place on disk: what is rendered is written anew from them, so that no symbolic
link and no file beside them can be meant.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

MAX_FILES: Final = 32
MAX_BYTES: Final = 8 * 1024 * 1024  # a logo and a family of fonts; all files together
PDF: Final = "main.typ"  # what sets the PDF
PAGE: Final = "main.html"  # what makes the page
MAIL: Final = "mail.html"  # what makes the HTML part of the mail: a page is too much for most mail programs
NAME: Final = re.compile(r"(?:[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}/){0,3}[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}")


class TemplateError(ValueError):
    """A template that cannot be used: why, and where it says so. Lines and columns are counted from 1."""

    def __init__(
        self, reason: str, *, file: str | None = None, line: int | None = None, column: int | None = None
    ) -> None:
        where = ":".join(str(part) for part in (file, line, column) if part is not None)
        super().__init__(f"{where}: {reason}" if where else reason)
        self.reason, self.file, self.line, self.column = reason, file, line, column


@dataclass(frozen=True, slots=True)
class Template:
    """Files by name ("logo.svg", "parts/foot.typ"), and which one is rendered. Raises TemplateError where they cannot be."""

    files: Mapping[str, bytes]
    main: str = PDF

    def __post_init__(self) -> None:
        if self.main not in self.files:
            raise TemplateError(f"there is no file {self.main}")
        if len(self.files) > MAX_FILES:
            raise TemplateError(f"a template has at most {MAX_FILES} files, this one {len(self.files)}")
        if sum(map(len, self.files.values())) > MAX_BYTES:
            raise TemplateError(f"a template has at most {MAX_BYTES // 1024 // 1024} MB in all its files")
        for name in self.files:
            if not NAME.fullmatch(name):
                raise TemplateError(f"{name!r} is no name of a file: letters, digits, dots and dashes")
            for folder in PurePosixPath(name).parents:
                if str(folder) in self.files:
                    raise TemplateError(f"{folder} cannot be a file and the folder of {name}")


def read(folder: Path) -> dict[str, bytes]:
    """The files in a folder. Raises TemplateError for symbolic links and whatever else is no plain file."""
    files: dict[str, bytes] = {}
    for path in sorted(folder.rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_symlink():
            raise TemplateError("a symbolic link is no part of a template", file=name)
        if path.is_dir():
            continue
        if not path.is_file():
            raise TemplateError("only plain files are part of a template", file=name)
        if path.stat().st_size > MAX_BYTES or len(files) == MAX_FILES:
            raise TemplateError("too large, or one file too many", file=name)
        files[name] = path.read_bytes()
    return files


def parts(files: Mapping[str, bytes]) -> dict[str, Template]:
    """What these files can draw, by the file it is begun with. Raises TemplateError where that is nothing."""
    made = {main: Template(files, main) for main in (PDF, PAGE, MAIL) if main in files}
    if not made:
        raise TemplateError(
            f"a template has a {PDF} for the PDF, a {PAGE} for the page, a {MAIL} for the mail, or several of them"
        )
    return made
