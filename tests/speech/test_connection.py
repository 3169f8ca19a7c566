"""The short way to the speech service: at once, in order, whatever else comes between."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bridge.speech.connection import SpeechConnection
from bridge.speech.link import SpeechLink
from bridge.tasks import spawn


@contextlib.asynccontextmanager
async def connected(serving: Callable[[ServerConnection], Awaitable[None]]) -> AsyncIterator[SpeechConnection]:
    async with serve(serving, "127.0.0.1", 0, compression=None) as server:
        port = next(iter(server.sockets)).getsockname()[1]
        connection = await SpeechLink(f"http://127.0.0.1:{port}").connect("/")
        try:
            yield connection
        finally:
            await connection.close()


async def read_all(connection: SpeechConnection) -> list[bytes]:
    heard: list[bytes] = []
    with contextlib.suppress(ConnectionClosed):
        await connection.read(heard.append)
    return heard


async def test_nothing_overtakes_what_came_before_anybody_read_nor_what_came_in_fragments() -> None:
    async def say(service: ServerConnection) -> None:
        for number in range(5):
            await service.send(f"early {number}")
        await service.recv()
        for number in range(5):
            await service.send(f"whole {number}")
            await service.send(iter([f"piece {number}, ", "and ", "the rest"]))
            await service.ping()
            await service.send(b"\x01\x02")

    async with connected(say) as connection:
        assert await connection.receive() == b"early 0"
        while connection._behind < 4:  # noqa: ASYNC110  It tells nobody.
            await asyncio.sleep(0.01)
        connection.write("go on")
        heard = await read_all(connection)
    assert heard[:4] == [b"early %d" % number for number in range(1, 5)]
    assert heard[4:] == [
        text
        for number in range(5)
        for text in (b"whole %d" % number, b"piece %d, and the rest" % number, b"\x01\x02")
    ]


async def test_a_message_is_handed_on_in_the_very_read_that_brought_it() -> None:
    async def say(service: ServerConnection) -> None:
        await service.wait_closed()

    async with connected(say) as connection:
        heard: list[bytes] = []
        reading = spawn(connection.read(heard.append), name="reading")
        await asyncio.sleep(0)
        connection.data_received(b"\x81\x02hi")
        assert heard == [b"hi"]
        reading.cancel()
        await asyncio.wait([reading])
        connection.data_received(b"\x81\x05later")
        assert heard == [b"hi"]
        assert await connection.receive() == b"later"


async def test_what_is_written_at_once_arrives_as_what_it_is() -> None:
    came: asyncio.Queue[str | bytes] = asyncio.Queue()

    async def hear(service: ServerConnection) -> None:
        async for message in service:
            came.put_nowait(message)

    async with connected(hear) as connection:
        connection.write("words")
        connection.write(b"\xff\x00")
        assert [await came.get(), await came.get()] == ["words", b"\xff\x00"]


async def test_there_is_no_room_where_the_service_does_not_read_or_is_gone() -> None:
    async def stall(service: ServerConnection) -> None:
        service.transport.pause_reading()
        await service.wait_closed()

    async with connected(stall) as connection:

        def room() -> bool:
            return connection.has_room

        assert room()
        async with asyncio.timeout(10):
            while room():
                connection.write(bytes(64 * 1024))
                await asyncio.sleep(0)
        connection.transport.abort()
        await connection.wait_closed()
        assert not room()
        with pytest.raises(ConnectionClosed):
            await connection.read(lambda _: None)
