"""The NATS sink, with a real server that stops and comes back."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import nats
import pytest
from nats.aio.msg import Msg

from bridge.sinks.base import SinkDownError, Waiting
from bridge.sinks.nats_bus import NatsSink
from tests.nats_server import Bus


def batch(*ids: str, body: bytes = b"{}") -> list[Waiting]:
    return [Waiting(number, id_.partition("-")[0], id_, body) for number, id_ in enumerate(ids)]


class Subscriber:
    """Keeps what is published."""

    def __init__(self) -> None:
        self.got: list[tuple[str, bytes]] = []

    @contextlib.asynccontextmanager
    async def on(self, bus: Bus, subject: str) -> AsyncIterator[Subscriber]:
        client = await nats.connect(bus.url, allow_reconnect=False)

        async def take(message: Msg) -> None:
            self.got.append(((message.headers or {}).get("Nats-Msg-Id", ""), message.data))

        await client.subscribe(subject, cb=take)
        await client.flush()
        try:
            yield self
        finally:
            await client.close()

    async def until(self, count: int) -> list[str]:
        async with asyncio.timeout(5):
            while len(self.got) < count:  # noqa: ASYNC110  Nobody is told.
                await asyncio.sleep(0.01)
        return [id_ for id_, _ in self.got]


@pytest.fixture
async def bus() -> AsyncIterator[Bus]:
    bus = Bus()
    await bus.start()
    yield bus
    await bus.stop()


async def test_documents_are_published_in_order_under_their_ids(bus: Bus) -> None:
    sink = NatsSink(bus.url, "calls.events")
    async with Subscriber().on(bus, "calls.>") as subscriber:
        sent = await sink.send(batch("a-0", "b-0", "a-1", body=b'{"k":"\xc3\xa9"}'))
        assert sent.done == {0, 1, 2}
        assert await subscriber.until(3) == ["a-0", "b-0", "a-1"]
        assert subscriber.got[0][1] == b'{"k":"\xc3\xa9"}'
    await sink.close()


async def test_a_server_that_goes_and_comes_back(bus: Bus) -> None:
    sink = NatsSink(bus.url, "calls")
    await sink.send(batch("a-0"))
    await bus.stop()
    for _ in range(2):
        with pytest.raises(SinkDownError, match="NATS failed"):
            await sink.send(batch("a-1"))
    await bus.start()
    async with Subscriber().on(bus, "calls") as subscriber:
        await sink.send(batch("a-1"))
        assert await subscriber.until(1) == ["a-1"]
    await sink.close()


async def test_what_is_too_long_for_the_server_keeps_back_its_call_alone(bus: Bus) -> None:
    sink = NatsSink(bus.url, "calls")
    long = Waiting(7, "a", "a-0", b"x" * 2_000_000)
    sent = await sink.send([long, *batch("a-1", "b-0")])
    await sink.close()
    assert sent.done == {1}
    assert sent.refused == {7}
