"""The one place where tasks are made, and ended."""

from __future__ import annotations

import asyncio
import weakref

import pytest
from structlog.testing import capture_logs

from bridge.tasks import spawn, stopped
from tests.no_collector import no_collector


async def test_a_task_that_is_stopped_has_ended() -> None:
    begun, ended = asyncio.Event(), False

    async def work() -> None:
        nonlocal ended
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0)
            ended = True

    task = spawn(work(), name="work")
    await begun.wait()
    await stopped(task)
    assert task.cancelled()
    assert ended


async def test_what_a_task_raises_at_its_end_is_logged_and_stops_nobody() -> None:
    begun = asyncio.Event()

    async def work() -> None:
        try:
            begun.set()
            await asyncio.Event().wait()
        finally:
            raise OSError("full")

    with capture_logs() as logs:
        task = spawn(work(), name="work")
        await begun.wait()
        await stopped(task)
        await asyncio.sleep(0)
    assert [(entry["event"], entry["task"]) for entry in logs] == [("task_failed", "work")]


class _Holder:
    """Who keeps a task that works for it."""

    def __init__(self) -> None:
        self.task = spawn(self._work(), name="work")

    async def _work(self) -> None:
        await asyncio.Event().wait()


async def test_a_task_that_was_cancelled_does_not_keep_who_keeps_it() -> None:
    with no_collector():
        holder = _Holder()
        await asyncio.sleep(0)
        await stopped(holder.task)
        await asyncio.sleep(0)
        gone = weakref.ref(holder)
        del holder
        assert gone() is None


async def test_who_waits_for_a_task_that_was_cancelled_is_told() -> None:
    task = spawn(asyncio.Event().wait(), name="work")
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert task.cancelled()
