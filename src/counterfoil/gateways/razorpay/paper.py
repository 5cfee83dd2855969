"""A text on paper: the plainest PDF there is, and the form it is uploaded in. Pure.

Razorpay takes evidence as PDF or pictures. Every reader of PDF knows Courier without being given it, which has the
letters of Western Europe; a letter that it has not becomes the nearest one that it has, or a question mark.
"""

import re
import textwrap
import unicodedata
from collections.abc import Iterator, Sequence
from hashlib import sha256
from typing import Final

COLUMNS: Final = 84
LINES: Final = 62
# A page of A4, in points; the text begins below the upper margin.
_WIDTH, _HEIGHT, _LEFT, _TOP = 595, 842, 45, 790
_SIZE, _LEADING = 10, 12
_SPECIAL: Final = re.compile(r"([\\()])")
_SIGNS: Final = str.maketrans({"\u20b9": "Rs ", "\u2013": "-", "\u2014": "-", "\u2018": "'", "\u2019": "'"})


def pdf(title: str, text: str) -> bytes:
    """The title and the text, wrapped, on as many pages as it takes. The same bytes each time."""
    lines = [title, "", *(part for line in text.splitlines() for part in _wrapped(line))]
    pages = [lines[start : start + LINES] for start in range(0, len(lines), LINES)]
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type1 /BaseFont /Courier /Encoding /WinAnsiEncoding >>",
        *(part for number, page in enumerate(pages) for part in _page(number, page)),
    ]
    return _file(objects)


def upload(name: str, content: bytes) -> tuple[str, bytes]:
    """The content type and the body of a form that uploads this PDF as evidence; `name` is a plain file name."""
    boundary = f"counterfoil-{sha256(content).hexdigest()[:32]}"
    parts = (
        b'Content-Disposition: form-data; name="purpose"\r\n\r\ndispute_evidence',
        f'Content-Disposition: form-data; name="file"; filename="{_ascii(name)}"\r\n'
        "Content-Type: application/pdf\r\n\r\n".encode()
        + content,
    )
    body = b"".join(b"--" + boundary.encode() + b"\r\n" + part + b"\r\n" for part in parts)
    return f"multipart/form-data; boundary={boundary}", body + b"--" + boundary.encode() + b"--\r\n"


def _wrapped(line: str) -> list[str]:
    return textwrap.wrap(line, COLUMNS, replace_whitespace=True, drop_whitespace=False) or [""]


def _page(number: int, lines: Sequence[str]) -> Iterator[str]:
    """The page, and what is drawn on it."""
    drawn = "\n".join(f"({_quoted(line)}) '" for line in lines)
    stream = f"BT /F1 {_SIZE} Tf {_LEADING} TL {_LEFT} {_TOP} Td\n{drawn}\nET"
    yield (
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {_WIDTH} {_HEIGHT}] /Contents {5 + 2 * number} 0 R"
        " /Resources << /Font << /F1 3 0 R >> >> >>"
    )
    yield f"<< /Length {len(stream)} >>\nstream\n{stream}\nendstream"


def _quoted(line: str) -> str:
    return _SPECIAL.sub(r"\\\1", _latin(line))


def _file(objects: Sequence[str]) -> bytes:
    """The objects, numbered from one, with the table of where each of them is."""
    out, offsets = bytearray(b"%PDF-1.4\n"), []
    for number, body in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj\n{body}\nendobj\n".encode("cp1252")
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    size, start = len(objects) + 1, len(out)
    out += f"xref\n0 {size}\n0000000000 65535 f \n{table}".encode()
    out += f"trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n".encode()
    return bytes(out)


def _latin(text: str) -> str:
    """The text in letters that the page has."""
    near = "".join(_near(letter) for letter in text.translate(_SIGNS))
    return near.encode("cp1252", "replace").decode("cp1252")


def _near(letter: str) -> str:
    if letter.isprintable() and _has(letter):
        return letter
    plain = "".join(part for part in unicodedata.normalize("NFKD", letter) if not unicodedata.combining(part))
    return plain if plain and plain.isprintable() else "?"


def _has(letter: str) -> bool:
    try:
        letter.encode("cp1252")
    except UnicodeEncodeError:
        return False
    return True


def _ascii(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_.-]", "_", name)
