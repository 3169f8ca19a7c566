"""How what is kept of calls is put together: the files, what is put around them, and what is made of them."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass

from bridge.metrics import Metrics
from bridge.parts import check_folder, make_redactor
from bridge.settings import Settings
from bridge.store.base import Store
from bridge.store.files import FileStore
from bridge.store.redacting import RedactingStore
from bridge.tasks import spawn


@dataclass(frozen=True, slots=True)
class Keeping:
    """What keeps the calls of a process."""

    store: Store
    """What calls are handed to."""


async def open_keeping(settings: Settings, metrics: Metrics, stack: contextlib.AsyncExitStack) -> Keeping:
    """Begin to keep calls; the stack's end finishes that. Raises SettingsError for a folder that cannot be used."""
    del metrics
    redactor = make_redactor(settings)
    await asyncio.to_thread(check_folder, settings.store.recordings)
    files = FileStore(settings.store.recordings, record_audio=settings.store.record_audio)
    stack.push_async_callback(files.close)
    stack.callback(spawn(files.finish_left_over(), name="finish-left-over").cancel)
    return Keeping(RedactingStore(files, redactor))
