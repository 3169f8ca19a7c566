"""Puts the journals of the calls into the database: each entry once, in order, whenever the database is there.

The journals are the record, and the database follows them. Nothing waits in memory but the names of the calls whose
journals have grown; where the database is away, the journals are what waits. How far each call is in stands in its
row, which moves in the same transaction as the rows that it tells of: whenever a process dies, and however often
somebody tells that a journal has grown, each entry goes in once.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import threading
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import structlog
from msgspec import Struct

from bridge.errors import StoreError
from bridge.store.sql import spool
from bridge.store.sql.database import Database
from bridge.store.sql.following import AT_ONCE, Follower
from bridge.store.sql.pacing import Pace
from bridge.tasks import spawn

_log = structlog.get_logger()

_SHARE: Final = 8
"""How many calls that are being caught up with have a step between two rounds of those that grow now."""
_RETRY_S: Final = (0.5, 10.0)
"""The first and the longest wait before a database that is away is tried again."""
_HOPELESS_S: Final = 60.0
"""How long before one is tried again that must be put in order first."""
_NAMES: Final = 20_000
"""How many names are kept; where there are more, all folders are looked through again."""


class Keeper:
    """Follows the journals below `folder`. `grew` may be called on any thread, the rest on the event loop."""

    def __init__(self, database: Database, folder: Path, node: Callable[[], str] = str) -> None:
        """`node` as in `Follower`."""
        self._database = database
        self._folder = folder
        self._follower = Follower(database, folder, node)
        self._lock = threading.Lock()
        """Held for a moment, never over anything that waits; guards the names of calls."""
        self._grown: OrderedDict[Path, _Grown] = OrderedDict()
        self._behind: OrderedDict[Path, _Grown] = OrderedDict()
        """Those that have more than one step to go, or were found in their folders."""
        self._working: dict[Path, _Grown] = {}
        """Those that have their step now."""
        self._look_again = True
        self._looking = False
        self._wake: Callable[[], None] = lambda: None
        self._days: deque[Path] = deque()
        self._opened = False
        self._progress = asyncio.Condition()
        self._pace = Pace()
        self._hurrying = 0
        """How many wait for what has grown: it is not gathered for long then."""
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # --- what others ask ---------------------------------------------------------------------------------------

    @property
    def waiting(self) -> int:
        """How many calls have entries that are not in the database, as far as that is known."""
        with self._lock:
            return len(self._grown.keys() | self._behind.keys() | self._working.keys())

    @property
    def lag_s(self) -> float:
        """For how long the one of them has waited that has waited longest."""
        with self._lock:
            waiting = [*self._grown.values(), *self._behind.values(), *self._working.values()]
        since = [grown.since for grown in waiting]
        return time.monotonic() - min(since) if since else 0.0

    @property
    def entries(self) -> int:
        """How many entries this process has put in."""
        return self._follower.entries

    def on_lost(self, lost: Callable[[str], None]) -> None:
        """Let `lost` be told of a call of this process, by its id, that another node holds by now."""
        self._follower.lost = lost

    def grew(self, folder: Path, call_id: str) -> None:
        """Tell that the journal in this folder has grown. Any thread may; returns at once."""
        with self._lock:
            if folder in self._grown:
                return
            if len(self._grown) >= _NAMES:
                self._grown.clear()
                self._look_again = True
            self._grown[folder] = _Grown(call_id, time.monotonic())
            if len(self._grown) == 1:
                self._wake()

    async def caught_up(self, call_id: str | None = None) -> None:
        """Wait until what is known to have grown of this call, or of all of them, is in the database."""
        with self._hurried():
            async with self._progress:
                await self._progress.wait_for(lambda: not self._lacks(call_id))

    # --- its life ----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Run beside the caller."""
        self._task = spawn(self.run(), name="record-keeper")

    async def close(self, within_s: float = 5.0) -> None:
        """Put in what has grown, if the database is up and does it within this time; then stop."""
        if self._task is None:
            return
        if self._database.up and not self._task.done():
            with contextlib.suppress(TimeoutError), self._hurried():
                async with asyncio.timeout(within_s):
                    async with self._progress:
                        await self._progress.wait_for(lambda: not self._follows())
        self._task.cancel()
        await asyncio.wait([self._task])

    async def run(self) -> None:
        """Open the database, look for what it lacks, and follow every call until cancelled."""
        loop = asyncio.get_running_loop()
        woken = asyncio.Event()
        self._wake = lambda: _wake(loop, woken)
        wait_s, longest_s = _RETRY_S
        told = ""
        while True:
            woken.clear()
            try:
                if not self._opened:
                    await self._open()
                await self._round()
            except Exception as error:  # noqa: BLE001  whatever it is, nothing may end the following for good
                known = isinstance(error, StoreError)
                if str(error) != told and (self._database.up or not known):
                    told = str(error)
                    _log.error("record_not_followed", error=told)
                self._opened = False  # it may have been put in order, or be another one, when it is back
                passes = isinstance(error, StoreError) and error.code == "store_unreachable"
                await asyncio.sleep(wait_s if passes else _HOPELESS_S)
                wait_s = min(longest_s, wait_s * 2)
                continue
            wait_s = _RETRY_S[0]
            if self._look_again and not self._days:
                await self._look_through()
            if not (self._behind or self._days):
                if not self._grown:
                    await woken.wait()
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(self._pace.wait_s):
                        await self._hurry.wait()

    async def catch_up(self) -> None:
        """Look through all folders once, and put in what the database lacks. Raises StoreError where it is away.

        For a program that reads the database and does not run the bridge.
        """
        await self._open()
        await self._look_through()
        while self._days or self._behind or self._grown:
            await self._round()

    async def _open(self) -> None:
        await self._database.open()
        await asyncio.to_thread(importlib.import_module, "bridge.store.sql.putting")  # it imports SQLAlchemy
        await self._follower.merge_left()
        self._opened = True

    # --- its work ----------------------------------------------------------------------------------------------

    async def _look_through(self) -> None:
        """Begin to look for what the database lacks, the oldest day first."""
        self._look_again, self._looking = False, True
        try:
            self._days = deque(await asyncio.to_thread(spool.days, self._folder))
        finally:
            self._looking = False
        await self._tell()

    async def _round(self) -> None:
        """A step of every call that has grown, and a share of the work on those that are being caught up with."""
        grown = len(self._grown)
        for first in range(0, grown, AT_ONCE):
            await self._step(self._grown, min(AT_ONCE, grown - first))
        if grown:
            self._pace.went_in(grown, time.monotonic())
        if self._days and not self._behind:
            await self._look_at_day(self._days[0])
            self._days.popleft()
        if self._behind:
            await self._step(self._behind, _SHARE)
        await self._tell()

    async def _tell(self) -> None:
        """Let those who wait look whether it was this that they waited for."""
        async with self._progress:
            self._progress.notify_all()

    @contextlib.contextmanager
    def _hurried(self) -> Iterator[None]:
        """Nothing is gathered as long as somebody waits for it."""
        self._hurrying += 1
        self._hurry.set()
        try:
            yield
        finally:
            self._hurrying -= 1
            if not self._hurrying:
                self._hurry.clear()

    async def _step(self, waiting: OrderedDict[Path, _Grown], number: int) -> None:
        """Put in the next entries of the first calls. Those of which there are more wait behind the others."""
        with self._lock:
            taken = dict(waiting.popitem(last=False) for _ in range(min(number, len(waiting))))
            self._working.update(taken)
        more = set(taken)
        try:
            more = await self._follower.step(list(taken))
        except StoreError:
            raise
        except Exception:  # noqa: BLE001  a fault of ours, which is logged, must not end the following of the others
            more = set()
            _log.exception("calls_not_followed", folders=[str(folder) for folder in taken])
        finally:
            with self._lock:
                for folder, grown in taken.items():
                    del self._working[folder]
                    if folder in more:
                        self._behind.setdefault(folder, grown)

    async def _look_at_day(self, day: Path) -> None:
        now = time.monotonic()
        behind = await self._follower.behind(day)
        with self._lock:
            for folder in behind:
                self._behind.setdefault(folder, _Grown("", now))

    def _follows(self) -> bool:
        """Whether there is more of the calls that were told of, not only found in their folders."""
        with self._lock:
            behind = any(grown.call_id for grown in self._behind.values())
            return bool(self._grown or self._working or behind)

    def _lacks(self, call_id: str | None) -> bool:
        with self._lock:
            waiting = [*self._grown.values(), *self._behind.values(), *self._working.values()]
        if call_id is None:
            return bool(waiting or self._days or self._looking or self._look_again)
        return any(grown.call_id == call_id for grown in waiting)


class _Grown(Struct, frozen=True):
    """A call whose journal has grown."""

    call_id: str
    """Empty: it was found in its folder, and not looked into yet."""
    since: float
    """On the monotonic clock."""


def _wake(loop: asyncio.AbstractEventLoop, woken: asyncio.Event) -> None:
    with contextlib.suppress(RuntimeError):  # the loop was closed meanwhile: nobody follows any more
        loop.call_soon_threadsafe(woken.set)
