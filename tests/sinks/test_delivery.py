"""From the outbox to a sink: everything, in order for each call, whatever the other side does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path

import pytest

from bridge.sinks.base import Sent, SinkDownError, Waiting
from bridge.sinks.delivery import Delivery
from bridge.sinks.outbox import Outbox
from bridge.tasks import spawn

FAST = (0.01, 0.02)


class ScriptedSink:
    """Does with each batch what the test says, and keeps what it took."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.batches = 0
        self.does: Callable[[Waiting], str] = lambda _: "take"
        """`take`, `refuse`, or anything else: be down from here on."""
        self.changed = asyncio.Event()

    async def send(self, batch: Sequence[Waiting]) -> Sent:
        self.batches += 1
        done: set[int] = set()
        refused: dict[str, int] = {}
        try:
            for waiting in batch:
                if waiting.call in refused:
                    continue
                match self.does(waiting):
                    case "take":
                        self.taken.append(waiting.id)
                        done.add(waiting.number)
                    case "refuse":
                        refused[waiting.call] = waiting.number
                    case why:
                        raise SinkDownError(why, done=done)
        finally:
            self.changed.set()
        return Sent(frozenset(done), frozenset(refused.values()), "no")

    async def close(self) -> None:
        pass

    async def until(self, count: int) -> list[str]:
        async with asyncio.timeout(5):
            while len(self.taken) < count:
                self.changed.clear()
                await self.changed.wait()
        return self.taken


class Way:
    """An outbox, a sink, and what is between them."""

    def __init__(self, outbox: Outbox) -> None:
        self.outbox = outbox
        self.sink = ScriptedSink()
        self.delivery = Delivery("one", outbox, self.sink, pauses=FAST)
        self._numbers: dict[str, int] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = spawn(self.delivery.run(), name="delivery")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    def put(self, *calls: str) -> None:
        for call in calls:
            number = self._numbers[call] = self._numbers.get(call, -1) + 1
            self.outbox.put(call, f"{call}-{number}", b"{}", number + 1, last=False)


@pytest.fixture
async def way(tmp_path: Path) -> AsyncIterator[Way]:
    outbox = Outbox(tmp_path, ["one"])
    await outbox.open()
    way = Way(outbox)
    yield way
    await way.stop()
    await outbox.close()


async def test_what_comes_is_sent_and_forgotten(way: Way) -> None:
    way.put("a", "b")
    way.start()
    await way.sink.until(2)
    way.put("a")
    assert await way.sink.until(3) == ["a-0", "b-0", "a-1"]
    async with asyncio.timeout(5):
        while way.outbox.backlog["one"]:  # noqa: ASYNC110  Nobody is told when it is empty.
            await asyncio.sleep(0.01)
    assert await way.outbox.waiting("one", 9) == []


async def test_a_sink_that_is_down_is_tried_again_and_gets_everything_once(way: Way) -> None:
    failures = iter(["down"] * 3)
    way.sink.does = lambda waiting: next(failures, "take") if waiting.id == "b-0" else "take"
    way.put("a", "b", "a", "b")
    way.start()
    assert await way.sink.until(4) == ["a-0", "b-0", "a-1", "b-1"]
    assert way.sink.batches == 4


async def test_a_call_that_is_refused_waits_and_the_others_go_on(way: Way) -> None:
    refused = True
    way.sink.does = lambda waiting: "refuse" if refused and waiting.id == "a-1" else "take"
    way.put("a", "a", "a", "b", "b")
    way.start()
    assert await way.sink.until(3) == ["a-0", "b-0", "b-1"]
    way.put("b", "a")
    await way.sink.until(4)
    assert way.sink.taken[3] == "b-2"
    refused = False
    assert (await way.sink.until(7))[4:] == ["a-1", "a-2", "a-3"]


async def test_where_nearly_everything_is_refused_it_is_the_sink_that_is_wrong(way: Way) -> None:
    refused = True
    way.sink.does = lambda _: "refuse" if refused else "take"
    way.put(*(f"c{number}" for number in range(700)))
    way.start()
    async with asyncio.timeout(10):
        while way.sink.batches < 8:
            way.sink.changed.clear()
            await way.sink.changed.wait()
    refused = False
    taken = await way.sink.until(700)
    assert sorted(taken) == sorted(f"c{number}-0" for number in range(700))
