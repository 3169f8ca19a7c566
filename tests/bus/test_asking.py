"""Which requests count as another node's."""

from __future__ import annotations

import asyncio
import socket
from pathlib import Path

from aiohttp import web

from bridge.bus.asking import _REMOTE, BY_BUS, taken_over
from bridge.workers.relaying import Introduced


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
