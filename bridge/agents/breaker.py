"""A circuit breaker: after failures in a row an agent is left alone for a while, so that nobody waits for it.

Pure: the time is an argument, in seconds of any clock that does not go back.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Literal, TypeAlias

State: TypeAlias = Literal["closed", "open", "half_open"]


@dataclass(frozen=True, slots=True)
class BreakerLimits:
    """When a breaker opens, and for how long."""

    failures: int = 5
    """Failures in a row that open it; 0: it never opens."""
    window_s: float = 60.0
    """The failures must lie within so many seconds, so that one a day does not add up to a breakdown."""
    pause_s: float = 30.0
    """Seconds for which it stays open before one question may try again."""


class Breaker:
    """Decides whether an agent is asked. Closed: yes. Open: no. Half open: one question tries it out.

    For every `allow` that returned True, exactly one of `succeeded`, `failed` and `dropped` is due.
    """

    def __init__(self, limits: BreakerLimits) -> None:
        self._limits = limits
        self._failures: deque[float] = deque(maxlen=max(1, limits.failures))
        self._opened_at: float | None = None
        self._probing = False

    def state(self, now: float) -> State:
        """Return the state at `now`."""
        if self._opened_at is None:
            return "closed"
        return "open" if now < self._opened_at + self._limits.pause_s else "half_open"

    def seconds_left(self, now: float) -> float:
        """Return how long it stays open; 0 when a question may be asked."""
        return 0.0 if self._opened_at is None else max(0.0, self._opened_at + self._limits.pause_s - now)

    def allow(self, now: float) -> bool:
        """Whether a question may be asked now. When half open, the first is allowed and the others wait for it."""
        match self.state(now):
            case "closed":
                return True
            case "open":
                return False
            case _:
                if self._probing:
                    return False
                self._probing = True
                return True

    def succeeded(self) -> bool:
        """The agent answered. Returns True if this closed the breaker."""
        was_open = self._opened_at is not None
        # An answer that was asked for before the breaker opened tells as much as that of the trial.
        self._opened_at, self._probing = None, False
        self._failures.clear()
        return was_open

    def failed(self, now: float) -> bool:
        """The agent failed. Returns True if this opened the breaker: once per opening, not for a failed trial."""
        if self._opened_at is not None:
            # Those that were under way when it opened must not keep it open; a failed trial does.
            if self._probing:
                self._opened_at, self._probing = now, False
            return False
        self._failures.append(now)
        limits = self._limits
        if limits.failures < 1 or len(self._failures) < limits.failures:
            return False
        if now - self._failures[0] > limits.window_s:
            return False
        self._opened_at = now
        return True

    def dropped(self) -> None:
        """The question was cancelled before anything could be told of the agent: another one may try."""
        self._probing = False
