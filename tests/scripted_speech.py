"""A speech service that follows a script: what the tests put at the other end of the bridge's speech sockets.

It is written on wsproto and bare asyncio streams, and from the protocol alone, so that it shares nothing with the
bridge or the local speech server: what arrives here is what went over the wire.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from wsproto import ConnectionType, WSConnection
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Event,
    Ping,
    RejectConnection,
    RejectData,
    Request,
    TextMessage,
)
from wsproto.utilities import LocalProtocolError

WORD_S = 0.25
"""How long each word of the scripted voice sounds."""


@dataclass
class Peer:
    """One socket of the bridge."""

    path: str
    query: dict[str, list[str]]
    headers: dict[str, str]
    writer: asyncio.StreamWriter
    wire: WSConnection
    audio: bytearray = field(default_factory=bytearray)
    """Every byte that came in binary frames."""
    texts: list[Any] = field(default_factory=list)
    """Every text frame, as JSON."""
    begun: str = ""
    """What has come of a text frame that is not whole yet."""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def send(self, message: dict[str, Any]) -> None:
        """Send a JSON text frame."""
        self.writer.write(self.wire.send(TextMessage(json.dumps(message))))
        await self.writer.drain()

    async def turn(self, kind: str, transcript: str | None = None) -> None:
        """Send a turn event."""
        text = {} if transcript is None else {"transcript": transcript}
        await self.send({"type": f"turn.{kind}", "request_id": "scripted", **text})

    async def say_turn(self, text: str) -> None:
        """Send a whole turn."""
        await self.turn("start")
        await self.turn("update", text)
        await self.turn("end", text)

    async def has_audio(self, size: int) -> bytes:
        """Wait until at least `size` bytes of audio have come."""
        async with self.changed, asyncio.timeout(15):
            await self.changed.wait_for(lambda: len(self.audio) >= size)
        return bytes(self.audio)

    def drop(self) -> None:
        """Break the connection."""
        self.writer.transport.abort()


class ScriptedSpeech:
    """Listens on a free port of loopback; speech-to-text sockets are scripted by the test, speech is a tone."""

    def __init__(self, *, stt_status: int = 101, tts_status: int = 101) -> None:
        self.stt: list[Peer] = []
        self.tts: list[Peer] = []
        self.spoken: dict[str, str] = {}
        """What was to be spoken, by context."""
        self.whole: list[str] = []
        """Each utterance that was to be spoken, as it was asked for in one piece or in many."""
        self.cancelled: list[str] = []
        self.stt_status, self._tts_status = stt_status, tts_status
        self._open_texts: dict[str, str] = {}
        self._arrived = asyncio.Condition()
        self._tasks: set[asyncio.Task[None]] = set()
        self.url = ""

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[Self]:
        """Serve for the length of the block."""
        server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield self
        finally:
            server.close()
            for task in [*self._tasks]:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def listener(self, number: int = 0) -> Peer:
        """Wait for the `number`th speech-to-text socket."""
        async with self._arrived, asyncio.timeout(30):
            await self._arrived.wait_for(lambda: len(self.stt) > number)
        return self.stt[number]

    def sound(self, number: int, word: str) -> bytes:
        """Return how the `number`th word of an utterance sounds."""
        return sound_of(number)

    # --- inside --------------------------------------------------------------------------------------------

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        wire = WSConnection(ConnectionType.SERVER)
        peer: Peer | None = None
        try:
            while data := await reader.read(65536):
                wire.receive_data(data)
                for event in wire.events():
                    if isinstance(event, Request):
                        peer = await self._open(event, writer, wire)
                    elif peer is not None:
                        await self._take(peer, event)
        except (ConnectionError, asyncio.CancelledError):
            pass
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _open(self, request: Request, writer: asyncio.StreamWriter, wire: WSConnection) -> Peer | None:
        address = urlsplit(request.target)
        listens = address.path.startswith("/stt/")
        status = self.stt_status if listens else self._tts_status
        if status != 101:
            body = json.dumps({"title": "refused", "message": "by the script", "error_code": None}).encode()
            reject = RejectConnection(
                status_code=status, has_body=True, headers=[(b"content-length", b"%d" % len(body))]
            )
            writer.write(wire.send(reject) + wire.send(RejectData(body)))
            await writer.drain()
            return None
        headers = {name.decode().lower(): value.decode() for name, value in request.extra_headers}
        peer = Peer(address.path, parse_qs(address.query), headers, writer, wire)
        writer.write(wire.send(AcceptConnection()))
        await writer.drain()
        if listens:
            await peer.send({"type": "connected", "request_id": "scripted"})
        async with self._arrived:
            (self.stt if listens else self.tts).append(peer)
            self._arrived.notify_all()
        return peer

    async def _take(self, peer: Peer, event: Event) -> None:
        match event:
            case BytesMessage(data=data):
                peer.audio += data
            case TextMessage(data=text, message_finished=False):
                peer.begun += text  # The network has brought the rest of it a moment later.
            case TextMessage(data=text):
                message, peer.begun = json.loads(peer.begun + text), ""
                peer.texts.append(message)
                if message.get("type") == "close":
                    with contextlib.suppress(LocalProtocolError):  # It was us who closed.
                        peer.writer.write(peer.wire.send(CloseConnection(1000)))
                elif "context_id" in message:
                    await self._speak(peer, message)
            case Ping():
                peer.writer.write(peer.wire.send(event.response()))
            case CloseConnection():
                with contextlib.suppress(LocalProtocolError):  # It was us who closed.
                    peer.writer.write(peer.wire.send(event.response()))
                peer.writer.close()
            case _:
                pass
        async with peer.changed:
            peer.changed.notify_all()

    async def _speak(self, peer: Peer, message: dict[str, Any]) -> None:
        context = message["context_id"]
        if message.get("cancel"):
            self.cancelled.append(context)
            return
        # Another bridge that goes on with a call may use the names of the one before once more.
        so_far = self._open_texts.get(context, "")
        before = len(so_far.split())
        self._open_texts[context] = so_far + message["transcript"]
        self.spoken[context] = self.spoken.get(context, "") + message["transcript"]
        base = {"context_id": context, "status_code": 206, "done": False}
        for number, word in enumerate(message["transcript"].split(), before):
            times = {"words": [word], "start": [number * WORD_S], "end": [(number + 1) * WORD_S]}
            await peer.send({**base, "type": "timestamps", "word_timestamps": times})
            data = base64.b64encode(self.sound(number, word)).decode()
            await peer.send({**base, "type": "chunk", "data": data, "step_time": 1.0})
        if not message.get("continue"):
            self.whole.append(self._open_texts.pop(context))
            await peer.send({**base, "type": "done", "done": True})


def sound_of(number: int) -> bytes:
    """Return the sound of an utterance's word, told apart by its byte and loud enough to be heard as speech."""
    low, high = number % 16, 128 + number % 16
    return bytes([low] * 8 + [high] * 8) * round(WORD_S * 8000 / 16)
