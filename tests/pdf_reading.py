"""What stands in a PDF: the text of its pages, and the file that goes along."""

import re
import subprocess
import sys
from io import BytesIO

import pypdfium2
from pyhanko.pdf_utils.reader import PdfFileReader


def pages(pdf: bytes) -> list[str]:
    """The text of each page, with one space wherever there is any."""
    with pypdfium2.PdfDocument(pdf) as document:
        return [" ".join(page.get_textpage().get_text_range().split()) for page in document]


def squeezed(text: str) -> str:
    """Readers put a space where letters stand apart, or none: what was said is compared without."""
    return re.sub(r"[\s\u200b\u2066\u2069\u00ad\ufffe\x02]", "", text)


def embedded(pdf: bytes) -> tuple[str, str, bytes]:
    """The one attached file: its name, relationship and body."""
    (spec,) = PdfFileReader(BytesIO(pdf)).root["/AF"]
    spec = spec.get_object()
    return spec["/UF"], spec["/AFRelationship"], spec["/EF"]["/F"].data


def archived_and_accessible(pdf: bytes) -> bool:
    """Whether it says that it is PDF/A-3a and PDF/UA-1, which Typst checks as it writes."""
    archived = rb"<pdfaid:part>3</pdfaid:part>\s*<pdfaid:conformance>A</pdfaid:conformance>"
    return re.search(archived, pdf) is not None and b"<pdfuaid:part>1</pdfuaid:part>" in pdf


def digest_elsewhere(drawn: str, *, by: str) -> str:
    """The digest of what an expression draws in another process, which imports the modules `by` first."""
    code = f"import hashlib, {by}; print(hashlib.sha256({drawn}).hexdigest())"
    paths = [path for path in sys.path if path]
    printed = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = {paths!r}; {code}"],
        capture_output=True,
        check=True,
        text=True,
    )
    return printed.stdout.strip()
