"""Finds the most calls that are sustained: up a ladder of levels, and halving between the last two. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

STEPS: Final = (1, 10, 50, 100, 200, 300, 350, 400, 450, 500, 550, 600, 700, 800, 1000)
RESOLUTION: Final = 10
"""Calls between the knee and the level that was not sustained, at most."""


class Ladder:
    """Ask `next_level`, measure it, tell `record`, until there is none."""

    def __init__(self, steps: Iterable[int] = STEPS, resolution: int = RESOLUTION) -> None:
        self.knee: int | None = None
        """The most calls that were sustained so far."""
        self.broke: int | None = None
        """The fewest that were not."""
        self._steps = sorted(set(steps))
        self._resolution = resolution
        self._again: int | None = None
        self._repeated: set[int] = set()

    def next_level(self) -> int | None:
        """How many calls to measure now; None at the end."""
        if self._again is not None:
            return self._again
        known = self.knee or 0
        if self.broke is None:
            return next((step for step in self._steps if step > known), None)
        if self.broke - known <= self._resolution:
            return None
        middle = (known + self.broke) // 2
        # Round numbers, where that does not give an end of the interval.
        rounded = middle // self._resolution * self._resolution
        return rounded if rounded > known else middle

    def record(self, calls: int, *, sustained: bool, noisy: bool = False) -> None:
        """A level was measured. One that failed on a machine too noisy to believe is tried once more."""
        self._again = None
        if sustained:
            self.knee = max(calls, self.knee or 0)
        elif noisy and calls not in self._repeated:
            self._repeated.add(calls)
            self._again = calls
        else:
            self.broke = calls if self.broke is None else min(calls, self.broke)
