"""Connections that are handed over, within one process: two applications stand for two workers."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from bridge.workers.handing import NotHandedOver, Receiver, hand_over
from bridge.workers.relaying import Relay
from tests.test_rotation import certificate


@dataclass
class Two:
    """A front that hands everything over, and the worker that answers."""

    url: str
    front: list[str]
    """What the front could not hand over."""
    answered: list[tuple[str, bool]]
    receiver: Receiver
    relayed: list[Relay]


@contextlib.asynccontextmanager
async def two(folder: Path, *, settled: bool = True, tls: bool = False) -> AsyncIterator[Two]:
    socket = folder / "0.sock"
    found = Two("", [], [], None, [])  # type: ignore[arg-type]  # It is there two lines on.

    async def answer(request: web.Request) -> web.StreamResponse:
        found.answered.append((request.raw_path, found.receiver.is_settled(request)))
        if request.headers.get("Upgrade"):
            ws = web.WebSocketResponse()
            await ws.prepare(request)
            async for message in ws:
                await ws.send_str(message.data[::-1])
            return ws
        return web.Response(
            text=f"{request.method} {request.remote} {request.headers['Host']} {await request.text()}",
            headers={"X-Scheme": request.scheme},
        )

    async def pass_on(request: web.Request) -> web.StreamResponse:
        try:
            raise await hand_over(request, socket, settled=settled, relayed=found.relayed.append)
        except NotHandedOver as error:
            found.front.append(str(error))
            return web.Response(status=503)

    async with contextlib.AsyncExitStack() as stack:
        runners = []
        for handler in (answer, pass_on):
            app = web.Application(client_max_size=1024**2)
            app.router.add_route("*", "/{path:.*}", handler)
            runner = web.AppRunner(app, shutdown_timeout=0.1)
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            runners.append(runner)
        assert runners[0].server is not None
        found.receiver = Receiver(socket, runners[0].server)
        await found.receiver.open()
        stack.callback(found.receiver.close)
        context = None
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*await asyncio.to_thread(certificate, folder, "voice.example"))
        await web.TCPSite(runners[1], "127.0.0.1", 0, ssl_context=context).start()
        found.url = f"http{'s' if tls else ''}://127.0.0.1:{runners[1].addresses[0][1]}"
        yield found


@pytest.mark.parametrize("settled", [True, False])
async def test_the_other_answers_as_if_it_had_been_asked(tmp_path: Path, *, settled: bool) -> None:
    async with two(tmp_path, settled=settled) as it, aiohttp.ClientSession() as http:
        async with http.post(it.url + "/a%20b?c=d", data=b"body", headers={"Host": "voice.example"}) as response:
            assert await response.text() == "POST 127.0.0.1 voice.example body"
        # The connection stays with who has answered: what comes next on it was looked at by nobody.
        async with http.get(it.url + "/next") as response:
            assert (await response.text()).startswith("GET 127.0.0.1")
    assert it.answered == [("/a%20b?c=d", settled), ("/next", False)]


async def test_a_body_in_pieces_and_packed_arrives_whole(tmp_path: Path) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for number in range(3):
            yield b"%d" % number * 1000

    async with two(tmp_path) as it, aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as http:
        async with http.post(it.url + "/", data=pieces()) as response:
            assert (await response.text()).endswith("0" * 1000 + "1" * 1000 + "2" * 1000)
        async with http.post(it.url + "/", data="words" * 100, compress="deflate", expect100=True) as response:
            assert (await response.text()).endswith("words" * 100)
    assert len(it.answered) == 2


async def test_a_websocket_is_opened_by_the_other(tmp_path: Path) -> None:
    async with (
        two(tmp_path) as it,
        aiohttp.ClientSession() as http,
        http.ws_connect(it.url + "/stream") as socket,
    ):
        for text in ("abc", "x" * 70_000):
            await socket.send_str(text)
            assert await socket.receive_str() == text[::-1]


async def test_who_is_not_there_leaves_the_request_as_it_was(tmp_path: Path) -> None:
    async with two(tmp_path) as it, aiohttp.ClientSession() as http:
        it.receiver.close()
        async with http.post(it.url + "/", data=b"body") as response:
            assert response.status == 503
        async with http.post(it.url + "/", data=b"again") as response:  # On the same connection.
            assert response.status == 503
    assert len(it.front) == 2


async def test_what_is_too_long_is_not_handed_over(tmp_path: Path) -> None:
    async with two(tmp_path) as it, aiohttp.ClientSession() as http:
        for size in (300_000, 200_000):
            async with http.post(it.url + "/", data=b"x" * size) as response:
                assert response.status == 503
    assert it.front == ["the request is too long"] * 2


def client(**options: Any) -> aiohttp.ClientSession:
    """What takes any certificate."""
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=False, **options))


class TestEncrypted:
    async def test_the_other_answers_and_knows_who_asks(self, tmp_path: Path) -> None:
        async with two(tmp_path, tls=True) as it, client() as http:
            for number, path in ((1, "/a%20b?c=d"), (2, "/next")):  # Each on a connection of its own.
                async with http.post(it.url + path, data=b"body", headers={"Host": "voice.example"}) as response:
                    assert await response.text() == "POST 127.0.0.1 voice.example body"
                    assert response.headers["X-Scheme"] == "https"
                assert it.answered[-1] == (path, True)
                assert len(it.relayed) == number
                await asyncio.wait_for(it.relayed[-1].ended.wait(), 5)

    async def test_a_websocket_goes_both_ways_until_either_end_closes_it(self, tmp_path: Path) -> None:
        async with two(tmp_path, tls=True) as it, client() as http:
            async with http.ws_connect(it.url + "/stream", max_msg_size=0) as socket:
                # Several times what the buffers between hold, so that they have to wait for each other.
                for text in ("abc", "x" * 3_000_000, "y"):
                    await socket.send_str(text)
                    assert await socket.receive_str() == text[::-1]
            await asyncio.wait_for(it.relayed[0].ended.wait(), 5)
            async with http.ws_connect(it.url + "/stream") as socket:
                await socket.send_str("abc")
                assert await socket.receive_str() == "cba"
                it.relayed[1].drop()
                assert (await asyncio.wait_for(socket.receive(), 5)).type is aiohttp.WSMsgType.CLOSED

    async def test_who_is_not_there_leaves_the_request_as_it_was(self, tmp_path: Path) -> None:
        async with two(tmp_path, tls=True) as it, client() as http:
            it.receiver.close()
            for body in (b"body", b"again"):
                async with http.post(it.url + "/", data=body) as response:
                    assert response.status == 503
        assert len(it.front) == 2
        assert not it.relayed
