"""HTML that runs nothing and loads nothing: read as a browser reads it, refused where it does more, and written anew.

What is written is our own spelling of what was read, so that no browser can read it otherwise than we did.
"""

import re
from collections.abc import Mapping
from html import escape
from html.parser import HTMLParser
from typing import Final

from counterfoil.documents.template import TemplateError

# What a page for reading is made of. No script, no form, no frame; pictures come as files, SVG too.
_TAGS = """
    html head meta title style body main header footer section article aside nav div p span h1 h2 h3 h4 h5 h6
    table caption colgroup col thead tbody tfoot tr th td ul ol li dl dt dd strong b em i u s small sub sup br hr
    img a address time figure figcaption blockquote pre code mark del ins abbr bdi bdo wbr center
"""
_ATTRIBUTES = """
    class id lang dir title style role alt width height align valign bgcolor colspan rowspan scope span name content
    datetime cellpadding cellspacing border color
"""
TAGS: Final = frozenset(_TAGS.split())
EMPTY: Final = frozenset({"meta", "col", "br", "hr", "img", "wbr"})
ATTRIBUTES: Final = frozenset(_ATTRIBUTES.split())
_ARIA: Final = re.compile("aria-[a-z]+")
_LINK: Final = r"(?s:(https?:|mailto:|tel:|#).*)"
_PICTURE: Final = r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=]*"
_FONT: Final = r"data:font/(woff2?|ttf|otf);base64,[A-Za-z0-9+/=]*"
# Attributes of one tag alone: what they may say, and the rule in words. Of the names of <meta> only those that tell
# whoever reads the page something; others say where its address may be sent.
_ONLY: Final[Mapping[tuple[str, str], tuple[str, str]]] = {
    ("a", "href"): (_LINK, "a link leads to https:, mailto:, tel: or #"),
    ("img", "src"): (_PICTURE, 'a picture is a file of the template: src="{{ files[…] }}"'),
    ("meta", "charset"): ("utf-8", "the charset is utf-8"),
    ("meta", "name"): ("viewport|description|robots", "a <meta> is named viewport, description or robots"),
}
# Without it a saved page is read in the encoding that a browser takes it for, in which its text may be other text.
HEAD: Final = '<!doctype html>\n<meta charset="utf-8">\n'

# In a style only functions and at-rules load. So the harmless ones are named, and none of them takes an address.
_FUNCTIONS = """
    rgb rgba hsl hsla hwb lab lch oklab oklch color color-mix light-dark
    linear-gradient radial-gradient conic-gradient
    repeating-linear-gradient repeating-radial-gradient repeating-conic-gradient
    calc min max clamp round mod rem abs sign var env counter counters format tech
    minmax repeat fit-content circle ellipse inset polygon cubic-bezier steps linear
    translate translatex translatey scale scalex scaley rotate skew skewx skewy matrix
    blur brightness contrast drop-shadow grayscale hue-rotate invert opacity saturate sepia
    not is where has lang dir nth-child nth-last-child nth-of-type nth-last-of-type
"""
_AT_RULES = """
    media supports page font-face keyframes counter-style
    top-left-corner top-left top-center top-right top-right-corner
    bottom-left-corner bottom-left bottom-center bottom-right bottom-right-corner
    left-top left-middle left-bottom right-top right-middle right-bottom
"""
HARMLESS: Final = frozenset(
    ["(", *(f"{name}(" for name in _FUNCTIONS.split()), *(f"@{name}" for name in _AT_RULES.split())]
)
# Names before a bracket, and after an @ that stands in no word. A backslash could spell them otherwise. Comments and texts
# are looked through as well: where they end, a browser may see otherwise.
_SAYS: Final = re.compile(r"(?<![\w-])[\w-]*\(|(?<!\w)@[\w-]*|\\|</", re.ASCII)
# The one address: of what stands within the page. No part of it can be asked for by #, as the filters of a picture are.
_WITHIN: Final = re.compile(rf"""\burl\(\s*(["']?)({_PICTURE}|{_FONT})\1\s*\)""", re.ASCII | re.IGNORECASE)


def written(page: str, *, file: str) -> str:
    """The page, written anew. Raises TemplateError where it would run or load something; lines are of the page itself."""
    writer = _Writer(file)
    writer.feed(page)
    writer.close()
    return HEAD + "".join(writer.made).lstrip()


class _Writer(HTMLParser):
    def __init__(self, file: str) -> None:
        super().__init__(convert_charrefs=True)
        self._file, self._style, self.made = file, False, list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self._refuse(f"<{tag}> has no place on it")
        self._style = tag == "style"
        said = "".join(self._attribute(tag, name, value or "") for name, value in attrs)
        if tag != "meta" or "charset" not in dict(attrs):  # ours stands at the head
            self.made.append(f"<{tag}{said}>")

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in EMPTY:
            self.handle_endtag(tag)

    def handle_endtag(self, tag: str) -> None:
        self._style = False
        if tag in TAGS and tag not in EMPTY:
            self.made.append(f"</{tag}>")

    def handle_data(self, data: str) -> None:
        self.made.append(self._styled(data) if self._style else escape(data, quote=False))

    def handle_comment(self, data: str) -> None:
        """A note of whoever wrote it: the reader need not have it."""

    def handle_decl(self, decl: str) -> None:
        """Ours stands at the head."""

    def unknown_decl(self, data: str) -> None:
        self._refuse(f"<![{data[:20]} has no place on it")

    def handle_pi(self, data: str) -> None:
        self._refuse(f"<?{data[:20]} has no place on it")

    def _attribute(self, tag: str, name: str, value: str) -> str:
        if (tag, name) in _ONLY:
            pattern, rule = _ONLY[tag, name]
            if not re.fullmatch(pattern, value, re.ASCII | re.IGNORECASE):
                self._refuse(rule)
        elif name not in ATTRIBUTES and not _ARIA.fullmatch(name):
            self._refuse(f"{name} has no place in <{tag}>")
        elif name == "style":
            self._styled(value)
        return f' {name}="{escape(value)}"'

    def _styled(self, style: str) -> str:
        for said in _SAYS.finditer(_WITHIN.sub(" ", style)):
            if said[0].lower() not in HARMLESS:
                self._refuse(f"a style may not say {said[0]}: it loads nothing")
        return style

    def _refuse(self, reason: str) -> str:
        line, column = self.getpos()
        raise TemplateError(
            f"in the page that it makes, {reason}", file=self._file, line=line, column=column + 1
        )
