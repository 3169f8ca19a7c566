"""A scripted speech service that breaks on command, each half of it in one of the ways of services."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any, Literal, TypeAlias

from wsproto import WSConnection
from wsproto.events import BytesMessage, Event, Request, TextMessage
from wsproto.utilities import LocalProtocolError

from bridge.tasks import spawn
from tests.faults.voice import sound_of_word
from tests.scripted_speech import WORD_S, Peer, ScriptedSpeech

Half: TypeAlias = Literal["stt", "tts"]

_FIRST_WORD_S = 0.08
"""How long the voice takes to its first word."""
_EACH_WORD_S = WORD_S * 0.6
"""Then it is a little faster than a phone plays, so that a fault can come in the middle of what it says."""
_RUBBISH: tuple[str | bytes, ...] = (
    "not json",
    b"\x00\xff\x10",
    "[1, 2",
    '{"type": "turn.update", "transcript": 5}',
    '{"type": "chunk", "data": "*** no base64 ***"}',
    '{"type": 7}',
)


class FaultySpeech(ScriptedSpeech):
    """Works until `fail` is called; its voice can be read back from what a phone has played."""

    def __init__(self) -> None:
        super().__init__()
        self.ways: dict[Half, str] = {"stt": "", "tts": ""}
        """How each half fails now; empty: it works."""
        self._voices: dict[str, asyncio.Task[None]] = {}
        self._texts: dict[str, list[str]] = {}
        self._whole: set[str] = set()

    @property
    def ear(self) -> Peer | None:
        """The speech-to-text socket that works now; None: there is none, or the half is broken."""
        peer = self.stt[-1] if self.stt else None
        return None if peer is None or self.ways["stt"] or peer.writer.is_closing() else peer

    async def fail(self, half: Half, way: str) -> None:
        """Begin to fail. `drops` is over with the connections that were there; the others last."""
        peers = self.stt if half == "stt" else self.tts
        self.ways[half] = "" if way == "drops" else way
        if way in {"drops", "refuses", "429"}:
            for peer in peers:
                peer.drop()
        elif way == "rubbish":
            for peer in peers:
                await send_rubbish(peer)

    def sound(self, number: int, word: str) -> bytes:
        return sound_of_word(word)

    async def _open(self, request: Request, writer: asyncio.StreamWriter, wire: WSConnection) -> Peer | None:
        half: Half = "stt" if request.target.startswith("/stt/") else "tts"
        match self.ways[half]:
            case "refuses":
                writer.transport.abort()
                return None
            case "stalls":
                return None  # It takes the connection, and never answers.
        self.stt_status = 429 if self.ways["stt"] == "429" else 101
        self._tts_status = 429 if self.ways["tts"] == "429" else 101
        peer = await super()._open(request, writer, wire)
        if peer is not None and self.ways[half] == "rubbish":
            await send_rubbish(peer)
        return peer

    async def _take(self, peer: Peer, event: Event) -> None:
        half: Half = "stt" if peer.path.startswith("/stt/") else "tts"
        if self.ways[half] == "stalls":
            return
        await super()._take(peer, event)

    async def _speak(self, peer: Peer, message: dict[str, Any]) -> None:
        context = message["context_id"]
        if message.get("cancel"):
            self.cancelled.append(context)
            if (voice := self._voices.get(context)) is not None:
                voice.cancel()
            return
        if self.ways["tts"] == "rubbish":
            await send_rubbish(peer, context)
            return
        self.spoken[context] = self.spoken.get(context, "") + message["transcript"]
        self._texts.setdefault(context, []).extend(message["transcript"].split())
        if not message.get("continue"):
            self._whole.add(context)
        if (voice := self._voices.get(context)) is None or voice.done():
            self._voices[context] = voice = spawn(self._say(peer, context), name="scripted voice")
            self._tasks.add(voice)
            voice.add_done_callback(self._tasks.discard)

    async def _say(self, peer: Peer, context: str) -> None:
        base = {"context_id": context, "status_code": 206, "done": False}
        texts, number = self._texts[context], 0
        await asyncio.sleep(_FIRST_WORD_S)
        while number < len(texts):
            if peer.writer.is_closing() or self.ways["tts"] == "stalls":
                return
            if self.ways["tts"] == "rubbish":
                await send_rubbish(peer, context)
                return
            word = texts[number]
            times = {"words": [word], "start": [number * WORD_S], "end": [(number + 1) * WORD_S]}
            data = base64.b64encode(self.sound(number, word)).decode()
            try:
                await peer.send({**base, "type": "timestamps", "word_timestamps": times})
                await peer.send({**base, "type": "chunk", "data": data, "step_time": 1.0})
            except ConnectionError:
                return
            number += 1
            if not context.startswith("prompts"):
                await asyncio.sleep(_EACH_WORD_S)
        texts.clear()
        if context in self._whole and not peer.writer.is_closing():
            await peer.send({**base, "type": "done", "done": True})


async def send_rubbish(peer: Peer, context: str = "") -> None:
    """Send what no service sends, some of it about the context."""
    odd = [{"type": "chunk", "context_id": context, "data": "***"}, {"type": "hum", "context_id": context}]
    try:
        for one in (*_RUBBISH, *(json.dumps(message) for message in odd if context)):
            message = TextMessage(one) if isinstance(one, str) else BytesMessage(one)
            peer.writer.write(peer.wire.send(message))
        await peer.writer.drain()
    except (ConnectionError, LocalProtocolError):
        pass  # It is closed already.
