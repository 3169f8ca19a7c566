"""The disk thread: order, bounds, failures, and ending."""

from __future__ import annotations

import asyncio
import threading

import pytest
from structlog.testing import capture_logs

from bridge.store.writer import DiskThread
from bridge.tasks import spawn


async def test_jobs_are_done_in_order_and_off_the_loop() -> None:
    disk = DiskThread()
    done: list[tuple[int, bool]] = []

    def job(number: int) -> None:
        done.append((number, threading.current_thread() is threading.main_thread()))

    for number in range(100):
        assert disk.put(lambda number=number: job(number), 10)  # type: ignore[misc]  # a lambda with a default has no type
    assert await disk.run(lambda: len(done)) == 100
    assert done == [(number, False) for number in range(100)]
    assert disk.waiting == 0
    await disk.close()


async def test_what_is_not_urgent_is_done_all_the_same_and_again_after_a_rest() -> None:
    disk = DiskThread()
    for _ in range(2):
        done = threading.Event()
        disk.put(done.set)
        assert await asyncio.to_thread(done.wait, 10)
        async with asyncio.timeout(10):
            while not disk._idle:  # noqa: ASYNC110  It tells nobody when it rests.
                await asyncio.sleep(0.01)
    await disk.close()


async def test_what_the_work_raises_is_raised_where_it_is_awaited() -> None:
    disk = DiskThread()

    def work() -> int:
        raise OSError("no disk")

    with pytest.raises(OSError, match="no disk"):
        await disk.run(work)
    await disk.close()


async def test_a_job_that_fails_is_logged_and_the_next_is_done() -> None:
    disk = DiskThread()

    def bad() -> None:
        raise ZeroDivisionError

    with capture_logs() as logs:
        disk.put(bad)
        assert await disk.run(lambda: "still here") == "still here"
    assert [line["event"] for line in logs] == ["disk_job_failed"]
    await disk.close()


async def test_a_disk_that_cannot_follow_costs_audio_first_and_is_told_once() -> None:
    disk = DiskThread(waiting_bytes=1000, reserve_bytes=100)
    stuck, done = threading.Event(), []

    def hold() -> None:
        stuck.wait(10)

    with capture_logs() as logs:
        disk.put(hold, 600)
        assert disk.put(lambda: done.append("fits"), 400)
        assert not disk.put(lambda: done.append("too much"), 1)
        assert not disk.put(lambda: done.append("too much"), 1)
        assert disk.put(lambda: done.append("journal"), 100, vital=True)
        assert not disk.put(lambda: done.append("journal"), 1, vital=True)
        stuck.set()
        await disk.run(lambda: None)
        assert disk.put(lambda: done.append("again"), 400)
        await disk.close()
    assert done == ["fits", "journal", "again"]
    assert disk.refused == 3
    assert [line["event"] for line in logs] == ["disk_cannot_follow", "disk_follows_again"]


async def test_the_thread_starts_with_the_first_job_ends_with_close_and_starts_again() -> None:
    def threads() -> int:
        return sum(thread.name == "store-disk" for thread in threading.enumerate())

    before = threads()
    disk = DiskThread()
    await disk.close()
    assert threads() == before
    done: list[int] = []
    disk.put(lambda: done.append(1))
    assert threads() == before + 1
    await disk.close()
    assert done == [1]
    disk.put(lambda: done.append(2))
    disk.put(lambda: done.append(3))
    await disk.close()
    assert done == [1, 2, 3]
    for thread in threading.enumerate():
        if thread.name == "store-disk":
            await asyncio.to_thread(thread.join, 5)
    assert threads() <= before


async def test_what_is_handed_over_while_it_closes_is_done_too() -> None:
    disk = DiskThread()
    done: list[int] = []
    disk.put(lambda: done.append(1))
    first, second = spawn(disk.close(), name="first"), spawn(disk.close(), name="second")
    await asyncio.sleep(0)
    disk.put(lambda: done.append(2))
    await asyncio.gather(first, second)
    await disk.close()
    assert done == [1, 2]


async def test_being_cancelled_does_not_stop_the_work() -> None:
    disk = DiskThread()
    may_go, done = threading.Event(), threading.Event()

    def hold() -> None:
        may_go.wait(10)

    disk.put(hold)
    waiting = spawn(disk.run(done.set), name="waiting")
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    may_go.set()
    await disk.close()
    assert done.is_set()
