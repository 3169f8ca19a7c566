"""What is logged in each cell, and what was handled by nobody."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import traceback
from collections.abc import Iterator, MutableMapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

import structlog

_UNHANDLED = frozenset({"task_failed", "call_failed", "call_end_failed", "attendant_failed", "shared_not_closed"})
_NOT_OURS = ("tests/faults", "scripted_speech")


@dataclass
class Log:
    """What was logged while one cell was played. Tasks that it starts, and callbacks, belong to it."""

    told: list[tuple[float, str]] = field(default_factory=list)
    """(time of the loop, what) of every warning and error."""
    unhandled: list[str] = field(default_factory=list)


NOBODY = Log()
"""What belongs to no cell."""
_current: ContextVar[Log] = ContextVar("log", default=NOBODY)


@contextlib.contextmanager
def logged() -> Iterator[Log]:
    """Collect what is logged within the block, and in what was started there."""
    log = Log()
    token = _current.set(log)
    try:
        yield log
    finally:
        _current.reset(token)


def _take(_logger: Any, method: str, event: MutableMapping[str, Any]) -> str:
    log = _current.get()
    if method in {"warning", "error", "exception", "critical"}:
        with contextlib.suppress(RuntimeError):
            log.told.append((asyncio.get_running_loop().time(), str(event["event"])))
    if event["event"] in _UNHANDLED or event.get("exc_info"):
        error = event.get("exc_info")
        text = (
            "".join(traceback.format_exception(error))
            if isinstance(error, BaseException)
            else traceback.format_exc()
        )
        log.unhandled.append(f"{event['event']}: {text.strip().splitlines()[-1]}\n{text}")
    raise structlog.DropEvent


class _Handler(logging.Handler):
    """Takes what libraries log: asyncio tells of destroyed tasks there."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info or "destroyed" in record.getMessage() or "never retrieved" in record.getMessage():
            text = logging.Formatter().format(record)
            if not any(name in text for name in _NOT_OURS):
                _current.get().unhandled.append(text)


@contextlib.contextmanager
def collecting() -> Iterator[None]:
    """Send all that is logged to where it belongs, for the length of the block."""
    handler = _Handler(logging.WARNING)
    root = logging.getLogger()
    before = root.handlers[:]
    root.handlers[:] = [handler]
    structlog.configure(processors=[_take])
    try:
        yield
    finally:
        root.handlers[:] = before
        structlog.reset_defaults()
