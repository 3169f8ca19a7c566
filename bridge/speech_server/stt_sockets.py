"""The two realtime speech-to-text endpoints: `/stt/turns/websocket` and `/stt/websocket`."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Final

import structlog
from aiohttp import WSCloseCode, WSMessage, WSMsgType, web

from bridge.errors import ProtocolError
from bridge.speech_server import manual, turns
from bridge.speech_server.access import Access, Slots
from bridge.speech_server.answers import REQUEST_ID, ApiError, bad_request
from bridge.speech_server.detectors import Detectors
from bridge.speech_server.engine import SpeechDetector
from bridge.speech_server.listening import Listener, ListeningLogic, StreamAudio
from bridge.speech_server.outbox import Outbox
from bridge.speech_server.sockets import IdleWatch, OpenSockets
from bridge.speech_server.word_times import share_out
from bridge.speech_server.worker import InferencePool
from bridge.stt import cartesia_wire as wire

_log = structlog.get_logger()

_MAX_MESSAGE: Final = 1 << 20
"""Bytes: two minutes of telephone audio in one message."""
_MOST_BEHIND_S: Final = 1.0
"""A recogniser that keeps somebody waiting for so long takes no more streams until it has caught up."""


class SttSockets:
    """The handlers of both endpoints."""

    def __init__(
        self,
        pool: InferencePool,
        access: Access,
        sockets: OpenSockets,
        detectors: Detectors,
        *,
        max_streams: int,
        idle_s: float,
    ) -> None:
        self._pool = pool
        self._access = access
        self._sockets = sockets
        self._detectors = detectors
        self._slots = Slots(max_streams, "speech-to-text streams")
        self._idle_s = idle_s

    def add_to(self, app: web.Application) -> None:
        """Put the handlers at their addresses."""
        app.router.add_get(wire.TURNS_PATH, self.turns)
        app.router.add_get(wire.MANUAL_PATH, self.manual)

    async def turns(self, request: web.Request) -> web.StreamResponse:
        """Protocol: "/stt/turns/websocket"."""
        self._access.check(request)
        asked = wire.TurnsParameters.parse(request.query_string)
        audio = StreamAudio(asked.encoding, asked.sample_rate)
        return await self._limited(request, audio, _TurnsTalk(turns.Turns(asked.thresholds)), "en")

    async def manual(self, request: web.Request) -> web.StreamResponse:
        """Protocol: "/stt/websocket"."""
        self._access.check(request)
        asked = wire.ManualParameters.parse(request.query_string)
        audio = StreamAudio(asked.encoding, asked.sample_rate)
        language = self.language(asked.language)
        silence = asked.max_silence_duration_secs
        logic = manual.ManualFinals(silence_ms=manual.DEFAULT_SILENCE_MS if silence is None else silence * 1000)
        return await self._limited(request, audio, _ManualTalk(logic, language), language)

    def language(self, asked: str | None) -> str:
        """The language to recognise. Raises `ApiError` for one that the recogniser does not know."""
        language = (asked or "en").lower()
        known = self._pool.ready.languages
        if known is not None and language not in known:
            raise bad_request(
                f"language is {language[:40]!r}: the recogniser {self._pool.ready.engine} knows {', '.join(known)}"
            )
        return language

    async def _limited(
        self, request: web.Request, audio: StreamAudio, talk: _Talk, language: str
    ) -> web.StreamResponse:
        if (behind := self._pool.behind_s) > _MOST_BEHIND_S:
            raise ApiError(429, f"The recogniser is behind by {behind:.1f} s.", code="concurrency_limited")
        self._slots.take()
        try:
            async with self._detectors.lent(audio.rate) as detector:
                return await self._run(request, audio, detector, talk, language)
        finally:
            self._slots.free()

    async def _run(
        self, request: web.Request, audio: StreamAudio, detector: SpeechDetector, talk: _Talk, language: str
    ) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=_MAX_MESSAGE, compress=False)
        await socket.prepare(request)
        outbox = Outbox(socket, request.transport, name="stt-outbox")
        talk.open(request[REQUEST_ID], outbox)
        listener = Listener(talk.logic, audio, detector, self._pool, talk.report, language=language)
        idle = IdleWatch(socket, self._idle_s, WSCloseCode.GOING_AWAY, b"no audio")
        try:
            with self._sockets.holding(socket):
                while not talk.closing:
                    message = await socket.receive()
                    if message.type not in {WSMsgType.TEXT, WSMsgType.BINARY}:
                        return socket
                    idle.touch()
                    await talk.receive(message, listener)
                idle.stop()
                await listener.finish()
                await outbox.drain()
                await socket.close(code=WSCloseCode.OK)
        finally:
            idle.stop()
            listener.abort()
            outbox.abort()
        return socket


class _Talk(ABC):
    """One connection's side of the protocol."""

    def __init__(self, logic: ListeningLogic) -> None:
        self.logic = logic
        self.closing = False
        """The client said that no more audio comes."""
        self.request_id = ""
        self._outbox: Outbox | None = None
        self._warned = False

    def open(self, request_id: str, outbox: Outbox) -> None:
        """The socket is open."""
        self.request_id = request_id
        self._outbox = outbox

    async def receive(self, message: WSMessage, listener: Listener) -> None:
        """Take a message of the client."""
        if message.type is WSMsgType.BINARY:
            await listener.hear(message.data)
            return
        try:
            self.command(message.data, listener)
        except ProtocolError as error:
            if not self._warned:
                self._warned = True
                _log.warning("malformed_message", request=self.request_id, reason=error.message[:200])
            self.post(
                wire.Error(
                    title="Bad request",
                    message=error.message[:500],
                    status_code=400,
                    error_code=error.code,
                    request_id=self.request_id,
                )
            )

    def post(self, message: wire.ServiceMessage) -> None:
        """Send a message."""
        if self._outbox is not None:
            self._outbox.post(wire.encode(message))

    @abstractmethod
    def command(self, text: str, listener: Listener) -> None:
        """Take a text frame. Raises `ProtocolError`."""

    @abstractmethod
    def report(self, output: Any) -> None:
        """Say what the logic found."""


class _TurnsTalk(_Talk):
    logic: turns.Turns

    def open(self, request_id: str, outbox: Outbox) -> None:
        super().open(request_id, outbox)
        self.post(wire.Connected(request_id))

    def command(self, text: str, listener: Listener) -> None:
        del listener
        command = wire.parse_turns_command(text)
        if isinstance(command, wire.Close):
            self.closing = True
        elif isinstance(command, wire.Config):
            self.logic.configure(command.turn or wire.TurnThresholds())
        else:
            raise ProtocolError(f"unknown command {command.type[:40]!r}: there are close and config")

    def report(self, output: Any) -> None:
        match output:
            case turns.Started():
                self.post(wire.TurnStart(self.request_id))
            case turns.Updated(text):
                self.post(wire.TurnUpdate(text, self.request_id))
            case turns.EagerEnded(text):
                self.post(wire.TurnEagerEnd(text, self.request_id))
            case turns.Resumed():
                self.post(wire.TurnResume(self.request_id))
            case turns.Ended(text):
                self.post(wire.TurnEnd(text, self.request_id))


class _ManualTalk(_Talk):
    logic: manual.ManualFinals

    def __init__(self, logic: manual.ManualFinals, language: str) -> None:
        super().__init__(logic)
        self._language = language

    def command(self, text: str, listener: Listener) -> None:
        command = wire.parse_manual_command(text)
        if command == "close":
            self.closing = True
        elif command == "finalize":
            listener.act(self.logic.finalize())
        else:
            raise ProtocolError(f"unknown command {command.type[:40]!r}: there are finalize and close")

    def report(self, output: Any) -> None:
        match output:
            case manual.Preview(text):
                self.post(wire.Transcript(text, request_id=self.request_id, language=self._language))
            case manual.Finalized(text, duration, speech):
                words = [
                    wire.TimedWord(word.word, word.start, word.end) for word in share_out(text.split(), speech)
                ]
                self.post(
                    wire.Transcript(
                        text,
                        is_final=True,
                        request_id=self.request_id,
                        duration=duration,
                        language=self._language,
                        words=list(words),
                    )
                )
            case manual.Flushed():
                self.post(wire.FlushDone(self.request_id))
            case manual.Finished():
                self.post(wire.Done(self.request_id))
