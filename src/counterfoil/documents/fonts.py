"""The fonts that documents are set in: they come as packages and are found through them; the system's are never used."""

import re
import struct
from collections.abc import Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

# Where a package keeps its fonts. The last is the extra `cjk`.
_PACKAGES: Final[Mapping[str, Sequence[str]]] = {
    "fontpkg_noto_sans": ("files",),
    "fontpkg_noto_sans_devanagari": ("files",),
    "fontpkg_noto_sans_tamil": ("files",),
    "fontpkg_almarai": ("files",),
    "fontpkg_noto_sans_arabic": ("files",),
    "justmytype_intl_cjk": tuple(f"fonts/ofl/notosans{part}" for part in ("jp", "kr", "sc", "tc")),
}
# Arabic is set in Almarai, whose letters are one glyph each: what is copied or searched comes out as it was written. Noto
# draws points and letters apart, and readers give them back twice; it serves the letters of Urdu and Persian.
_EVERYWHERE: Final = ("Noto Sans", "Noto Sans Devanagari", "Noto Sans Tamil", "Almarai", "Noto Sans Arabic")
_EAST: Final = ("Noto Sans SC", "Noto Sans TC", "Noto Sans JP", "Noto Sans KR")
# The scripts of the East share their characters and draw them differently: the language's own font comes first.
_FIRST: Final[Mapping[str, str]] = {
    "zh": "Noto Sans SC",
    "zh-Hant": "Noto Sans TC",
    "ja": "Noto Sans JP",
    "ko": "Noto Sans KR",
}
SUFFIXES: Final = frozenset({".ttf", ".otf"})
MARK: Final = "\N{REPLACEMENT CHARACTER}"
_ALL, _FIRST_PLANE, _END = 12, 4, 0xFFFF  # formats of a cmap, and how the second of them ends


def folders() -> tuple[Path, ...]:
    """The folders of all font packages that are installed."""
    found = []
    for package, parts in _PACKAGES.items():
        spec = find_spec(package)
        if spec and spec.origin:
            found += [Path(spec.origin).parent / part for part in parts]
    return tuple(found)


def has_east() -> bool:
    """Whether Chinese, Japanese and Korean can be set: the extra `cjk` is installed."""
    return find_spec("justmytype_intl_cjk") is not None


def families(language: str) -> tuple[str, ...]:
    """The families in the order in which a text of that language (as receipt_words has them) looks for a character."""
    first = _FIRST.get(language)
    named = (*_EVERYWHERE, *(_EAST if has_east() else ()))
    ahead = (_EVERYWHERE[0], first) if first in named else (_EVERYWHERE[0],)
    return (*ahead, *(family for family in named if family not in ahead))


def characters(font: bytes) -> list[tuple[int, int]]:
    """The characters that a font file (TrueType or OpenType) draws, as ranges of code points, both ends included.

    From its table `cmap`, in format 12 (all planes) where it has that, else in format 4. Raises struct.error or
    ValueError for what is no font.
    """
    (many,) = struct.unpack_from(">H", font, 4)
    tables = {font[at : at + 4]: font[at + 8 : at + 16] for at in range(12, 12 + 16 * many, 16)}
    if b"cmap" not in tables:
        raise ValueError("a font without the table cmap")
    start, length = struct.unpack(">II", tables[b"cmap"])
    cmap = font[start : start + length]
    (many,) = struct.unpack_from(">H", cmap, 2)
    places = [struct.unpack_from(">I", cmap, at + 4)[0] for at in range(4, 4 + 8 * many, 8)]
    formats = {struct.unpack_from(">H", cmap, place)[0]: cmap[place:] for place in places}
    return _groups(formats[_ALL]) if _ALL in formats else _segments(formats[_FIRST_PLANE])


def _groups(table: bytes) -> list[tuple[int, int]]:
    (many,) = struct.unpack_from(">I", table, 12)
    return [(first, last) for first, last, _ in struct.iter_unpack(">III", table[16 : 16 + 12 * many])]


def _segments(table: bytes) -> list[tuple[int, int]]:
    (doubled,) = struct.unpack_from(">H", table, 6)
    lasts = struct.unpack_from(f">{doubled // 2}H", table, 14)
    firsts = struct.unpack_from(f">{doubled // 2}H", table, 16 + doubled)
    return [(first, last) for first, last in zip(firsts, lasts, strict=True) if first != _END]


@cache
def _undrawn() -> re.Pattern[str]:
    """What none of the installed fonts can draw. Reads every font once."""
    files = (file for folder in folders() for file in sorted(folder.glob("*.ttf")))
    drawn = sorted({span for file in files for span in characters(file.read_bytes())})
    inside = "\t\n\r" + "".join(f"{re.escape(chr(first))}-{re.escape(chr(last))}" for first, last in drawn)
    return re.compile(f"[^{inside}]+")


def undrawn(text: str) -> str:
    """The characters of the text that no font here draws, as emoji: each once, in order."""
    return "" if text.isascii() else "".join(sorted({*"".join(_undrawn().findall(text))}))


def unserved(wanted: str, folder: Path) -> str:
    """The characters of these that no font in a folder draws either. What is no font there draws none."""
    if not wanted:
        return ""
    drawn = [span for file in folder.rglob("*") if file.suffix.lower() in SUFFIXES for span in _spans(file)]
    return "".join(char for char in wanted if not any(first <= ord(char) <= last for first, last in drawn))


def _spans(file: Path) -> list[tuple[int, int]]:
    try:
        return characters(file.read_bytes())
    except (OSError, struct.error, ValueError, LookupError):
        return []


def marked(text: str, unserved: str) -> str:
    """The text, in which a mark stands for those characters, however many in a row: a file that lasts may not have gaps."""
    return re.sub(f"[{re.escape(unserved)}]+", MARK, text) if unserved else text
