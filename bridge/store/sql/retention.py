"""Erases calls that have been kept for as long as the settings say, and completes what was broken off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from bridge.errors import StoreError
from bridge.store.sql import folders
from bridge.store.sql.audit import Audit
from bridge.store.sql.database import Database
from bridge.store.sql.erasing import Eraser
from bridge.tasks import spawn

_log = structlog.get_logger()

WHO: Final = "retention"
_DAY_MS: Final = 24 * 3600 * 1000
_EVERY_S: Final = 3600.0
_RETRY_S: Final = 60.0
"""How long before a database that is away is asked again."""
_AT_ONCE: Final = 50
"""Calls erased in a row; then others have their turn."""
_LEAP_S: Final = 24 * 3600.0
"""A wall clock that has moved on by so much more than time has is not believed until it stays there."""


class Retention:
    """Sweeps at the start and each hour. `days` None: nothing grows too old, only what broke off is completed."""

    def __init__(
        self,
        database: Database,
        eraser: Eraser,
        audit: Audit,
        folder: Path,
        days: int | None,
        *,
        clock: Callable[[], float] = time.time,
        steady: Callable[[], float] = time.monotonic,
    ) -> None:
        """`folder` is that of all calls. `clock` is the wall's, `steady` one that nobody sets; both in seconds."""
        self._database = database
        self._eraser = eraser
        self._audit = audit
        self._folder = folder
        self._days = days
        self._clock, self._steady = clock, steady
        self._seen: tuple[float, float] | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Run beside the caller."""
        self._task = spawn(self.run(), name="retention")

    async def close(self) -> None:
        """Stop; what is not erased yet is erased next time."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def run(self) -> None:
        """Sweep until cancelled. A database that is away is waited for; what else fails is logged."""
        while True:
            try:
                await self._database.open()
                await self.sweep()
                wait_s = _EVERY_S
            except StoreError:
                wait_s = _RETRY_S
            except Exception as error:  # noqa: BLE001  nothing may end the sweeping for good
                _log.error("retention_failed", error=str(error))
                wait_s = _EVERY_S
            await asyncio.sleep(wait_s)

    async def sweep(self) -> int:
        """Complete what broke off, then erase what is too old. Returns how many calls were erased.

        Raises StoreError, and OSError for a file of the audit that cannot be read. Cancelling leaves the rest for
        the next time.
        """
        await self._audit.take_in()
        await self._eraser.finish()
        if self._days is None or not self._plausible():
            return 0
        before_ms = round(self._clock() * 1000) - self._days * _DAY_MS
        erased = 0
        while number := await self._batch(before_ms):
            erased += number
            await asyncio.sleep(0)
        erased += await self._unknown(before_ms)
        if erased:
            _log.info("retention_swept", erased=erased, days=self._days)
        return erased

    async def _batch(self, before_ms: int) -> int:
        from bridge.store.sql import removing  # noqa: PLC0415  (SQLAlchemy is slow to import)

        async with self._database.reading() as connection:
            found = await removing.older_than(connection, before_ms, _AT_ONCE)
        done = await self._eraser.erase_known(found, who=WHO, why=f"older than {self._days} days")
        return len(done.calls)

    async def _unknown(self, before_ms: int) -> int:
        """Erase the folders of days that are over long enough and of which the database has no row.

        Such a journal was never understood: its beginning is torn.
        """
        from bridge.store.sql import removing  # noqa: PLC0415

        day = datetime.fromtimestamp(before_ms / 1000, UTC).date().isoformat()
        found = await asyncio.to_thread(folders.of_days_before, self._folder, day)
        erased = 0
        for first in range(0, len(found), _AT_ONCE):
            some = dict(found[first : first + _AT_ONCE])
            async with self._database.reading() as connection:
                known = await removing.folders_among(connection, list(some))
            calls = [removing.KnownCall(some[name], "", name, ended=True) for name in some if name not in known]
            done = await self._eraser.erase_known(calls, who=WHO, why=f"older than {self._days} days")
            erased += len(done.calls)
        return erased

    def _plausible(self) -> bool:
        """Tell whether the wall clock went on as time did. One that was set back erases less, and does no harm."""
        now, steady = self._clock(), self._steady()
        before, self._seen = self._seen, (now, steady)
        if before is None:
            return True
        leapt = (now - before[0]) - (steady - before[1])
        if leapt > _LEAP_S:
            _log.warning("clock_leapt", by_hours=round(leapt / 3600), remedy="nothing is erased until it stays so")
            return False
        return True
