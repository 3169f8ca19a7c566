"""A relay between the bridge and a speech server: it notes what the voice really sent, and breaks connections.

It shares nothing with the bridge: what it notes is what went over the wire.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import aiohttp
from aiohttp import web

from bridge.tasks import spawn
from tests.serving import served

RATE = 8000


@dataclass
class Spoken:
    """A text as the voice spoke it once."""

    text: str = ""
    audio: bytearray = field(default_factory=bytearray)
    words: list[tuple[str, float, float]] = field(default_factory=list)
    """Each word with the seconds at which it begins and ends."""

    def whole_words(self, size: int) -> int:
        """Return how many words have sounded to their end in the first `size` bytes."""
        return sum(end <= size / RATE for _, _, end in self.words)

    def begun_words(self, size: int) -> int:
        """Return how many words have at least begun in the first `size` bytes."""
        return sum(start < size / RATE for _, start, _ in self.words)


class SpeechRelay:
    """Listens on a free port of loopback and passes everything on to a speech server."""

    def __init__(self, behind: str, listening: str = "") -> None:
        """`behind`: the speech server's address; `listening`: that of another which listens in its place."""
        self.url = ""
        self.spoken: dict[str, Spoken] = {}
        """What the voice said, by context."""
        self.listened = 0
        """How many speech-to-text connections were opened."""
        self.listening = asyncio.Event()
        """Set once the first was."""
        self.refused = 0
        """How many were refused because of a cut."""
        self.behind = behind
        self._listening_behind = listening or behind
        self._cut_until = 0.0
        self._listening: set[asyncio.Transport] = set()

    def cut(self, seconds: float) -> None:
        """Break all speech-to-text connections, as a network does, and let no new one come about for so long."""
        self._cut_until = asyncio.get_running_loop().time() + seconds
        for transport in [*self._listening]:
            transport.abort()

    def said(self, text: str) -> list[Spoken]:
        """Return each time the voice spoke `text`."""
        return [one for one in self.spoken.values() if one.text.strip() == text.strip()]

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[SpeechRelay]:
        """Serve for the length of the block."""
        app = web.Application()
        app.router.add_get("/{path:.*}", self._relay)
        async with served(app, handler_cancellation=True, shutdown_timeout=0.5) as self.url:
            yield self

    async def _relay(self, request: web.Request) -> web.StreamResponse:
        assert isinstance(request.transport, asyncio.Transport)
        listens = request.path.startswith("/stt/")
        if listens and asyncio.get_running_loop().time() < self._cut_until:
            self.refused += 1
            request.transport.abort()
            return web.Response(status=503)
        near = web.WebSocketResponse(compress=False, autoping=True, max_msg_size=0)
        async with aiohttp.ClientSession() as session:
            behind = self._listening_behind if listens else self.behind
            far = await session.ws_connect(behind + request.path_qs, max_msg_size=0)
            await near.prepare(request)
            if listens:
                self.listened += 1
                self.listening.set()
                self._listening.add(request.transport)
            try:
                await self._both_ways(near, far)
            finally:
                self._listening.discard(request.transport)
                await far.close()
        return near

    async def _both_ways(self, near: web.WebSocketResponse, far: aiohttp.ClientWebSocketResponse) -> None:
        ways = [spawn(self._pass_on(*way), name="relay") for way in ((near, far), (far, near))]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)

    async def _pass_on(self, source: _Socket, target: _Socket) -> None:
        with contextlib.suppress(ConnectionError):
            async for message in source:
                if message.type is aiohttp.WSMsgType.TEXT:
                    self._note(json.loads(message.data))
                    await target.send_str(message.data)
                elif message.type is aiohttp.WSMsgType.BINARY:
                    await target.send_bytes(message.data)
            await target.close(code=source.close_code or 1000)

    def _note(self, message: dict[str, Any]) -> None:
        context = message.get("context_id")
        if not context:
            return
        spoken = self.spoken.setdefault(context, Spoken())
        spoken.text += message.get("transcript", "")
        if message.get("type") == "chunk":
            spoken.audio += base64.b64decode(message["data"])
        elif message.get("type") == "timestamps":
            times = message["word_timestamps"]
            spoken.words += zip(times["words"], times["start"], times["end"], strict=True)


_Socket = web.WebSocketResponse | aiohttp.ClientWebSocketResponse
