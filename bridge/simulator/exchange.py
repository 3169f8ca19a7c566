"""The simulated carrier that several legs share: who is on the line, and which conferences there are."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, Protocol

import aiohttp

from bridge.simulator.recordings import Recordings
from bridge.simulator.rooms import Room
from bridge.tasks import spawn


class Leg(Protocol):
    """A call as the carrier sees it; a `SimulatedCall` is one."""

    @property
    def call_sid(self) -> str:
        """CA and 32 hex digits."""

    @property
    def live(self) -> bool:
        """Whether it goes on."""


class Exchange:
    """Hand the same one to several `SimulatedCall`s that are to meet in conferences, and to `FakeTwilioRest`."""

    def __init__(self) -> None:
        self.calls: dict[str, Leg] = {}
        """Every leg there ever was, by its SID."""
        self.conferences: list[Room] = []
        """Every conference there ever was."""
        self.recordings = Recordings()
        self._session: aiohttp.ClientSession | None = None
        self._legs = 0
        self._last_told: asyncio.Task[None] | None = None

    def conference(self, name_or_sid: str) -> Room | None:
        """The conference of that name that is going on, or the one with that SID."""
        for room in reversed(self.conferences):
            if room.sid == name_or_sid or (room.name == name_or_sid and not room.over):
                return room
        return None

    def acquire(self) -> aiohttp.ClientSession:
        """The connections of the carrier, for one leg more."""
        if self._session is None:
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        self._legs += 1
        return self._session

    async def release(self) -> None:
        """One leg less; with the last go the connections."""
        self._legs -= 1
        if self._last_told is not None:
            await asyncio.wait({self._last_told})
        if not self._legs and self._session is not None:
            session, self._session = self._session, None
            await session.close()

    def tell_in_order(self, work: Coroutine[Any, Any, None]) -> None:
        """Do it beside everything else, after what was given before."""
        before = self._last_told

        async def told() -> None:
            if before is not None:
                await asyncio.wait({before})
            await work

        self._last_told = spawn(told(), name="simulated_conference_callback")
