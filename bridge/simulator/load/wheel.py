"""The one timer of all phones: every 20 ms it has served each of them once, spread evenly over that time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

clock: Final = time.perf_counter
"""Seconds; the one clock of everything that is stamped."""

_SLOTS: Final = 10
_SLOT_S: Final = 0.002
_RESYNC_S: Final = 1.0
"""Frames that are later than this are left out, as after a suspended machine."""


class Served(Protocol):
    """What a wheel can serve."""

    def serve(self) -> None:
        """20 ms are over."""


class Wheel:
    """Serves each of its members every 20 ms, in slots of 2 ms that are equally full."""

    def __init__(self, late: Callable[[float, float], None]) -> None:
        """`late` is told, at every wake-up, when it was due and how much later it came, in seconds."""
        self._slots: list[list[Served]] = [[] for _ in range(_SLOTS)]
        self._where: dict[Served, list[Served]] = {}
        self._late = late
        self._slot = 0
        self._due = 0.0
        self._timer: asyncio.TimerHandle | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, member: Served) -> None:
        """From now on, serve this one, too."""
        slot = min(self._slots, key=len)
        slot.append(member)
        self._where[member] = slot

    def remove(self, member: Served) -> None:
        """Serve it no longer; nothing if it is not served."""
        if (slot := self._where.pop(member, None)) is not None:
            slot.remove(member)

    def start(self) -> None:
        """Begin to turn, on the running event loop."""
        self._loop = asyncio.get_running_loop()
        self._due = clock()
        self._turn()

    def stop(self) -> None:
        """Turn no longer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _turn(self) -> None:
        now = clock()
        late = now - self._due
        if late > 0:
            self._late(self._due, late)
        if late > _RESYNC_S:
            self._due = now
        while self._due <= now:
            for member in tuple(self._slots[self._slot]):
                member.serve()
            self._slot = (self._slot + 1) % _SLOTS
            self._due += _SLOT_S
        if self._loop is not None:
            self._timer = self._loop.call_later(max(0.0, self._due - clock()), self._turn)
