"""A page for each receipt, for so many seconds, on one core: drawn by us, or the same page by reportlab.

`python -m bench.peers.receipt_page ours|signed|reportlab latin|scripts SECONDS` prints JSON: how many, and the processor time they took.
The fonts are read and ten receipts rendered before the time begins. reportlab draws the same words and figures in the
same places from the same view (receipt_shown.py), with Noto Sans in two weights where ours has four; it neither tags the
page, nor embeds the data, nor keeps to an archiving standard, which it cannot.
"""

import json
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from html import escape
from io import BytesIO
from typing import Any, Final

from bench.receipt import receipt
from counterfoil.documents.receipt_shown import code, shown
from counterfoil.domain.receipt import Receipt

WARM: Final = 10
MARGIN: Final = 57.0  # points, as 20 mm
WIDTH: Final = 595.27 - 2 * MARGIN
FAINT: Final = (0.36, 0.40, 0.46)
# Where reportlab finds each script, and which of them it must shape.
FONTS: Final = {
    "Devanagari": "NotoSansDevanagari",
    "Tamil": "NotoSansTamil",
    "Arabic": "NotoSansArabic",
    "Chinese": "NotoSansSC",
    "Japanese": "NotoSansJP",
    "Korean": "NotoSansKR",
}
SHAPED: Final = frozenset({"Devanagari", "Tamil", "Arabic"})
BLOCKS: Final = (
    ("Devanagari", "\u0900", "\u097f"),
    ("Tamil", "\u0b80", "\u0bff"),
    ("Arabic", "\u0600", "\u06ff"),
    ("Japanese", "\u3040", "\u30ff"),
    ("Korean", "\uac00", "\ud7a3"),
    ("Chinese", "\u4e00", "\u9fff"),
)
ACCENT: Final = (0.12, 0.36, 0.33)
INK: Final = (0.09, 0.13, 0.18)


def ours() -> Callable[[Receipt], bytes]:
    from counterfoil.documents.receipt_pdf import render

    return render


def signed() -> Callable[[Receipt], bytes]:
    from counterfoil.documents.receipt_pdf import render

    signer = _signer()
    return lambda made: render(made, signer=signer)


def reportlab() -> Callable[[Receipt], bytes]:
    from reportlab.pdfbase import pdfmetrics
    from reportlab.pdfbase.ttfonts import TTFont

    from counterfoil.documents.fonts import folders

    files = {file.name.partition("[")[0]: file for folder in folders() for file in folder.glob("*.ttf")}
    for name, file in {**FONTS, "Noto": "NotoSans", "NotoBold": "NotoSans"}.items():
        font = TTFont(name, str(files[file]), shapable=name in SHAPED)
        pdfmetrics.registerFont(font)
        if name in SHAPED:
            font.hbFont()  # without this, its first use fails
    return _drawn


def _drawn(made: Receipt) -> bytes:
    """The page as reportlab lays pages out, which lets a receipt have as many lines and as long names as ours."""
    from reportlab.lib.pagesizes import A4
    from reportlab.platypus import SimpleDocTemplate

    page, file = shown(made), BytesIO()
    document = SimpleDocTemplate(
        file,
        pagesize=A4,
        leftMargin=MARGIN,
        rightMargin=MARGIN,
        topMargin=51,
        bottomMargin=150,
        title=page["title"],
        author=page["seller"]["name"],
        invariant=1,
    )
    parts = [_head(page), _headline(page), _facts(page), _rows(page), _sums(page)]
    document.build(parts, onFirstPage=lambda canvas, _: _foot(canvas, page, A4[0]))
    return file.getvalue()


def _says(
    text: str, size: float = 9.5, *, bold: bool = False, faint: bool = False, right: bool = False
) -> Any:
    """A text that wraps where it must."""
    from reportlab.platypus import Paragraph

    return Paragraph(escape(text), _style(_font(text, bold=bold), size, faint, right))


@cache
def _style(font: str, size: float, faint: bool, right: bool) -> Any:
    from reportlab.lib.colors import Color
    from reportlab.lib.styles import ParagraphStyle

    return ParagraphStyle(
        f"{font} {size} {faint} {right}",
        fontName=font,
        fontSize=size,
        leading=1.3 * size,
        textColor=Color(*(FAINT if faint else INK)),
        alignment=2 if right else 0,
        shaping=font in SHAPED,
    )


def _font(text: str, *, bold: bool) -> str:
    """The font of the first letter that Noto Sans itself does not draw."""
    for char in text:
        for name, first, last in BLOCKS:
            if first <= char <= last:
                return name
    return "NotoBold" if bold else "Noto"


def _table(cells: list[list[Any]], widths: list[float], *styles: tuple[Any, ...], repeat: int = 0) -> Any:
    from reportlab.platypus import Table

    plain = [
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 0),
        ("RIGHTPADDING", (0, 0), (-1, -1), 0),
    ]
    return Table(
        cells, colWidths=widths, style=[*plain, *styles], repeatRows=repeat, spaceAfter=10, hAlign="RIGHT"
    )


def _head(page: dict[str, Any]) -> Any:
    seller = page["seller"]
    small = (*seller["lines"], " ".join(seller["tax"]), " · ".join(seller["reach"]))
    left = [_says(seller["name"], 15, bold=True), *(_says(line, 8, faint=True) for line in small)]
    right = [_says(page["heading"], 20, right=True), _says(page["number"], bold=True, right=True)]
    return _table([[left, right]], [WIDTH - 160, 160])


def _headline(page: dict[str, Any]) -> Any:
    from reportlab.lib.colors import Color

    headline = page["headline"]
    what = _says(f"{headline['says']} · {headline['day']}", faint=True)
    box = ("BACKGROUND", (0, 0), (-1, -1), Color(0.95, 0.965, 0.96)), ("VALIGN", (0, 0), (-1, -1), "MIDDLE")
    return _table([[_says(headline["amount"], 22, bold=True), what]], [160, WIDTH - 160], *box)


def _facts(page: dict[str, Any]) -> Any:
    buyer = page["buyer"]
    left = [_says(page["words"]["billed_to"], 7.5, bold=True, faint=True), _says(buyer["name"], bold=True)]
    left += [_says(line, 8, faint=True) for line in (*buyer["lines"], *buyer["reach"])]
    facts = [[_says(name, 8, faint=True), _says(value, right=True)] for name, value in page["facts"]]
    return _table([[left, _table(facts, [110, WIDTH / 2 - 110])]], [WIDTH / 2, WIDTH / 2])


def _rows(page: dict[str, Any]) -> Any:
    from reportlab.lib.colors import Color

    head = [
        _says(column["says"], 7.5, bold=True, faint=True, right=column["figure"])
        for column in page["columns"]
    ]
    rows = [[_says(cell[0], right=column > 0) for column, cell in enumerate(row)] for row in page["rows"]]
    lines = (
        ("LINEBELOW", (0, 0), (-1, 0), 0.8, Color(*ACCENT)),
        ("LINEBELOW", (0, 1), (-1, -1), 0.5, Color(0.84, 0.86, 0.88)),
    )
    return _table([head, *rows], [WIDTH - 190, 50, 65, 75], *lines, repeat=1)


def _sums(page: dict[str, Any]) -> Any:
    from reportlab.lib.colors import Color

    cells, lines = [], []
    for number, line in enumerate(page["sums"]):
        total = line["weight"] == "total"
        says = [_says(line["says"], 11 if total else 9.5, bold=total)]
        says += [_says(line["note"], 8, faint=True)] if line["note"] else []
        cells.append([says, _says(line["amount"], 11 if total else 9.5, bold=total, right=True)])
        lines += [("LINEABOVE", (0, number), (-1, number), 0.8, Color(*ACCENT))] if total else []
    return _table(cells, [0.62 * WIDTH - 90, 90], *lines)


def _foot(canvas: Any, page: dict[str, Any], width: float) -> None:
    notes = [_says(note) for note in page["notes"]]
    references = [
        [_says(name, 8, faint=True), _says(value, 8, faint=True)] for name, value in page["references"]
    ]
    at = 130.0
    for part in (*notes, _table(references, [60, 200])):
        _, height = part.wrapOn(canvas, WIDTH, 100)
        at -= height
        part.drawOn(canvas, MARGIN, at)
    for text, x, y in (
        (page["words"]["verify"], width - MARGIN - 150, 80),
        (f"{page['seller']['name']} · {page['number']}", MARGIN, 40),
    ):
        part = _says(text, 7.5, faint=True)
        part.wrapOn(canvas, 300, 20)
        part.drawOn(canvas, x, y)
    _code(canvas, page["verify_url"], width - MARGIN - 62, 80, 62)


def _code(canvas: Any, url: str, x: float, y: float, size: float) -> None:
    """The QR code, in one path."""
    matrix = code(url).matrix
    step = size / len(matrix)
    path = canvas.beginPath()
    for row, modules in enumerate(matrix):
        for column, dark in enumerate(modules):
            if dark:
                path.rect(x + column * step, y + size - (row + 1) * step, step, step)
    canvas.setFillColorRGB(0, 0, 0)
    canvas.drawPath(path, stroke=0, fill=1)


def _signer() -> Any:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    from counterfoil.documents.receipt_signing import Signer

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Kaveri Books & Coffee")])
    now = datetime.now(UTC)
    ends = now - timedelta(days=1), now + timedelta(days=1)
    builder = x509.CertificateBuilder(name, name, key.public_key(), 1, *ends)
    return Signer(key, (builder.sign(key, hashes.SHA256()),))


def main(who: str, page: str, seconds: str) -> None:
    render = {"ours": ours, "signed": signed, "reportlab": reportlab}[who]()
    scripts = page == "scripts"
    for sequence in range(WARM):
        render(receipt(sequence, scripts=scripts))
    began, until, made = time.process_time(), time.monotonic() + float(seconds), 0
    while time.monotonic() < until:
        made += 1
        render(receipt(made, scripts=scripts))
    print(json.dumps({"receipts": made, "cpu_s": time.process_time() - began}))


if __name__ == "__main__":
    main(*sys.argv[1:])
