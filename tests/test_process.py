"""A server's process: when the collector looks at everything."""

from __future__ import annotations

import asyncio
import gc

import pytest

from bridge import process


async def test_there_is_no_full_look_before_all_has_come_that_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = gc.get_threshold()
    monkeypatch.setattr(process, "_SETTLED_S", 0.05)
    monkeypatch.setattr("sys.setswitchinterval", lambda _: None)
    try:
        process.end_start()
        assert gc.get_threshold() == (*process._SERVING[:2], process._NEVER)
        frozen = gc.get_freeze_count()
        came = [[number] for number in range(1000)]
        async with asyncio.timeout(5):
            while gc.get_freeze_count() < frozen + len(came):  # noqa: ASYNC110  It tells nobody.
                await asyncio.sleep(0.01)
        assert gc.get_threshold() == process._SERVING
    finally:
        gc.set_threshold(*usual)  # What is frozen may stay so: most of it are the tests themselves.


def test_a_start_that_came_to_nothing_leaves_the_collector_as_it_was() -> None:
    usual = gc.get_threshold()

    def work() -> int:
        gc.set_threshold(1, 2, 3)
        gc.disable()
        return process.OK

    assert process.guard(work) == process.OK
    assert gc.isenabled()
    assert gc.get_threshold() == usual
