"""How what is kept of calls is put together: the files, what is put around them, and what is made of them."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bridge.agents.webhook.spool import forget_calls
from bridge.assembly.parts import check_folder, make_redactor, recording_keys
from bridge.assembly.sinks import open_sinks
from bridge.live.taps import Taps
from bridge.metrics import Metrics
from bridge.settings import Settings
from bridge.sinks.outbox import forget_waiting
from bridge.store.files import FileStore
from bridge.store.folder_lock import held
from bridge.store.redacting import RedactingStore
from bridge.store.sealing import Keys
from bridge.store.sql.audit import Audit
from bridge.store.sql.database import Database
from bridge.store.sql.erasing import Elsewhere, Eraser
from bridge.store.sql.keeper import Keeper
from bridge.store.sql.retention import Retention
from bridge.tasks import spawn
from bridge.workers.alone import Alone


@dataclass(frozen=True, slots=True)
class Keeping:
    """What keeps the calls of a process."""

    store: Taps
    """What calls are handed to."""
    database: Database
    keeper: Keeper
    """Lets the database follow the calls' journals. To be started once calls are taken: opening takes its time."""
    audit: Audit
    """Who heard, took away or erased what. A recording is given out when its line is written."""
    eraser: Eraser
    retention: Retention
    """Erases what is too old. To be started with `keeper`."""
    keys: Keys
    """What recordings are encrypted and read with."""
    grew: Callable[[Path, str], None]
    """Is told of a journal that has grown: its folder, and the call."""
    away: Collection[str]
    """The carrier's ids of calls that were with somebody else when an earlier process of this folder died."""
    keeps_house: bool = True
    """Whether this process lets the database follow, and erases what is too old; else another does."""

    def start(self) -> None:
        """Begin with what need not be there when the first call comes."""
        if self.keeps_house:
            self.keeper.start()
            self.retention.start()


async def open_keeping(
    settings: Settings,
    metrics: Metrics,
    stack: contextlib.AsyncExitStack,
    live: Callable[[str], bool],
    worker: Alone,
) -> Keeping:
    """Begin to keep calls; the stack's end finishes that. `live` tells whether a call, by either id, goes on.

    Raises SettingsError for a folder that cannot be used, and where the database's driver is missing.
    """
    redactor, keys = make_redactor(settings), recording_keys(settings)
    folder = settings.store.recordings
    await asyncio.to_thread(check_folder, folder)
    holding = held(folder, worker.named(settings), joins=worker.several)
    await asyncio.to_thread(stack.enter_context, holding)
    database = Database(settings.store.url, folder)
    stack.push_async_callback(database.close)
    keeper = Keeper(database, folder, worker.owner)
    worker.own(keeper, database)
    stack.push_async_callback(keeper.close)
    grew = worker.on_growth(keeper.grew)
    files = FileStore(
        folder,
        keys=keys,
        on_growth=grew,
        on_written=metrics.journal.observe,
        resume_s=settings.server.resume_seconds,
    )
    stack.push_async_callback(files.close)
    stack.callback(spawn(files.finish_left_over(worker.mends), name="finish-left-over").cancel)
    store = await open_sinks(settings, files, metrics, stack, worker)
    if worker.first:
        metrics.store_up.set_function(lambda: database.up)
        metrics.store_waiting.set_function(lambda: keeper.waiting)
        metrics.store_lag.set_function(lambda: keeper.lag_s)
    audit = Audit(database, folder)
    eraser = Eraser(
        database, folder, live, audit=audit, elsewhere=elsewhere(settings), on_erased=metrics.erased_calls.inc
    )
    retention = Retention(database, eraser, audit, folder, settings.store.retention_days)
    stack.push_async_callback(retention.close)
    taps = Taps(RedactingStore(worker.keep(store), redactor))
    return Keeping(
        taps, database, keeper, audit, eraser, retention, keys, grew, files.away, keeps_house=worker.first
    )


def elsewhere(settings: Settings) -> tuple[Elsewhere, ...]:
    """Return what removes what else holds something of calls: what waits for sinks, and for agents."""
    waiting: Elsewhere = partial(forget_waiting, settings.store.recordings)
    undelivered = settings.agent.undelivered
    return (waiting, partial(forget_calls, Path(undelivered))) if undelivered else (waiting,)
