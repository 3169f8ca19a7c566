"""How often the log tells of strangers: a flood of them is to fill no disk, and to halt no call for its lines."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any, Final

_MOST: Final = 10
_EVERY_S: Final = 1.0


class Telling:
    """Lets so many lines through in each second, and counts the others. The metrics count all."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since = float("-inf")
        self._told = self._left_out = 0

    def line(self, tell: Callable[..., Any], event: str, **fields: Any) -> None:
        """Write a line by `tell`, unless there were so many; the next says by `left_out` how many are missing."""
        now = self._clock()
        if now >= self._since + _EVERY_S:
            self._since, self._told = now, 0
        if self._told >= _MOST:
            self._left_out += 1
            return
        self._told += 1
        missing: Mapping[str, int] = {"left_out": self._left_out} if self._left_out else {}
        self._left_out = 0
        tell(event, **fields, **missing)
