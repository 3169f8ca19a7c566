"""How long growth is gathered before it goes into the database. Pure.

A transaction costs about as much for one call as for twenty. So where little is going on, what is said is in at
once; where much is, calls wait for each other for up to a second and go in together.
"""

from __future__ import annotations

import math
from typing import Final

LEAST_S: Final = 0.1
MOST_S: Final = 1.0
_FULL: Final = 8.0
"""How many calls must grow in a second for the longest wait: a dozen or two that are being talked on."""
_MEMORY_S: Final = 2.0
"""After so long what was going on counts for a third of it."""


class Pace:
    """Told of every round, it tells how long to gather before the next one. Times are monotonic, in seconds."""

    def __init__(self) -> None:
        self._busy = 0.0
        """How many calls went in lately."""
        self._told: float | None = None

    def went_in(self, calls: int, now: float) -> None:
        """So many calls had grown, and are in."""
        if self._told is not None:
            self._busy *= math.exp((self._told - now) / _MEMORY_S)
        self._busy += calls
        self._told = now

    @property
    def wait_s(self) -> float:
        """How long to gather now."""
        return min(MOST_S, max(LEAST_S, self._busy / _MEMORY_S / _FULL))
