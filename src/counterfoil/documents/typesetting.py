"""Typst: a job of sources and plain values becomes a PDF, in the fonts that came as packages.

A job is all that a file depends on, so that the same job makes the same bytes, in this process or another.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typst

from counterfoil.documents import fonts
from counterfoil.documents.template import TemplateError

BUILT_IN: Final = Path(__file__).parent / "templates"
ARCHIVED: Final = "a-3a"  # PDF/A-3 with its structure: kept for decades, and the data goes along
ACCESSIBLE: Final = "ua-1"  # PDF/UA-1: read aloud as it is meant
# A folder that no template can have, where Typst is told to look for packages.
_NO_PACKAGES: Final = "+none"
_PACKAGE: Final = re.compile(r"""\b(?:import|include)\s*"@""")
# What Typst says of them by itself; a template's own words begin otherwise ("panicked with: …").
_ABOUT_PACKAGES: Final = re.compile(r"package (?:not )?found|package specification|failed to \w+ package")
_OURS: Final = "__typst_py_bytes__.typ"  # what Typst calls document.typ, which it is handed as bytes
_PLACE: Final = re.compile(r"┌─ (?P<file>.*):(?P<line>\d+):(?P<column>\d+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """What is set: the main file within its folder, the values it sees (JSON), and the file that goes along (JSON)."""

    main: str
    data: str
    attached: str
    attached_as: str  # its name, as "receipt.json"
    at: int  # the document's date, in seconds since 1970
    accessible: bool  # whether the file must be right for a screen reader; a template may leave that to Typst


def data(values: Mapping[str, Any]) -> str:
    """The values as a job has them: JSON, with every character as it is."""
    return json.dumps(values, ensure_ascii=False)


class Setter:
    """Typst with the fonts at hand, for the templates of one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._document = (BUILT_IN / "document.typ").read_bytes()
        found = typst.Fonts(
            include_system_fonts=False,
            include_embedded_fonts=False,
            font_paths=[str(path) for path in (*fonts.folders(), folder)],
        )
        nothing = folder / _NO_PACKAGES
        self._typst = typst.Compiler(
            root=folder,
            font_paths=found,
            ignore_system_fonts=True,
            package_path=nothing,
            package_cache_path=nothing,
        )

    def pdf(self, job: Job, undrawn: str | None = None) -> bytes:
        """The file. Raises TemplateError with the reason and the place.

        `undrawn` are the characters of the data that the built-in fonts lack, if that is known.
        """
        try:
            made = self._typst.compile(
                self._document,
                format="pdf",
                timestamp=job.at,
                pdf_standards=[ARCHIVED, ACCESSIBLE] if job.accessible else [ARCHIVED],
                sys_inputs=self.inputs(job, undrawn),
            )
        except typst.TypstError as error:
            raise _told(error, self._folder) from error
        if not isinstance(made, bytes):
            raise TypeError("Typst made no single file")
        return made

    def inputs(self, job: Job, undrawn: str | None = None) -> dict[str, str]:
        """What document.typ finds in `sys.inputs`: of texts only what the fonts at hand draw."""
        if undrawn is None:
            undrawn = fonts.undrawn(job.data)
        unserved = fonts.unserved(undrawn, self._folder)
        return {
            "template": f"/{job.main}",
            "data": fonts.marked(job.data, unserved),
            "attached": job.attached,
            "attached-as": job.attached_as,
        }


def _told(error: typst.TypstError, folder: Path) -> TemplateError:
    """What Typst says, at the place in the template; and shortly where it is about a package."""
    place = _PLACE.search(error.diagnostic or "")
    said = "packages cannot be imported" if _ABOUT_PACKAGES.match(error.message) else error.message
    hints = [hint for hint in error.hints if "`--" not in hint]  # those are about Typst's own command line
    reason = "; ".join([said.replace(str(folder), ""), *hints])
    if place is None or place["file"].endswith(_OURS):
        return TemplateError(reason)
    file = place["file"].rpartition(f"{folder.name}/")[2]
    return TemplateError(reason, file=file, line=int(place["line"]), column=int(place["column"]))


def refuse_packages(name: str, source: bytes) -> None:
    """Raise TemplateError at the first line that imports a package by its name. One put together fails when it runs."""
    for number, line in enumerate(source.decode(errors="replace").splitlines(), 1):
        if found := _PACKAGE.search(line):
            raise TemplateError(
                "packages cannot be imported", file=name, line=number, column=found.start() + 1
            )
