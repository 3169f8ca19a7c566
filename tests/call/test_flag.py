"""What can be waited for: as `asyncio.Event`."""

from __future__ import annotations

import asyncio

import pytest

from bridge.call.flag import Flag
from bridge.tasks import spawn


async def test_who_waits_is_woken_up_and_who_comes_later_does_not_wait() -> None:
    flag = Flag()
    waiting = [spawn(flag.wait(), name=f"waits-{number}") for number in range(3)]
    await asyncio.sleep(0)
    assert not flag.is_set()
    assert not any(one.done() for one in waiting)
    flag.set()
    await asyncio.wait_for(asyncio.gather(*waiting), 1)
    await asyncio.wait_for(flag.wait(), 1)
    assert flag.is_set()


async def test_it_can_be_cleared_and_set_again() -> None:
    flag = Flag()
    flag.set()
    flag.clear()
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(flag.wait(), 0.01)
    flag.set()
    await asyncio.wait_for(flag.wait(), 1)


async def test_who_has_given_up_keeps_nobody_from_being_woken_up() -> None:
    flag = Flag()
    gives_up, waits = (spawn(flag.wait(), name=name) for name in ("gives-up", "waits"))
    await asyncio.sleep(0)
    gives_up.cancel()
    flag.set()
    await asyncio.wait_for(waits, 1)
    with pytest.raises(asyncio.CancelledError):
        await gives_up
