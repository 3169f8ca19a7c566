"""A scripted speech service over real sockets, and an ear for what a voice emits."""

from __future__ import annotations

import asyncio
import base64
import json
import socket
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from bridge.conversation.events import SpeechArrived, SpeechEvent
from bridge.tts.cartesia import CartesiaSpeech

KEY = "sk_car_test"
Build = Callable[..., CartesiaSpeech]


class Line:
    """One connection, as the service sees it."""

    def __init__(self, request: web.Request, ws: web.WebSocketResponse) -> None:
        self.request = request
        self.ws = ws
        self.asked: list[dict[str, Any]] = []
        self.ended = asyncio.Event()
        self._news = asyncio.Event()

    async def requests(self, count: int) -> list[dict[str, Any]]:
        """The first `count` messages of the client, as soon as they are there."""
        while len(self.asked) < count:
            self._news.clear()
            await self._news.wait()
        return self.asked[:count]

    async def say(self, *messages: dict[str, Any] | str) -> None:
        for message in messages:
            await self.ws.send_str(message if isinstance(message, str) else json.dumps(message))

    async def speak(self, context_id: str, *pieces: bytes, done: bool = False) -> None:
        for piece in pieces:
            data = base64.b64encode(piece).decode()
            await self.say(
                {"type": "chunk", "context_id": context_id, "data": data, "done": False, "status_code": 206}
            )
        if done:
            await self.say({"type": "done", "context_id": context_id, "done": True, "status_code": 206})

    def drop(self) -> None:
        """As a network does."""
        if self.request.transport is not None:
            self.request.transport.abort()

    async def listen(self) -> None:
        async for message in self.ws:
            assert message.type is WSMsgType.TEXT
            self.asked.append(json.loads(message.data))
            self._news.set()


class Service:
    def __init__(self) -> None:
        self.url = ""
        self.requests: list[web.Request] = []
        self.lines: list[Line] = []
        self.refusals: list[web.Response] = []
        self._news = asyncio.Condition()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        if self.refusals:
            return self.refusals.pop(0)
        ws = web.WebSocketResponse()
        await ws.prepare(request)
        line = Line(request, ws)
        async with self._news:
            self.lines.append(line)
            self._news.notify_all()
        try:
            await line.listen()
        finally:
            line.ended.set()
        return ws

    async def line(self, number: int = 0) -> Line:
        async with self._news:
            await self._news.wait_for(lambda: len(self.lines) > number)
        return self.lines[number]


class Heard:
    """What a voice emitted."""

    def __init__(self) -> None:
        self.events: list[SpeechEvent] = []
        self._news = asyncio.Event()

    def __call__(self, event: SpeechEvent) -> None:
        self.events.append(event)
        self._news.set()

    async def until(self, count: int) -> list[SpeechEvent]:
        while len(self.events) < count:
            self._news.clear()
            await self._news.wait()
        return self.events[:count]

    def audio(self, utterance: int) -> bytes:
        return b"".join(
            event.audio
            for event in self.events
            if isinstance(event, SpeechArrived) and event.utterance == utterance
        )


def nobody_there() -> str:
    """An address where nothing listens."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return f"http://127.0.0.1:{free.getsockname()[1]}"
