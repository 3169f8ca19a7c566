"""A WebSocket of ours does not wait for the collector, however it ends."""

from __future__ import annotations

import asyncio
import weakref

import pytest
from websockets.asyncio.client import connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from bridge.client_socket import ClientSocket
from tests.no_collector import no_collector


@pytest.mark.parametrize(
    "end", ["we close", "they close", "we break off", "they break off", "against the protocol"]
)
async def test_one_that_is_lost_is_gone(end: str) -> None:
    async def serving(service: ServerConnection) -> None:
        await service.recv()
        match end:
            case "they close":
                await service.close()
            case "they break off":
                service.transport.abort()
            case "against the protocol":
                service.transport.write(b"\xff\xff\xff\xff")
            case _:
                await service.wait_closed()

    with no_collector():
        async with serve(serving, "127.0.0.1", 0) as server:
            address = f"ws://127.0.0.1:{next(iter(server.sockets)).getsockname()[1]}"
            socket = await connect(address, create_connection=ClientSocket, ping_interval=20)
            gone = weakref.ref(socket), weakref.ref(socket.protocol)
            await socket.send("hello")
            match end:
                case "we close":
                    await socket.close()
                case "we break off":
                    socket.transport.abort()
                case _:
                    with pytest.raises(ConnectionClosed):
                        await socket.recv()
            await socket.wait_closed()
            del socket
            async with asyncio.timeout(5):
                while any(one() is not None for one in gone):  # noqa: ASYNC110  Nobody tells.
                    await asyncio.sleep(0.01)
