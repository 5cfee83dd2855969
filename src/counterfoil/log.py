"""Structured lines on stderr; secrets and card numbers are scrubbed here, whoever logs them."""

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Final

import structlog

from counterfoil.domain.pan import RUN, looks_like_card

_SECRETS: Final = re.compile(
    r"(sk|rk|whsec|cf)_[A-Za-z0-9_\-]{6,}|rzp_(?:test|live)_[A-Za-z0-9]{6,}"
    r"|(?<=_secret_)[A-Za-z0-9]{6,}|(?<=Bearer )\S+|(?<=Basic )\S+|(?<=://)[^/@\s:]+:[^/@\s]+(?=@)"
)


def scrub(text: str) -> str:
    """The text without keys, passwords in addresses, client secrets or card numbers."""
    hidden = _SECRETS.sub("[secret]", text)
    return RUN.sub(lambda run: "[card]" if looks_like_card(run.group()) else run.group(), hidden)


def _scrub_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: scrub(value) if isinstance(value, str) else value for name, value in event.items()}


class _Scrubbed(logging.Formatter):
    """For lines of libraries, which come by the standard library's logging."""

    def format(self, record: logging.LogRecord) -> str:
        return scrub(super().format(record))


def configure(*, json: bool = False, level: int = logging.INFO) -> None:
    """Set up logging once, at the start of a process: for people, or as one JSON object a line."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            _scrub_event,
            structlog.processors.JSONRenderer()
            if json
            else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty()),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Scrubbed("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
