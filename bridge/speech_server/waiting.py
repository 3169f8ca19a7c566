"""Jobs that wait for an inference process, and which of them goes next. Pure.

Whoever asks has one job here at a time, so the queue is as long as there are streams and contexts, and first come,
first served within a priority is fair: after its turn a stream stands at the end again. What is not wanted any more
leaves at once, with its audio.

A process cannot be interrupted, so a preview that has just begun keeps a text waiting that ends a turn. That is why
what can wait is only begun while what cannot leaves enough time (`Load`).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Generic, TypeVar

from bridge.speech_server.jobs import Job

T = TypeVar("T")

MOST_LOAD: Final = 0.42
"""Share of the processes' time that goes into what cannot wait, above which nothing else is begun. Measured: with
less of it previews keep nobody waiting, with more they do (6 and 8 callers on one core)."""
_MEMORY_S: Final = 8.0
"""What was done so long ago counts by a third."""


class Priority(IntEnum):
    """Who goes first."""

    FINAL = 0
    """Somebody waits for it, and its words are lost if it is dropped."""
    PREVIEW = 1
    """A look at what may still change: it can be late, and left out."""
    FILE = 2


@dataclass(eq=False, slots=True)
class Ticket(Generic[T]):
    """A job that waits or runs."""

    make: Callable[[], Job]
    """Makes the job when its turn comes: a preview is then of all that was said by then."""
    priority: Priority
    since: float
    """When it was asked for, in seconds of any one clock."""
    answer: T
    """Who is to be told."""
    deaths: int = 0
    """How many processes have died of it, or with it."""


class WaitingJobs(Generic[T]):
    """The queue."""

    def __init__(self) -> None:
        # A dictionary keeps its order and gives up any entry at once.
        self._lines: dict[Priority, dict[int, Ticket[T]]] = {priority: {} for priority in Priority}

    def __len__(self) -> int:
        return sum(map(len, self._lines.values()))

    def put(self, ticket: Ticket[T]) -> None:
        """Let a job wait at the end of its line."""
        self._lines[ticket.priority][id(ticket)] = ticket

    def put_back(self, ticket: Ticket[T]) -> None:
        """Let a job that was begun and not done go before all of its line."""
        line = self._lines[ticket.priority]
        self._lines[ticket.priority] = {id(ticket): ticket, **line}

    def drop(self, ticket: Ticket[T]) -> None:
        """A job is not wanted any more. One that does not wait is no mistake."""
        self._lines[ticket.priority].pop(id(ticket), None)

    def take(self, *, only_finals: bool = False) -> Ticket[T] | None:
        """The job that goes next, if any; with `only_finals` none that can wait."""
        for priority, line in self._lines.items():
            if only_finals and priority is not Priority.FINAL:
                return None
            for key in line:
                return line.pop(key)
        return None

    def take_all(self) -> list[Ticket[T]]:
        """Every job, the next one first; none waits any more."""
        return [*iter(self.take, None)]

    def behind_s(self, now: float) -> float:
        """How long the oldest job has waited that may not be left out; 0 if there is none."""
        line = self._lines[Priority.FINAL]
        return max((now - ticket.since for ticket in line.values()), default=0.0)


class Load:
    """How busy the processes were in the last moments with what cannot wait, 0 to 1; seconds of any one clock."""

    def __init__(self, processes: int) -> None:
        self._processes = processes
        self._busy = 0.0
        self._at = -math.inf

    def add(self, seconds: float, now: float) -> None:
        """One process has worked for so long, until now."""
        self._busy = self._left(now) + seconds
        self._at = now

    def share(self, now: float) -> float:
        """How much of the time they worked so."""
        return self._left(now) / _MEMORY_S / self._processes

    def _left(self, now: float) -> float:
        return self._busy * math.exp((self._at - now) / _MEMORY_S)
