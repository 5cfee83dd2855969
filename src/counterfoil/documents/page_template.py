"""An operator's own page, or mail: HTML with placeholders, loops over what is given, and conditions. Nothing else is understood.

It is written in the part of Jinja's language that can only say what it was given: {{ shown.number }}, {% for line in
shown.rows %}, {% if shown.void %}. Nothing is called, set, imported or filtered, and every value is escaped. What comes
out is read once more and written anew by `markup`, so that the page runs nothing and loads nothing, wherever it is opened.
"""

import base64
from collections.abc import Iterable, Iterator, Mapping
from pathlib import PurePath
from types import CodeType, TracebackType
from typing import Any, Final

from jinja2 import BaseLoader, Environment, StrictUndefined, TemplateSyntaxError, nodes
from jinja2.exceptions import TemplateError as JinjaError
from jinja2.runtime import LoopContext

from counterfoil.documents import markup
from counterfoil.documents.template import MAIL, TemplateError

MAX_SOURCE: Final = 256 * 1024  # bytes: ten times a long page; as many take half a second to read
MAX_CHARS: Final = 4 * 1024 * 1024  # of the finished page: a receipt of a thousand lines takes a tenth
NAMES: Final = frozenset({"receipt", "shown", "files", "qr", "loop"})
OF_MAIL: Final = frozenset({"mail"})  # what the mail says by itself, and its link
# What a template may show of the files beside it, as data within the page.
MEDIA: Final[Mapping[str, str]] = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".gif": "image/gif",
    ".webp": "image/webp",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
    ".woff": "font/woff",
    ".ttf": "font/ttf",
    ".otf": "font/otf",
}
_ALLOWED: Final = (
    nodes.Template, nodes.Output, nodes.TemplateData, nodes.For, nodes.If, nodes.Name, nodes.Getattr, nodes.Getitem,
    nodes.Const, nodes.Compare, nodes.Operand, nodes.And, nodes.Or, nodes.Not, nodes.CondExpr, nodes.Tuple,
)  # fmt: skip
_GIVEN: Final = (nodes.Name, nodes.Getattr, nodes.Getitem)
_LOOP: Final = frozenset({"first", "last", "index", "length"})
_CALLED: Final = "page"  # what Jinja is told the template's file is called
_TOO_DEEP: Final = "it is nested too deeply"


class _Plain(Environment):
    """Reaches into maps and lists alone: no attribute of a Python object is ever read."""

    def getitem(self, obj: Any, argument: Any) -> Any:
        if isinstance(obj, LoopContext) and argument in _LOOP:
            return getattr(obj, argument)
        try:
            if isinstance(obj, Mapping | list):
                return obj[argument]
        except (LookupError, TypeError):
            pass
        return self.undefined(f"there is no {argument} here")

    def getattr(self, obj: Any, attribute: str) -> Any:
        return self.getitem(obj, attribute)


_PAGES: Final = _Plain(
    loader=BaseLoader(),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    finalize=lambda value: "" if value is None else value,
)


def check(name: str, source: bytes) -> None:
    """Raise TemplateError at the first place that is no placeholder, loop or condition. May take half a second."""
    _read(name, source)


def render(name: str, source: bytes, given: Mapping[str, Any]) -> str:
    """The page of these values (plain maps, lists, texts and numbers). Raises TemplateError with the reason and the line."""
    _read(name, source)
    try:
        parts = _PAGES.template_class.from_code(_PAGES, _compiled(name, source), {}).generate(**given)
        page = "".join(_measured(parts, name))
    except TemplateError:
        raise
    except (JinjaError, TypeError, ValueError, RecursionError) as error:
        raise TemplateError(_reason(error), file=name, line=_line(error.__traceback__)) from error
    return markup.written(page, file=name)


def _compiled(name: str, source: bytes) -> CodeType:
    try:
        return _PAGES.compile(source.decode(), name=name, filename=_CALLED)
    except SyntaxError as error:  # Python takes twenty loops within one another
        raise TemplateError(_TOO_DEEP, file=name) from error


def _measured(parts: Iterable[str], name: str) -> Iterator[str]:
    chars = 0
    for part in parts:
        chars += len(part)
        if chars > MAX_CHARS:
            raise TemplateError(f"the page has more than {MAX_CHARS // 1024 // 1024} MB of text", file=name)
        yield part


def files(beside: Mapping[str, bytes]) -> dict[str, str]:
    """What a page may show of the files beside it, by name: as data: links."""
    return {
        name: f"data:{MEDIA[suffix]};base64,{base64.b64encode(body).decode()}"
        for name, body in beside.items()
        if (suffix := PurePath(name).suffix.lower()) in MEDIA
    }


def _read(name: str, source: bytes) -> None:
    if len(source) > MAX_SOURCE:
        raise TemplateError(f"it has more than {MAX_SOURCE // 1024} kB", file=name)
    try:
        _look_through(name, _PAGES.parse(source.decode()))
    except TemplateSyntaxError as error:
        raise TemplateError(error.message or "it cannot be read", file=name, line=error.lineno) from error
    except RecursionError as error:
        raise TemplateError(_TOO_DEEP, file=name) from error
    except UnicodeDecodeError as error:
        raise TemplateError("it is not UTF-8", file=name) from error
    except TemplateError:
        raise
    except ValueError as error:  # a number of thousands of digits
        raise TemplateError(str(error), file=name) from error


def _look_through(name: str, tree: nodes.Template) -> None:
    targets = {target.name for loop in tree.find_all(nodes.For) for target in _names(loop.target)}
    known = NAMES | OF_MAIL if name == MAIL else NAMES
    for node in tree.find_all(nodes.Node):
        if fault := _fault(node, known, targets):
            raise TemplateError(fault, file=name, line=node.lineno)


def _fault(node: nodes.Node, known: frozenset[str], targets: set[str]) -> str | None:
    if not isinstance(node, _ALLOWED):
        what = type(node).__name__.lower()
        return f"{what} is not understood: only placeholders, loops over given lists and conditions are"
    if isinstance(node, nodes.For) and (node.recursive or not isinstance(node.iter, _GIVEN)):
        return "a loop goes over a given list"
    if isinstance(node, nodes.Name) and node.name not in known | targets:
        return f"there is no {node.name}; there are {', '.join(sorted(known))}"
    return None


def _names(target: nodes.Node) -> list[nodes.Name]:
    return [target] if isinstance(target, nodes.Name) else list(target.find_all(nodes.Name))


def _reason(error: Exception) -> str:
    return _TOO_DEEP if isinstance(error, RecursionError) else str(error)


def _line(trace: TracebackType | None) -> int | None:
    """The template's line: Jinja puts its own lines into the trace."""
    line = None
    while trace is not None:
        if trace.tb_frame.f_code.co_filename == _CALLED:
            line = trace.tb_lineno
        trace = trace.tb_next
    return line
