"""What counts as another node's request, and what a node owes others when it ends."""

from __future__ import annotations

import asyncio
import socket
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from aiohttp import web

from bridge.bus.asking import _REMOTE, BY_BUS, GIVE, Answering, taken_over
from bridge.bus.connection import Bus
from bridge.workers.relaying import Introduced


@dataclass
class Message:
    data: bytes
    subject: str = "calls.call.CA1"
    answers: list[bytes] = field(default_factory=list)

    async def respond(self, data: bytes) -> None:
        self.answers.append(data)


async def test_one_that_ends_first_hands_over_what_it_was_asked_for() -> None:
    recorded = asyncio.Event()

    async def give(call: str) -> bytes:
        await recorded.wait()
        return call.encode()

    bus: Any = SimpleNamespace(most_bytes=1_000_000)
    answering = Answering(cast("Bus", bus), lambda: "one", give, lambda *_: None)
    await answering.settled()  # Nothing is owed.
    message = Message(GIVE)
    await answering.take(message)
    asyncio.get_running_loop().call_later(0.02, recorded.set)
    await answering.settled()
    assert message.answers == [b"CA1"]


async def test_what_comes_by_the_sockets_of_a_worker_is_anybodys_and_not_another_nodes(tmp_path: Path) -> None:
    async def answer(request: web.Request) -> web.Response:
        seen = taken_over(request)
        return web.Response(text=f"{seen.get(BY_BUS, False)} {seen.remote}")

    server = web.Server(answer)  # type: ignore[arg-type]  # What it gets is a `BaseRequest`, which is enough here.
    runner = web.ServerRunner(server)
    await runner.setup()
    path = str(tmp_path / "bus.sock")
    await web.UnixSite(runner, path).start()

    async def asked(connection: socket.socket) -> bytes:
        reader, writer = await asyncio.open_unix_connection(sock=connection)
        writer.write(f"GET / HTTP/1.1\r\nHost: h\r\n{_REMOTE}: 9.9.9.9\r\nConnection: close\r\n\r\n".encode())
        text = await reader.read()
        writer.close()
        return text.rpartition(b"\r\n")[2]

    by_bus = socket.socket(socket.AF_UNIX)
    by_bus.setblocking(False)
    await asyncio.get_running_loop().sock_connect(by_bus, path)
    ours, theirs = socket.socketpair()
    await asyncio.get_running_loop().connect_accepted_socket(
        lambda: Introduced(server(), ("203.0.113.7", 5)), theirs
    )
    try:
        assert await asked(by_bus) == b"True 9.9.9.9"
        assert await asked(ours) == b"False 203.0.113.7"
    finally:
        await runner.cleanup()
