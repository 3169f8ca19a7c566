"""The one place where tasks are made, and ended."""

from __future__ import annotations

import asyncio

from structlog.testing import capture_logs

from bridge.tasks import spawn, stopped


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
