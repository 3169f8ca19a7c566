"""Listening in to a live call, wherever it is held: to one of this process, or of another that is asked for it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from bridge.errors import BridgeError
from bridge.live import taps
from bridge.live.calls import LiveCalls
from bridge.live.ear import Ear
from bridge.live.taps import Taps


class TooManyEarsError(BridgeError):
    """As many listen to a call as may. Code: `too_many_listeners`."""

    def __init__(self) -> None:
        super().__init__(f"{taps.MOST_EARS} listen to this call already.", code="too_many_listeners")


@dataclass(frozen=True, slots=True)
class Listening:
    """Somebody listens to a call from now on."""

    call: str
    """The bridge's id of the call."""
    ear: Ear
    leave: Callable[[], None]
    """Ends it. Never waits; to be called also where the ear has nothing more to come. Again, it does nothing."""


class Elsewhere(Protocol):
    """Where the sound of calls comes from that other processes hold."""

    @property
    def closed(self) -> bool:
        """Nothing comes from there any more: this process stops."""

    async def open(self, call: str) -> Listening | None:
        """Begin to listen to a call, by either of its ids; None: nobody holds it.

        Raises `TooManyEarsError`, and what answers a request where it is known who holds it, but not reached.
        """


class Here:
    """The calls of this process, for whoever listens."""

    def __init__(self, calls: LiveCalls, sound: Taps) -> None:
        self._calls = calls
        self._taps = sound

    def open(self, call: str) -> Listening | None:
        """Begin to listen to a call, by either of its ids; None: it is not here. Raises `TooManyEarsError`."""
        found = self._calls.find(call)
        if found is None:
            return None
        if self._taps.full(found.id):
            raise TooManyEarsError
        if (ear := self._taps.listen(found.id, lambda: found.moves)) is None:
            return None
        return Listening(found.id, ear, lambda: self._taps.leave(found.id, ear))
