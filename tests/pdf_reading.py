"""What stands in a PDF: the text of its pages, and the file that goes along."""

import re
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
