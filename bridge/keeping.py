"""How what is kept of calls is put together: the files, what is put around them, and what is made of them."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from bridge.live.taps import Taps
from bridge.metrics import Metrics
from bridge.parts import check_folder, make_redactor
from bridge.settings import Settings
from bridge.store.files import FileStore
from bridge.store.redacting import RedactingStore
from bridge.store.sql.database import Database
from bridge.store.sql.keeper import Keeper
from bridge.tasks import spawn


@dataclass(frozen=True, slots=True)
class Keeping:
    """What keeps the calls of a process."""

    store: Taps
    """What calls are handed to."""
    database: Database
    keeper: Keeper
    """Lets the database follow the calls' journals. To be started once calls are taken: opening takes its time."""


async def open_keeping(settings: Settings, metrics: Metrics, stack: contextlib.AsyncExitStack) -> Keeping:
    """Begin to keep calls; the stack's end finishes that.

    Raises SettingsError for a folder that cannot be used, and where the database's driver is missing.
    """
    redactor = make_redactor(settings)
    folder = settings.store.recordings
    await asyncio.to_thread(check_folder, folder)
    database = Database(settings.store.url, folder)
    stack.push_async_callback(database.close)
    keeper = Keeper(database, folder)
    stack.push_async_callback(keeper.close)
    files = FileStore(folder, on_growth=keeper.grew)
    stack.push_async_callback(files.close)
    stack.callback(spawn(files.finish_left_over(), name="finish-left-over").cancel)
    metrics.store_up.set_function(lambda: database.up)
    metrics.store_waiting.set_function(lambda: keeper.waiting)
    metrics.store_lag.set_function(lambda: keeper.lag_s)
    return Keeping(Taps(RedactingStore(files, redactor)), database, keeper)
