"""Waits for the first of several things."""

from __future__ import annotations

import asyncio
from typing import Any

from bridge.tasks import spawn


async def any_of(
    *events: asyncio.Event, task: asyncio.Task[Any] | None = None, timeout_s: float | None = None
) -> None:
    """Return when one of the events is set, the task is done, or the time is up. The task is left alone."""
    if any(event.is_set() for event in events):
        return
    waits = {spawn(event.wait(), name="simulated_wait") for event in events}
    try:
        await asyncio.wait(
            {*waits, *([task] if task is not None else [])},
            timeout=timeout_s,
            return_when=asyncio.FIRST_COMPLETED,
        )
    finally:
        for one in waits:
            one.cancel()
