"""How often somebody may ask: a bucket of tokens for each of them. Pure; the clock is handed in."""

from __future__ import annotations

from collections import OrderedDict

MOST = 10_000
"""How many are remembered. Whoever was not heard of for longest is forgotten first: their bucket is full again
anyway, unless more than this many ask at the same time."""


class Buckets:
    """One bucket for each name: `burst` requests at once, and `rate` a second from then on."""

    def __init__(self, rate: float, burst: float, *, most: int = MOST) -> None:
        """`rate` is per second, `burst` at least 1."""
        self._rate = rate
        self._burst = burst
        self._most = most
        self._filled: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By name, how full the bucket was, and when."""

    def wait(self, name: str, now: float) -> float:
        """Return how many seconds `name` must wait before it may ask again; 0: it may now. Nothing is taken."""
        return max(0.0, (1 - self._level(name, now)) / self._rate)

    def take(self, name: str, now: float) -> float:
        """Take one request; returns 0. Where none is left, nothing is taken, and it returns what `wait` does."""
        level = self._level(name, now)
        if level < 1:
            return (1 - level) / self._rate
        self._filled[name] = (level - 1, now)
        self._filled.move_to_end(name)
        if len(self._filled) > self._most:
            self._filled.popitem(last=False)
        return 0.0

    def __len__(self) -> int:
        return len(self._filled)

    def _level(self, name: str, now: float) -> float:
        level, then = self._filled.get(name, (self._burst, now))
        return min(self._burst, level + max(0.0, now - then) * self._rate)
