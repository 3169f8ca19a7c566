"""Feeds the outbox with the calls of other processes: from their journals, as these grow."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import structlog

from bridge.errors import BridgeError
from bridge.sinks.feeding import Feeder
from bridge.store.base import CallHeader
from bridge.store.folder import JOURNAL
from bridge.store.sql import spool

_FOLLOWED: Final = 20_000
"""Calls of which it is remembered how far they were read."""

_log = structlog.get_logger()


@dataclass(slots=True)
class _Place:
    header: CallHeader
    position: int
    entries: int = 0


class JournalFeeder:
    """Hands over the entries of journals that it is told of, each once. `grew` is called on the event loop."""

    def __init__(self, feeder: Feeder, folder: Path, left: Mapping[str, int]) -> None:
        """`folder` is that of all calls; `left` says of which calls how many entries were handed over before."""
        self._feeder = feeder
        self._folder = folder
        self._left = left
        self._grown: OrderedDict[Path, None] = OrderedDict()
        self._places: OrderedDict[Path, _Place] = OrderedDict()
        self._more = asyncio.Event()

    def grew(self, folder: Path) -> None:
        """The journal in this folder has grown."""
        self._grown[folder] = None
        self._more.set()

    async def run(self) -> None:
        """Follow until cancelled; first those that an earlier process had not handed over to their ends."""
        for folder in await asyncio.to_thread(self._unfinished):
            self.grew(folder)
        while True:
            await self._more.wait()
            self._more.clear()
            await self.drain()

    async def drain(self) -> None:
        """Hand over what is known to have grown."""
        while self._grown:
            folder, _ = self._grown.popitem(last=False)
            await asyncio.to_thread(self._follow, folder)

    def _unfinished(self) -> list[Path]:
        return [path.parent for call in self._left for path in self._folder.glob(f"*/*-{call}/{JOURNAL}")]

    def _follow(self, folder: Path) -> None:
        try:
            place = self._places.get(folder)
            if place is None:
                place = self._places[folder] = _Place(*spool.read_beginning(folder))
                while len(self._places) > _FOLLOWED:
                    self._places.popitem(last=False)
            more = True
            while more:
                stretch = spool.read_on(folder, place.position, place.entries)
                handed = self._left.get(place.header.id, 0)
                for line in stretch.lines:
                    if line.entry is not None and line.seq > handed:
                        self._feeder.feed(place.header, line.seq - 1, line.entry)
                place.position, place.entries, more = stretch.position, stretch.entries, stretch.more
        except (OSError, BridgeError) as error:
            _log.warning("call_not_sent", folder=str(folder), error=str(error))
        except Exception:  # noqa: BLE001  One call's fault must not keep the others from being sent.
            _log.exception("call_not_sent", folder=str(folder))
