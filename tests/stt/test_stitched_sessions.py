"""One sentence over broken sockets, in real time: a service that hears words in the very bytes it is sent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import WSMsgType, web

from bridge.conversation.events import (
    RecognizerConnected,
    RecognizerFailed,
    RecognizerLost,
    TurnEnded,
    TurnStarted,
    TurnUpdated,
)
from bridge.stt.cartesia_turns import CartesiaTurns, CartesiaTurnsSettings
from tests.serving import served

TEXT = " well no no no I said two two tickets for the the late show on Friday no no not Saturday"
WORDS = TEXT.split()
WORD_BYTES = 2000
"""A quarter of a second of each word, and as much silence after it: ten seconds in all."""
SPEECH = b"".join(bytes([number + 1]) * WORD_BYTES + b"\xff" * WORD_BYTES for number in range(len(WORDS)))


class Ear:
    """One connection's hearing: a word is a run of its own byte, told a second and a half after its end."""

    def __init__(self) -> None:
        self.heard = 0
        self.silence = 0
        self.turn: list[str] | None = None
        self.runs: dict[int, int] = {}
        self.due: list[tuple[int, str]] = []

    def listen(self, piece: bytes) -> list[dict[str, Any]]:
        events: list[dict[str, Any]] = []
        for at in range(0, len(piece), 100):  # words begin at multiples of 400 bytes
            byte = piece[at]
            self.heard += 100
            if byte == 0xFF:
                self.silence += 100
                continue
            self.silence = 0
            if self.turn is None:
                self.turn = []
                events.append({"type": "turn.start"})
            self.runs[byte] = self.runs.get(byte, 0) + 100
            if self.runs[byte] == WORD_BYTES * 3 // 4:
                self.due.append((self.heard + 12000, WORDS[byte - 1]))
        while self.turn is not None and self.due and self.due[0][0] <= self.heard:
            self.turn.append(self.due.pop(0)[1])
            events.append({"type": "turn.update", "transcript": self.text})
        if self.turn is not None and self.silence >= 14400:
            events.append({"type": "turn.end", "transcript": self.text})
            self.turn = None
        return events

    @property
    def text(self) -> str:
        return "".join(f" {word}" for word in self.turn or ())


class Listening:
    """The service: each call (told apart by a header) may be shut out until some time."""

    def __init__(self) -> None:
        self.url = ""
        self.shut_until: dict[str, float] = {}
        self.sockets: dict[str, web.Request] = {}
        self.pieces: dict[str, list[list[tuple[float, int]]]] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        loop, call = asyncio.get_running_loop(), request.headers["X-Call"]
        if loop.time() < self.shut_until.get(call, 0):
            return web.Response(status=503)
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        self.sockets[call] = request
        pieces: list[tuple[float, int]] = []
        self.pieces.setdefault(call, []).append(pieces)
        ear = Ear()
        try:
            await socket.send_str('{"type":"connected","request_id":"r"}')
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    break
                pieces.append((loop.time(), len(message.data)))
                for event in ear.listen(message.data):
                    await socket.send_str(json.dumps(event))
            await socket.close()
        except ConnectionError:
            pass
        return socket

    def drop(self, call: str, seconds: float) -> None:
        self.shut_until[call] = asyncio.get_running_loop().time() + seconds
        transport = self.sockets[call].transport
        assert transport is not None
        transport.abort()


@pytest.fixture
async def listening() -> AsyncIterator[Listening]:
    scripted = Listening()
    app = web.Application()
    app.router.add_get("/stt/turns/websocket", scripted.handle)
    async with served(app) as scripted.url:
        yield scripted


async def one_call(service: Listening, drops: list[tuple[float, float]], name: str) -> list[Any]:
    """A caller who speaks for ten seconds; the socket is dropped at some times for so long."""
    events: list[Any] = []
    up, ended = asyncio.Event(), asyncio.Event()

    def emit(event: object) -> None:
        events.append(event)
        up.set()
        if isinstance(event, TurnEnded):
            ended.set()

    factory = CartesiaTurns(CartesiaTurnsSettings(service.url, headers={"X-Call": name}))
    recognizer = factory.open(emit, name=name)
    loop = asyncio.get_running_loop()
    await up.wait()
    began = loop.time()
    pending = list(drops)
    sent = 0
    while not ended.is_set():
        now = loop.time() - began
        if pending and now >= pending[0][0]:
            service.drop(name, pending.pop(0)[1])
        due = min(int(now * 8000) // 160 * 160, 25 * 8000)
        audio = (SPEECH + b"\xff" * 16 * 8000)[sent:due]
        sent = due
        for at in range(0, len(audio), 160):
            recognizer.send(audio[at : at + 160])
        await asyncio.sleep(0.05)
    await recognizer.abort()
    return events


async def test_ten_seconds_of_speech_dropped_at_every_half_second(listening: Listening) -> None:
    drops: dict[str, list[tuple[float, float]]] = {
        f"{at / 2:g}s for {down}s": [(at / 2, down)] for at in range(1, 21) for down in (0, 1, 5)
    }
    drops["again and again"] = [(1.2, 0), (2.1, 0), (2.6, 0.3), (4.4, 0), (5.9, 0), (8.8, 1)]
    results = await asyncio.gather(*(one_call(listening, when, name) for name, when in drops.items()))
    for (name, when), events in zip(drops.items(), results, strict=True):
        assert [event for event in events if isinstance(event, TurnEnded)] == [TurnEnded(TEXT)], name
        assert events.count(TurnStarted()) == 1, name
        assert sum(isinstance(event, RecognizerLost) for event in events) == len(when), name
        assert sum(isinstance(event, RecognizerConnected) for event in events) == len(when) + 1, name
        if len(when) == 1:
            assert sum(isinstance(event, RecognizerFailed) for event in events) == (when[0][1] > 0), name
        texts = [event.transcript for event in events if isinstance(event, TurnUpdated)]
        assert all(TEXT.startswith(text) for text in texts), name
        assert texts == sorted(set(texts), key=len), name
        assert_pace(listening.pieces[name])


def assert_pace(connections: list[list[tuple[float, int]]]) -> None:
    """Pieces of 100 to 200 ms, and no more than one and a half seconds of audio per second."""
    for pieces in connections:
        assert all(800 <= size < 1600 for _, size in pieces)
        for index, (start, _) in enumerate(pieces):
            inside = sum(size for at, size in pieces[index:] if at < start + 2)
            assert inside <= (2 * 1.5 + 0.45) * 8000  # a piece more than the pace, at most
