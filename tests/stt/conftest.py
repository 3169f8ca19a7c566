"""A scripted `/stt/turns/websocket`, written with another library than the client's, over real sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from bridge.conversation.events import RecognizerEvent
from tests.serving import served


class Line:
    """One connection, as the service sees it."""

    def __init__(self, request: web.Request, socket: web.WebSocketResponse) -> None:
        self.request = request
        self.socket = socket
        self.audio = b""
        self.pieces: list[tuple[float, bytes]] = []
        self.texts: list[str] = []
        self.ended = asyncio.Event()
        self._news = asyncio.Event()

    async def say(self, *messages: dict[str, Any] | str) -> None:
        for message in messages:
            await self.socket.send_str(message if isinstance(message, str) else json.dumps(message))

    def drop(self) -> None:
        """As a network does."""
        assert self.request.transport is not None
        self.request.transport.abort()

    async def until(self, condition: Callable[[Line], bool]) -> None:
        while not condition(self):
            self._news.clear()
            await self._news.wait()

    async def listen(self) -> None:
        """Record what comes until `close` or the end of the socket."""
        async for message in self.socket:
            if message.type is WSMsgType.BINARY:
                self.audio += message.data
                self.pieces.append((asyncio.get_running_loop().time(), message.data))
            elif message.type is WSMsgType.TEXT:
                self.texts.append(message.data)
            self._news.set()
            if self.texts[-1:] == ['{"type":"close"}']:
                return


class Service:
    """What it does on a connection can be set by the fields, before or during the talk."""

    def __init__(self) -> None:
        self.url = ""
        self.requests: list[web.Request] = []
        self.lines: list[Line] = []
        self.refusals: list[web.Response] = []
        """Answers to the next handshakes, before any is accepted."""
        self.greet: list[dict[str, Any]] = [{"type": "connected", "request_id": "r1"}]
        self.gate = asyncio.Event()
        """Closed: no greeting is sent yet."""
        self.gate.set()
        self.last_words: list[dict[str, Any]] = []
        """Said after `close`."""
        self.hangs_up = True
        """Whether it closes the socket after `close`."""
        self._news = asyncio.Condition()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.refusals:
            return self.refusals.pop(0)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        line = Line(request, socket)
        async with self._news:
            self.lines.append(line)
            self._news.notify_all()
        try:
            await self.gate.wait()
            await line.say(*self.greet)
            await line.listen()
            await line.say(*self.last_words)
            if self.hangs_up:
                await socket.close()
            else:
                async for _ in socket:
                    pass
        except ConnectionError:
            pass
        finally:
            line.ended.set()
        return socket

    async def line(self, number: int = 0) -> Line:
        """The first, second … connection, as soon as it is there."""
        async with self._news:
            await self._news.wait_for(lambda: len(self.lines) > number)
        return self.lines[number]


class Heard:
    """What a recogniser emitted."""

    def __init__(self) -> None:
        self.events: list[RecognizerEvent] = []
        self._news = asyncio.Event()

    def __call__(self, event: RecognizerEvent) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, count: int) -> list[RecognizerEvent]:
        """The first `count` events, as soon as they are there."""
        while len(self.events) < count:
            self._news.clear()
            await self._news.wait()
        return self.events[:count]


@pytest.fixture
async def service() -> AsyncIterator[Service]:
    scripted = Service()
    app = web.Application()
    app.router.add_get("/prefix/stt/turns/websocket", scripted.handle)
    async with served(app) as url:
        scripted.url = f"{url}/prefix"
        yield scripted
        for line in scripted.lines:
            if line.request.transport is not None:
                line.drop()


@pytest.fixture
async def heard() -> Heard:
    return Heard()
