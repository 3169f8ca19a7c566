"""Regular expressions that one person wrote, tried on what others say: each gets a bounded time.

A pattern such as `(a+)+$` is harmless on most texts and takes hours on some. Whoever speaks to the bridge, a
caller or a model, chooses the text, and while a pattern is tried no call goes on. So each attempt is broken off in
time, by the `regex` library, and then has found nothing.
"""

from __future__ import annotations

import re
from typing import Any, Final

import structlog

WITHIN_S: Final = 0.02
"""How long one attempt may take, in seconds: as long as a frame of sound. Sensible patterns take microseconds."""

log = structlog.get_logger()


class Pattern:
    """A compiled pattern."""

    def __init__(self, source: str, *, ignore_case: bool = False) -> None:
        """Raises ValueError for what is no regular expression. What Python's own `re` knows is the measure."""
        import regex  # noqa: PLC0415  (most have no patterns, and it is megabytes)

        flags = re.IGNORECASE if ignore_case else 0
        try:
            re.compile(source, flags)
            self._compiled: Any = regex.compile(source, regex.IGNORECASE if ignore_case else 0)
        except (re.error, regex.error, RecursionError, OverflowError) as error:
            raise ValueError(f"this is no regular expression: {error}") from None
        self.pattern = source
        self._told = False

    def search(self, text: str) -> str | None:
        """Return the first place where it matches; None: there is none, or none was found in time."""
        return self._tried(self._compiled.search, text)

    def fullmatch(self, text: str) -> bool:
        """Tell whether the whole text matches; False also when that took too long."""
        return self._tried(self._compiled.fullmatch, text) is not None

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Pattern) and other._compiled == self._compiled

    def __hash__(self) -> int:
        return hash(self._compiled)

    def _tried(self, attempt: Any, text: str) -> str | None:
        try:
            found = attempt(text, timeout=WITHIN_S)
        except TimeoutError:
            if not self._told:  # Once: who finds such a text can say it again and again.
                self._told = True
                log.warning("pattern_too_slow", pattern=self.pattern, ms=round(WITHIN_S * 1000))
            return None
        return None if found is None else str(found[0])
