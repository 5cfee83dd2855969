"""HTML that runs nothing and loads nothing: read as a browser reads it, refused where it does more, and written anew.

What is written is our own spelling of what was read, so that no browser can read it otherwise than we did.
"""

import re
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
    class id lang dir title style role alt width height align valign bgcolor colspan rowspan scope span charset name
    content datetime cellpadding cellspacing border color
"""
TAGS: Final = frozenset(_TAGS.split())
EMPTY: Final = frozenset({"meta", "col", "br", "hr", "img", "wbr"})
ATTRIBUTES: Final = frozenset(_ATTRIBUTES.split())
LINKS: Final = re.compile(r"(https?:|mailto:|tel:|#)", re.IGNORECASE)
PICTURE: Final = re.compile(r"data:image/(png|jpeg|gif|webp|svg\+xml);base64,[A-Za-z0-9+/=]*")
# A style may not fetch, and a backslash could spell what is looked for here in another way.
_FETCHES: Final = re.compile(r"@import|\\|</|url\(\s*(?![\"']?data:(image|font)/)", re.IGNORECASE)


def written(page: str, *, file: str) -> str:
    """The page, written anew. Raises TemplateError where it would run or load something; lines are of the page itself."""
    writer = _Writer(file)
    writer.feed(page)
    writer.close()
    return "<!doctype html>\n" + "".join(writer.made).lstrip()


class _Writer(HTMLParser):
    def __init__(self, file: str) -> None:
        super().__init__(convert_charrefs=True)
        self._file, self._style, self.made = file, False, list[str]()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in TAGS:
            self._refuse(f"<{tag}> has no place on it")
        self._style = tag == "style"
        self.made.append(
            f"<{tag}{''.join(self._attribute(tag, name, value or '') for name, value in attrs)}>"
        )

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
        if name in ATTRIBUTES or name.startswith("aria-"):
            kept = self._styled(value) if name == "style" else value
        elif (tag, name) == ("a", "href"):
            kept = self._matching(LINKS, value, "a link leads to https:, mailto:, tel: or #")
        elif (tag, name) == ("img", "src"):
            kept = self._matching(PICTURE, value, 'a picture is a file of the template: src="{{ files[…] }}"')
        else:
            self._refuse(f"{name} has no place in <{tag}>")
        return f' {name}="{escape(kept)}"'

    def _matching(self, pattern: re.Pattern[str], value: str, rule: str) -> str:
        whole = pattern.fullmatch(value) if pattern is PICTURE else pattern.match(value)
        return value if whole else self._refuse(rule)

    def _styled(self, style: str) -> str:
        found = _FETCHES.search(style)
        return self._refuse(f"a style may not say {found[0]}: it loads nothing") if found else style

    def _refuse(self, reason: str) -> str:
        line, column = self.getpos()
        raise TemplateError(
            f"in the page that it makes, {reason}", file=self._file, line=line, column=column + 1
        )
