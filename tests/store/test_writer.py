"""The disk thread: order, bounds, failures, and ending."""

from __future__ import annotations

import asyncio
import threading
import time

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


async def test_what_is_vital_overtakes_all_else_and_can_be_waited_for_alone() -> None:
    disk = DiskThread()
    begun, first, second = threading.Event(), threading.Event(), threading.Event()
    done: list[str] = []

    def hold() -> None:
        begun.set()
        first.wait(10)

    def sound() -> None:
        second.wait(10)
        done.append("sound")

    async with asyncio.timeout(10):
        await disk.settled()  # Nothing was handed over.
        disk.put(hold)
        assert await asyncio.to_thread(begun.wait, 10)
        disk.put(sound)
        disk.put(lambda: done.append("journal"), vital=True)
        settled = spawn(disk.settled(), name="settled")
        await asyncio.sleep(0.05)
        assert not settled.done()
        first.set()
        await settled
        assert done == ["journal"]
        second.set()
        assert await disk.run(lambda: list(done)) == ["journal", "sound"]
    await disk.close()


async def test_a_disk_that_is_prompt_is_waited_for_at_once_and_a_slow_one_costs_the_loop_one_moment() -> None:
    disk, may_go, done = DiskThread(), threading.Event(), list[str]()
    turns = 0

    async def others() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    def slow() -> None:
        may_go.wait(10)
        done.append("slow")

    beside = spawn(others(), name="others")
    await asyncio.sleep(0)
    for _ in range(50):  # A busy machine may take longer than a moment now and then.
        turns = 0
        disk._slow_until = 0.0
        disk.put(lambda: done.append("prompt"), vital=True)
        await disk.settled()
        if not turns:
            break
    assert done
    assert turns == 0  # Nothing else ran between.
    done.clear()
    disk.put(slow, vital=True)
    settled = [spawn(disk.settled(), name="settled") for _ in range(20)]
    began = time.monotonic()
    await asyncio.sleep(0)
    assert time.monotonic() - began < 0.5 * 20 * 0.001 + 0.1
    assert not any(one.done() for one in settled)
    may_go.set()
    async with asyncio.timeout(10):
        await asyncio.gather(*settled)
    assert done == ["slow"]
    beside.cancel()
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


async def test_what_can_wait_is_done_in_time_too_when_what_is_vital_has_ended_a_rest() -> None:
    disk = DiskThread()
    vital, done = threading.Event(), threading.Event()
    disk.put(lambda: None)
    async with asyncio.timeout(10):
        while not disk._idle:  # noqa: ASYNC110  It tells nobody when it rests.
            await asyncio.sleep(0.01)
    disk.put(vital.set, vital=True)
    assert await asyncio.to_thread(vital.wait, 10)
    disk.put(done.set)
    assert await asyncio.to_thread(done.wait, 10)
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
    assert done == ["journal", "fits", "again"]
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
