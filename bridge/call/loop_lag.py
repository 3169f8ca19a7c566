"""How late the event loop is: one timer for the whole process, ten times a second."""

from __future__ import annotations

import asyncio
from typing import Final

_EVERY_S: Final = 0.1
_WEIGHT: Final = 0.1
"""Of one measurement: a single pause of two seconds counts as 0.2 s; what lasts counts in full in the end."""


class LoopLag:
    """Measures by how much timers come too late, smoothed exponentially."""

    def __init__(self) -> None:
        self.seconds = 0.0
        """The lag of the last second or so."""
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Begin, on the running event loop."""
        loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_EVERY_S, self._measure, loop, loop.time() + _EVERY_S)

    def stop(self) -> None:
        """Measure no more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _measure(self, loop: asyncio.AbstractEventLoop, due: float) -> None:
        now = loop.time()
        self.seconds += _WEIGHT * (max(0.0, now - due) - self.seconds)
        self._timer = loop.call_at(now + _EVERY_S, self._measure, loop, now + _EVERY_S)
