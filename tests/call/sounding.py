"""A call that plays sounds, and the servers that it gets them from."""

from __future__ import annotations

import array
import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

from bridge.audio import codec, wav
from bridge.call.sounds import SoundEvent, SoundPlayer, Sounds
from bridge.conversation.events import SpeechArrived, SpeechFailed, SpeechFinished

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def tone(seconds: float = 0.2, rate: int = 8000, hz: float = 440) -> bytes:
    """Linear samples."""
    count = int(seconds * rate)
    return array.array("h", [round(9000 * math.sin(2 * math.pi * hz * n / rate)) for n in range(count)]).tobytes()


MULAW = codec.linear16_to_mulaw(tone(1.3))
OTHER = codec.linear16_to_mulaw(tone(0.3, hz=880))
WAV = wav.write_mulaw(MULAW)


class Call:
    """A player, and what came of it."""

    def __init__(self, of: Sounds) -> None:
        self.events: list[SoundEvent] = []
        self.ended = asyncio.Event()
        self.player: SoundPlayer = of.open(self._take, name="call-1")

    def _take(self, event: SoundEvent) -> None:
        self.events.append(event)
        if not isinstance(event, SpeechArrived):
            self.ended.set()

    async def play(self, source: str, loop: int = 1) -> list[SoundEvent]:
        self.events.clear()
        self.ended.clear()
        self.player.play(1, source, loop)
        assert self.events == []
        await self.ended.wait()
        return self.events

    async def heard(self, source: str, loop: int = 1) -> bytes:
        events = await self.play(source, loop)
        assert events[-1] == SpeechFinished(1)
        return audio_of(events)

    async def failure(self, source: str) -> tuple[str, str]:
        (event,) = await self.play(source)
        assert isinstance(event, SpeechFailed)
        assert event.final
        return event.code, event.message


def audio_of(events: list[SoundEvent]) -> bytes:
    return b"".join(event.audio for event in events if isinstance(event, SpeechArrived))


@asynccontextmanager
async def calling(folder: Path | None = None) -> AsyncIterator[Call]:
    """A call that may reach the test's own servers."""
    of = Sounds(folder, allow_private=True, total_seconds=5)
    call = Call(of)
    yield call
    await call.player.close()
    await of.close()


class Server:
    """Serves `/sound.wav` as `answer` says, and counts."""

    def __init__(self) -> None:
        self.requests: list[web.Request] = []
        self.url = ""
        self.answer: Handler = self.wav
        self.file = WAV
        self.headers: dict[str, str] = {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        self.requests.append(request)
        return await self.answer(request)

    async def wav(self, request: web.Request) -> web.StreamResponse:
        if request.headers.get("If-None-Match", "-") == self.headers.get("ETag"):
            return web.Response(status=304)
        if request.headers.get("If-Modified-Since", "-") == self.headers.get("Last-Modified"):
            return web.Response(status=304)
        return web.Response(body=self.file, content_type="audio/wav", headers=self.headers)


@asynccontextmanager
async def serving() -> AsyncIterator[Server]:
    server = Server()
    app = web.Application()
    app.router.add_get("/{path:.*}", server.handle)
    async with TestServer(app) as running:
        server.url = str(running.make_url("/sound.wav"))
        yield server


@asynccontextmanager
async def raw_server(answer: bytes) -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """Answers with these bytes and then nothing. Gives its URL, and events: was asked, was left."""
    asked, left = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(answer)
        asked.set()
        await reader.read()
        left.set()
        writer.close()

    listening = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with listening:
        yield f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/sound.wav", asked, left
