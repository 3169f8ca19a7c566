"""Large answers: what becomes of those that break off, and of names that are to be files'."""

from __future__ import annotations

import asyncio
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from bridge.api.sending import OpenFile, entity_tag, file_name, let_go, made_on_threads, send, send_pieces
from bridge.tasks import spawn


@pytest.mark.parametrize(
    ("name", "plain"),
    [
        ("abc.wav", "abc.wav"),
        ("../../etc/passwd", "etc_passwd"),
        ('a"b\r\nX-Evil: 1', "a_b_X-Evil_1"),
        ("日本語", "call"),
        ("", "call"),
        ("x" * 500, "x" * 120),
    ],
)
def test_names_of_files_are_safe(name: str, plain: str) -> None:
    assert file_name(name) == f"attachment; filename=\"{plain}\"; filename*=UTF-8''{plain}"


def test_tags_tell_contents_apart() -> None:
    assert entity_tag("a", 1) == entity_tag("a", 1)
    assert len({entity_tag("a", 1), entity_tag("a", 2), entity_tag("b", 1), entity_tag("a", "1")}) == 4


class Shrinking:
    """A file that loses its end while it is read."""

    size = 1_000_000
    closed = False

    def read(self, start: int, length: int) -> bytes:
        return b"x" * length if start < 500_000 else b""

    def close(self) -> None:
        self.closed = True


async def test_what_ends_too_soon_is_not_taken_for_whole() -> None:
    content = Shrinking()

    async def answer(request: web.Request) -> web.StreamResponse:
        return await send(request, content, "audio/wav", "x.wav", '"tag"')

    app = web.Application()
    app.router.add_get("/", answer)
    async with TestClient(TestServer(app)) as client:
        with pytest.raises(aiohttp.ClientError):
            async with client.get("/") as response:
                await response.read()
        async with asyncio.timeout(10):
            while not content.closed:  # noqa: ASYNC110  The asker may see the end before the file is let go of.
                await asyncio.sleep(0.01)


async def test_whoever_goes_away_or_takes_nothing_is_let_go(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bridge.api.sending._TAKEN_WITHIN_S", 0.3)
    path = tmp_path / "large"
    path.write_bytes(bytes(20_000_000))
    over: asyncio.Queue[bool] = asyncio.Queue()

    async def answer(request: web.Request) -> web.StreamResponse:
        content = OpenFile(await asyncio.to_thread(path.open, "rb"))
        try:
            return await send(request, content, "audio/wav", "x.wav", '"tag"')
        finally:
            over.put_nowait(True)

    app = web.Application()
    app.router.add_get("/", answer)
    async with TestServer(app) as server:
        loop = asyncio.get_running_loop()
        for leaves in (True, False):
            with socket.socket() as phone:
                phone.setblocking(False)
                await loop.sock_connect(phone, (server.host, server.port))
                await loop.sock_sendall(phone, b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n")
                await loop.sock_recv(phone, 1000)
                if leaves:
                    phone.close()
                async with asyncio.timeout(5):
                    await over.get()


def test_what_was_sent_is_closed_though_all_threads_are_busy_and_the_loop_ends() -> None:
    content = Shrinking()
    done_reading = threading.Event()

    async def read_until_the_loop_ends() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.01)  # Whatever else is cancelled is cancelled before a thread is free.
            done_reading.set()

    async def leave() -> None:
        asyncio.get_running_loop().set_default_executor(pool)
        pool.submit(done_reading.wait)
        spawn(read_until_the_loop_ends(), name="reading")
        closing = spawn(let_go(content), name="closing")
        await asyncio.sleep(0)
        closing.cancel()
        await asyncio.wait([closing])

    with ThreadPoolExecutor(1) as pool:
        asyncio.run(leave())
    assert content.closed


async def test_pieces_are_made_one_after_the_other_and_their_maker_is_closed() -> None:
    closed = []

    def make() -> Iterator[bytes]:
        try:
            while True:
                yield b"x" * 100_000
        finally:
            closed.append(True)

    async def answer(request: web.Request) -> web.StreamResponse:
        return await send_pieces(request, web.StreamResponse(), made_on_threads(make()))

    async def count() -> AsyncIterator[bytes]:
        async with client.get("/") as response:
            yield await response.content.readexactly(300_000)

    app = web.Application()
    app.router.add_get("/", answer)
    async with TestClient(TestServer(app)) as client:
        async for piece in count():
            assert len(piece) == 300_000
        async with asyncio.timeout(5):
            while not closed:  # noqa: ASYNC110  Nobody tells.
                await asyncio.sleep(0.01)
