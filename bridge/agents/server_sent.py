"""Server-sent events (WHATWG HTML, "Server-sent events"): bytes in, the data of whole events out. Pure.

Only `data` counts; comments, `event`, `id` and `retry` are passed over.
"""

from __future__ import annotations

import codecs
import re

DONE = "[DONE]"
"""Data that ends a stream of events, by a custom that OpenAI began."""


class EventStream:
    """Cuts a stream into events. Bytes may be cut anywhere, within a character or between CR and LF too."""

    def __init__(self) -> None:
        self.done = False
        """True: `[DONE]` has come, and nothing after it counts."""
        self._characters = codecs.getincrementaldecoder("utf-8-sig")(errors="replace")
        self._rest = ""
        self._after_cr = False
        self._data: list[str] = []

    def feed(self, data: bytes) -> list[str]:
        """Take the next bytes and return the data of the events that they complete."""
        text = self._characters.decode(data)
        if self._after_cr and text:
            # A line ending in CR was taken as ended at once; the LF that may follow belongs to it.
            text, self._after_cr = text.removeprefix("\n"), False
        if text.endswith("\r"):
            self._after_cr = True
        first, *others = re.split(r"\r\n|\r|\n", text)
        *lines, self._rest = self._rest + first, *others
        return [event for line in lines for event in self._line(line)]

    def finish(self) -> list[str]:
        """Return the last event. A browser drops one without its blank line; here it may be a last sentence."""
        return [*self._line(self._rest), *self._line("")]

    def _line(self, line: str) -> list[str]:
        if line:
            field, _, value = line.partition(":")
            if field == "data":
                self._data.append(value.removeprefix(" "))
            return []
        if self.done or not self._data:
            return []
        data, self._data = "\n".join(self._data), []
        if data.strip() == DONE:
            self.done = True
            return []
        return [data]
