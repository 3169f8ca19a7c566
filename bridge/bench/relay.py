"""The bare relay: what a call costs without any logic, to compare a bridge with. `python -m bridge.bench.relay`.

aiohttp's server for the media stream, `websockets`' client for the speech service, the standard library's JSON, and
asyncio's own event loop. Every 20 ms frame is forwarded at once. `turn.start` clears the phone and cancels the
speech, `turn.end` asks the agent, whose answer is spoken, and the speech's chunks go on as they come. There is no
signature, token, mark, journal, recording, metric, eager answer, time limit or reconnection, and no compression.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import itertools
import json
import os
from typing import Any, Final

import aiohttp
from aiohttp import WSMsgType, web
from websockets.asyncio.client import ClientConnection, connect

from bridge.bench.names import AGENT_URL, PORT, READY, SPEECH_URL
from bridge.stt.cartesia_wire import TURNS_PATH
from bridge.tasks import spawn
from bridge.tts.cartesia_wire import TTS_PATH

PATH: Final = "/media"
_QUERY: Final = "?model=ink-2&encoding=pcm_mulaw&sample_rate=8000"
_VOICE: Final = {"mode": "id", "id": "bench"}
_FORMAT: Final = {"container": "raw", "encoding": "pcm_mulaw", "sample_rate": 8000}


class _Call:
    """One call, relayed."""

    def __init__(self, phone: web.WebSocketResponse, agent: str, session: aiohttp.ClientSession) -> None:
        self._phone = phone
        self._agent = agent
        self._session = session
        self._names = map(str, itertools.count(1))
        self._speaking: str | None = None
        self._stream_sid = ""
        self._call_sid = ""
        self._turns = 0

    def started(self, message: dict[str, Any]) -> None:
        self._stream_sid, self._call_sid = message["streamSid"], message["start"]["callSid"]

    async def listen(self, hearing: ClientConnection, voice: ClientConnection) -> None:
        """Act on what the speech service hears."""
        async for text in hearing:
            event = json.loads(text)
            if event["type"] == "turn.start":
                await self._send({"event": "clear"})
                if self._speaking is not None:
                    await voice.send(json.dumps({"context_id": self._speaking, "cancel": True}))
                    self._speaking = None
            elif event["type"] == "turn.end":
                spawn(self._answer(voice, event["transcript"]), name="relay-answer")

    async def speak(self, voice: ClientConnection) -> None:
        """Pass speech on."""
        async for text in voice:
            event = json.loads(text)
            if event["type"] == "chunk" and event["context_id"] == self._speaking:
                await self._send({"event": "media", "media": {"payload": event["data"]}})

    async def _answer(self, voice: ClientConnection, transcript: str) -> None:
        self._turns += 1
        turn = {"number": self._turns, "transcript": transcript}
        question = {"type": "turn.ended", "call": {"sid": self._call_sid}, "turn": turn}
        async with self._session.post(self._agent, json=question) as response:
            said = (await response.json())["say"]
        self._speaking = next(self._names)
        request = {"context_id": self._speaking, "model_id": "sonic", "transcript": said, "continue": False}
        await voice.send(json.dumps({**request, "voice": _VOICE, "output_format": _FORMAT}))

    async def _send(self, message: dict[str, Any]) -> None:
        with contextlib.suppress(ConnectionError):
            await self._phone.send_str(json.dumps({**message, "streamSid": self._stream_sid}))


async def _media(request: web.Request) -> web.WebSocketResponse:
    phone = web.WebSocketResponse(compress=False)
    await phone.prepare(request)
    speech = os.environ[SPEECH_URL].replace("http", "ws", 1)
    call = _Call(phone, os.environ[AGENT_URL], request.app[_SESSION])
    async with (
        connect(speech + TURNS_PATH + _QUERY, compression=None, max_size=None) as hearing,
        connect(speech + TTS_PATH, compression=None, max_size=None) as voice,
    ):
        readers = [
            spawn(call.listen(hearing, voice), name="relay-listen"),
            spawn(call.speak(voice), name="relay-speak"),
        ]
        try:
            async for frame in phone:
                if frame.type is not WSMsgType.TEXT:
                    continue
                message = json.loads(frame.data)
                if message["event"] == "media":
                    await hearing.send(base64.b64decode(message["media"]["payload"]))
                elif message["event"] == "start":
                    call.started(message)
                elif message["event"] == "stop":
                    break
        finally:
            for reader in readers:
                reader.cancel()
    return phone


_SESSION: Final = web.AppKey("session", aiohttp.ClientSession)


async def _serve() -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as session:
        app = web.Application()
        app[_SESSION] = session
        app.router.add_get(PATH, _media)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", int(os.environ.get(PORT, "0")), backlog=1024).start()
        print(f"{READY} ws://127.0.0.1:{runner.addresses[0][1]}{PATH}", flush=True)  # noqa: T201  (see `systems`)
        try:
            await asyncio.Event().wait()
        finally:
            await runner.cleanup()


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())
