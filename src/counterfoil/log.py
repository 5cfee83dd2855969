"""Structured lines on stderr; secrets and card numbers are scrubbed here, whoever logs them."""

import logging
import re
import sys
from collections.abc import Mapping, MutableMapping
from typing import Any, Final

import structlog

from counterfoil.domain.pan import RUN, looks_like_card

_SECRETS: Final = re.compile(
    r"(?:sk|rk)_(?:org_)?(?:test|live)_[\w\-]{6,}"  # Stripe
    r"|whsec_[\w\-+/=]{6,}|(?<=_secret_)[A-Za-z0-9]{6,}"
    r"|rzp_(?:test|live)_\w{6,}"  # Razorpay
    r"|cf_(?:sandbox|live)_[\w\-]{6,}"  # our own
    r"|(?:(?<=bearer )|(?<=basic ))[^\s\"']+"
    r"|(?<=password=)[^\s&]+"
    r"|(?<=://)[^/\s:]*+:[^/\s]*(?=@)",  # user and password of an address, to its last @; paths may be all colons
    re.IGNORECASE,
)


def scrub(text: str) -> str:
    """The text without keys, passwords in addresses, client secrets or card numbers."""
    hidden = _SECRETS.sub("[secret]", text)
    return RUN.sub(lambda run: "[card]" if looks_like_card(run.group()) else run.group(), hidden)


def _scrub_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    return {name: _clean(value) for name, value in event.items()}


def _clean(value: Any) -> Any:
    """The value with every text in it scrubbed; what is not plain is told by its scrubbed repr."""
    if value is None or isinstance(value, bool | float):
        return value
    if isinstance(value, int):
        return value if scrub(str(value)) == str(value) else scrub(str(value))
    if isinstance(value, Mapping):
        return {scrub(str(name)): _clean(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(inner) for inner in value]
    return scrub(value if isinstance(value, str) else repr(value))


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
            else structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            ),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Scrubbed("%(asctime)s %(levelname)s %(name)s %(message)s"))
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
