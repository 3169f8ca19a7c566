"""The loop of a call by itself, on each of the event loops that a bridge may run on."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable

import pytest

from bridge.call.inbox import Inbox


def loops() -> list[Callable[[], asyncio.AbstractEventLoop]]:
    found: list[Callable[[], asyncio.AbstractEventLoop]] = [asyncio.new_event_loop]
    if sys.platform != "win32":
        import uvloop

        found.append(uvloop.new_event_loop)
    return found


@pytest.mark.parametrize("new_loop", loops(), ids=lambda new_loop: str(new_loop.__module__))
def test_a_deadline_that_is_past_may_be_moved_before_it_rings(
    new_loop: Callable[[], asyncio.AbstractEventLoop],
) -> None:
    taken: list[str] = []
    failed: list[bool] = []

    async def play() -> None:
        loop = asyncio.get_running_loop()
        due = [loop.time() - 1, loop.time() - 2, loop.time() + 0.01, None]

        def step(event: str) -> None:
            taken.append(event)

        inbox = Inbox[str](step, lambda: due[min(len(taken), len(due)) - 1], "ring", lambda: failed.append(True))
        inbox.take("one")
        inbox.take("two")  # The deadline of the first is past, and has not rung yet.
        inbox.take("three")
        await asyncio.sleep(0.1)

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(play())
    assert (taken, failed) == (["one", "two", "three", "ring"], [])
