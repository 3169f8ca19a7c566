"""The one place where tasks are made."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Coroutine
from typing import Any, TypeVar

import structlog

T = TypeVar("T")

_running: set[asyncio.Task[Any]] = set()
_log = structlog.get_logger()


def spawn(work: Coroutine[Any, Any, T], *, name: str) -> asyncio.Task[T]:
    """Run `work` beside the caller, under a name that shows in dumps and logs.

    asyncio keeps only a weak reference to a task, so one that nobody holds can vanish in mid-work: this keeps it
    until it ends. An exception that leaves the task is logged here, because nobody may ever await it.
    """
    task = asyncio.get_running_loop().create_task(work, name=name)
    _running.add(task)
    task.add_done_callback(_ended)
    return task


async def stopped(task: asyncio.Task[Any]) -> None:
    """Cancel a task and wait for its end, whatever that is. Being cancelled stops the waiting only."""
    task.cancel()
    await asyncio.wait([task])


def _ended(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if task.cancelled():
        # Until somebody asks, a task keeps what it was cancelled with, and that every frame it went through. One of
        # those nearly always knows the task, or who keeps it: all of them would wait for the collector.
        with contextlib.suppress(asyncio.CancelledError):
            task.result()
    elif (error := task.exception()) is not None:
        _log.error("task_failed", task=task.get_name(), exc_info=error)
