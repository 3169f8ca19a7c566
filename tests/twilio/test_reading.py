"""Reading a media stream over a real socket: what the call raises, and what the carrier gets wrong."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from typing import Any

import pytest
from aiohttp import WSMsgType, web
from aiohttp.test_utils import TestClient, TestServer

from bridge.metrics import Metrics
from bridge.twilio.media_stream import FromCarrier, Media
from bridge.twilio.read_pacing import ReadPacer
from bridge.twilio.reading import read_stream
from bridge.twilio.stream_socket import StreamSocket


def media(at_ms: int) -> str:
    payload = base64.b64encode(b"\x7f" * 160).decode()
    return json.dumps(
        {"event": "media", "media": {"track": "inbound", "timestamp": str(at_ms), "payload": payload}}
    )


STOP = json.dumps({"event": "stop", "stop": {"callSid": "CA1"}})


class _Server(TestServer):
    """As the bridge's own: who serves a connection is not cancelled when it breaks."""

    async def _make_runner(self, **options: Any) -> web.BaseRunner:
        return await super()._make_runner(**options | {"handler_cancellation": False})


class Read:
    """A server that reads one stream, and what became of it."""

    def __init__(self, *, short_way: bool, breaks_at_ms: int | None = None) -> None:
        self.short_way, self.breaks_at_ms = short_way, breaks_at_ms
        self.metrics = Metrics()
        self.heard: list[int | None] = []
        self.ended: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        app = web.Application()
        app.router.add_get("/", self._serve)
        self.server = _Server(app)

    def take(self, event: FromCarrier) -> None:
        assert isinstance(event, Media)
        self.heard.append(event.timestamp_ms)
        if event.timestamp_ms == self.breaks_at_ms:
            raise LookupError("a fault of ours")

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        socket = StreamSocket(compress=False)
        await socket.prepare(request)
        assert socket.fast_path is not None
        if not self.short_way:
            socket.fast_path = None
        try:
            stopped = await read_stream(socket, "CA1", self.metrics, self.take, before=0, pacer=ReadPacer(0))
        except Exception as error:
            self.ended.set_exception(error)
            raise
        self.ended.set_result(stopped)
        return socket


@pytest.fixture(params=[True, False], ids=["short way", "long way"])
def short_way(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


async def test_what_the_call_raises_ends_the_stream_and_is_raised(short_way: bool) -> None:
    read = Read(short_way=short_way, breaks_at_ms=20)
    async with TestClient(read.server) as client, client.ws_connect("/") as socket:
        for at_ms in (0, 20, 40):
            with contextlib.suppress(ConnectionError):  # The last may come too late.
                await socket.send_str(media(at_ms))
            await asyncio.sleep(0.05)
        with pytest.raises(LookupError, match="a fault of ours"):
            await asyncio.wait_for(read.ended, 5)
        async with asyncio.timeout(5):
            assert (await socket.receive()).type in {WSMsgType.CLOSE, WSMsgType.CLOSED, WSMsgType.ERROR}
    assert read.heard == [0, 20]


async def test_rubbish_is_counted_and_the_stream_goes_on(short_way: bool) -> None:
    read = Read(short_way=short_way)
    async with TestClient(read.server) as client, client.ws_connect("/") as socket:
        for text in (media(0), "rubbish", "[]", media(20), STOP):
            await socket.send_str(text)
        assert await asyncio.wait_for(read.ended, 5)
    assert read.heard[0] == 0
    assert read.metrics.registry.get_sample_value("phone_bridge_malformed_messages_total", {"peer": "carrier"}) == 2
