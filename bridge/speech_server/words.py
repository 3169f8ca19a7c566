"""What a child process says beside its log, such as a traceback, or the complaints of a native library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import structlog

_log = structlog.get_logger()


async def lines_of(stream: asyncio.StreamReader | None) -> AsyncIterator[str]:
    """Read a child's pipe to its end, line by line. What is longer than a pipe's buffer is left out."""
    if stream is None:
        raise RuntimeError("a child's output was not asked for")
    while True:
        try:
            line = await stream.readline()
        except ValueError:
            continue  # A pipe that nobody reads would halt the child.
        if not line:
            return
        yield line.decode(errors="replace").rstrip()


class Words:
    """Those of one child: a user is told the last line; all of it is in the log, for who debugs."""

    def __init__(self, child: str) -> None:
        """`child` names it in the log."""
        self._child = child
        self._last = ""

    def add(self, line: str) -> None:
        """Take a line."""
        if said := line.strip():
            self._last = said
            _log.debug("child_said", child=self._child, said=line)

    @property
    def last(self) -> str:
        """The last line, as the end of a sentence about the child's death."""
        if not self._last:
            return "it wrote nothing"
        return f"{self._last} (with --debug all that it wrote is logged)"
