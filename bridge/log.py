"""Logging: structlog for ours, the standard library's for everybody else's, one format for both, on standard error.

Event names are static and identifiers stand in keys, so that lines can be counted and searched. No secret of the
settings reaches a line, whatever key or traceback it would come in.
"""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterable
from typing import TextIO

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from bridge.privacy.redactor import Redactor
from bridge.settings import Settings

WORD_KEYS = frozenset({"transcript", "text", "digits"})
"""The only keys under which what callers said or pressed may be logged: whoever must hide it hides these."""

SECRET_KEYS = frozenset({"api_key", "auth_token", "authorization", "password", "secret", "signature", "token"})
"""Values under these keys are never shown."""

MASK = "********"

_IDENTIFIERS = frozenset({"call", "sid", "folder", "timestamp", "level", "logger"})
"""Keys whose values nobody has said. A folder has date and time in it, which may look like a card's number."""
_LONG_NUMBER = 10**9
"""From here on a number may be one that somebody has said."""

_NOISY = ("alembic", "aiohttp.access", "asyncio")
"""Libraries whose `info` lines tell nothing beyond ours."""

_TALKATIVE = ("aiosqlite", "asyncpg", "nats", "sqlalchemy", "twilio", "websockets")
"""Libraries whose `debug` lines show what is sent and kept: callers' words, and cut so that none is found."""


class Redaction:
    """A structlog processor that takes out what must not be in a log."""

    def __init__(self, secrets: Iterable[str] = (), redactor: Redactor | None = None) -> None:
        """`secrets`: texts masked wherever they stand. `redactor`: what is struck out beside them."""
        # A very short secret would mask half of every line, and is none.
        self._secrets = tuple(sorted({secret for secret in secrets if len(secret) >= 6}, key=len, reverse=True))
        self._redactor = redactor if redactor is not None and redactor.active else None

    def __call__(self, _logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        """Clean one log line, in place."""
        for key, value in event.items():
            if key in SECRET_KEYS:
                event[key] = MASK
            elif isinstance(value, str):
                event[key] = self._clean(key, value)
            elif (
                value is None or isinstance(value, float) or (isinstance(value, int) and abs(value) < _LONG_NUMBER)
            ):
                continue
            elif (shown := str(value)) != (clean := self._clean(key, shown)):
                # An exception or a dictionary that would show a secret is shown as text without it.
                event[key] = clean
        return event

    def masked(self, text: str) -> str:
        """Return a text without the secrets."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return text

    def _clean(self, key: str, text: str) -> str:
        text = self.masked(text)
        if self._redactor is None or key in _IDENTIFIERS:
            return text
        return self._redactor.log(text) if key in WORD_KEYS else self._redactor.text(text)


_in_force = Redaction()
"""What takes secrets out of this process's lines."""


def masked(text: str) -> str:
    """Return a text without the secrets that this process's log does not show."""
    return _in_force.masked(text)


class MalformedRequests(logging.Filter):
    """Tells of requests that are no HTTP once, in a line, and not each time with a traceback: ports are scanned."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0
        """How many there were."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Take the traceback off the first such line, and pass over the others."""
        error = record.exc_info[1] if record.exc_info else None
        if type(error).__module__ != "aiohttp.http_exceptions":
            return True
        self.count += 1
        reason = " ".join(str(error).split())[:200]
        record.levelno, record.levelname = logging.WARNING, "WARNING"
        record.msg, record.args, record.exc_info = f"not HTTP, and refused: {reason}", (), None
        return self.count == 1


class _OurHandler(logging.StreamHandler[TextIO]):
    """A type of its own, to tell ours from the handlers that others (pytest) put on the root logger."""


def configure_logging(settings: Settings, *, secrets: Iterable[str] = (), stream: TextIO | None = None) -> None:
    """Set up logging for this process; calling it again replaces what was set up.

    `secrets` are masked beside those of the settings; `stream` is standard error unless given.
    """
    global _in_force  # noqa: PLW0603  As the logging that it belongs to, it is the process's own.
    target = sys.stderr if stream is None else stream
    level = logging.getLevelNamesMapping()[settings.log.level.upper()]
    redactor = Redactor(settings.privacy.redact, settings.privacy.patterns)
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
        structlog.processors.format_exc_info,
        redaction := Redaction((*settings.secret_values(), *secrets), redactor),
    ]
    _in_force = redaction
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.stdlib.LoggerFactory(),
    )
    handler = _OurHandler(target)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), *shared],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, _renderer(settings, target)],
        )
    )
    root = logging.getLogger()
    for old in root.handlers[:]:
        if isinstance(old, _OurHandler):
            root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _NOISY:
        logging.getLogger(name).setLevel(level if level <= logging.DEBUG else logging.WARNING)
    logging.getLogger("aiohttp.server").filters[:] = [MalformedRequests()]
    for name in _TALKATIVE:
        logging.getLogger(name).setLevel(logging.WARNING)


def _renderer(settings: Settings, target: TextIO) -> Processor:
    if settings.log.format == "json":
        return structlog.processors.JSONRenderer(ensure_ascii=False, default=str)
    return structlog.dev.ConsoleRenderer(
        colors=target.isatty(),
        # Exceptions are plain text by now. A pretty one would print local variables: keys and callers' words.
        exception_formatter=structlog.dev.plain_traceback,
    )
