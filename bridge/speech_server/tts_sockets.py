"""The realtime text-to-speech endpoint: `/tts/websocket`, many contexts on one socket."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from typing import Final

import structlog
from aiohttp import WSCloseCode, WSMsgType, web

from bridge.errors import ProtocolError, SpeechError
from bridge.speech_server.access import Access, Slots
from bridge.speech_server.answers import REQUEST_ID, ApiError
from bridge.speech_server.sockets import IdleWatch, OpenSockets
from bridge.speech_server.speaker import Manner, Sound, Speaker, Voices, chunks
from bridge.speech_server.tts_context import FlushMark, Say, SpeechContext, Step
from bridge.speech_server.worker import InferencePool
from bridge.tasks import spawn
from bridge.tts import cartesia_wire as wire

_log = structlog.get_logger()

_MAX_MESSAGE: Final = 1 << 20
_MOST_CONTEXTS: Final = 200
"""Open contexts of one socket."""
_MOST_REMEMBERED: Final = 1000
"""Finished contexts of one socket that are still known as finished."""


class TtsSockets:
    """The handler of the endpoint."""

    def __init__(
        self,
        pool: InferencePool,
        voices: Voices,
        access: Access,
        sockets: OpenSockets,
        *,
        max_contexts: int,
        idle_s: float,
    ) -> None:
        self.pool = pool
        self.voices = voices
        self.slots = Slots(max_contexts, "text-to-speech contexts")
        self._access = access
        self._sockets = sockets
        self._idle_s = idle_s

    def add_to(self, app: web.Application) -> None:
        """Put the handler at its address."""
        app.router.add_get(wire.TTS_PATH, self.handle)

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Protocol: "/tts/websocket"."""
        self._access.check(request)
        socket = web.WebSocketResponse(max_msg_size=_MAX_MESSAGE, compress=False)
        await socket.prepare(request)
        connection = _Connection(self, socket, request[REQUEST_ID])
        idle = IdleWatch(socket, self._idle_s, WSCloseCode.OK, b"connection idle timeout")
        try:
            with self._sockets.holding(socket):
                while (message := await socket.receive()).type in {WSMsgType.TEXT, WSMsgType.BINARY}:
                    idle.touch()
                    await connection.receive(message.data)
        except ConnectionError:
            _log.debug("client_gone")
        finally:
            idle.stop()
            connection.abort()
        return socket


class _Connection:
    """One socket and its contexts."""

    def __init__(self, server: TtsSockets, socket: web.WebSocketResponse, request_id: str) -> None:
        self.server = server
        self._socket = socket
        self._request_id = request_id
        self._open: dict[str, _Speech] = {}
        self._finished: OrderedDict[str, None] = OrderedDict()
        self._warned = False

    async def receive(self, text: str | bytes) -> None:
        """Take a request; what is wrong with it is told and survived."""
        context_id: str | None = None
        try:
            request = wire.parse_from_client(text)
            context_id = request.context_id
            if isinstance(request, wire.Cancel):
                await self._cancel(request.context_id)
            else:
                self._generate(request)
        except ProtocolError as error:
            if not self._warned:
                self._warned = True
                _log.warning("malformed_message", request=self._request_id, reason=error.message[:200])
            # A client waits for what becomes of its context: an error without its id is told to nobody.
            context_id = wire.context_of(text) if context_id is None else context_id
            await self.fail(context_id, 400, error.message, error.code)
        except ApiError as error:
            await self.fail(context_id, error.status, error.message, error.code)

    def abort(self) -> None:
        """Drop all contexts."""
        for speech in self._open.values():
            speech.abort()
        self._open.clear()

    async def send(self, message: wire.ServiceMessage) -> None:
        """Send a message; waits while the client does not read."""
        await self._socket.send_str(wire.encode(message))

    async def fail(self, context_id: str | None, status: int, message: str, code: str | None) -> None:
        """Send an `error`, which ends the context."""
        if context_id is not None and (speech := self._open.get(context_id)) is not None:
            self.finish(speech)
        await self.send(
            wire.Error(
                context_id=context_id,
                title="Bad request" if status < 500 else "Internal error",
                message=message[:500],
                status_code=status,
                error_code=code,
                request_id=self._request_id,
            )
        )

    def finish(self, speech: _Speech) -> None:
        """The context is over."""
        speech.abort()
        self._open.pop(speech.context_id, None)
        self._finished[speech.context_id] = None
        if len(self._finished) > _MOST_REMEMBERED:
            self._finished.popitem(last=False)

    def _generate(self, request: wire.Generate) -> None:
        speech = self._open.get(request.context_id)
        if speech is None:
            if request.context_id in self._finished:
                raise ProtocolError(
                    f"the context {request.context_id[:80]!r} is finished: use a new context_id",
                    code="bad_parameter",
                )
            if len(self._open) >= _MOST_CONTEXTS:
                raise ApiError(429, f"At most {_MOST_CONTEXTS} contexts on a socket.", code="concurrency_limited")
            context = SpeechContext(request)
            voice = self.server.voices.choose(request.voice_id, request.language)
            speech = _Speech(self, context, voice)
            self._open[request.context_id] = speech
        speech.add(request)

    async def _cancel(self, context_id: str) -> None:
        speech = self._open.get(context_id)
        if speech is not None:
            self.finish(speech)
            # The client may be reading this context: without an end its reader would wait for ever.
            await self.send(wire.Done(context_id))


class _Speech:
    """One context being spoken."""

    def __init__(self, connection: _Connection, context: SpeechContext, voice: str) -> None:
        """Raises `ApiError` 429 if too many contexts speak."""
        self._connection = connection
        self._context = context
        self.context_id = context.request.context_id
        connection.server.slots.take()
        manner = Manner(
            voice, context.request.language, context.request.output_format, context.speed, context.volume
        )
        self._speaker = Speaker(connection.server.pool, manner)
        self._steps: asyncio.Queue[Step] = asyncio.Queue()
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = spawn(self._run(), name="tts-context")

    def add(self, request: wire.Generate) -> None:
        """Take a request of this context. Raises `ProtocolError`."""
        self._queue(self._context.add(request))
        if self._context.waiting and self._timer is None:
            delay = self._context.delay_ms / 1000
            self._timer = asyncio.get_running_loop().call_later(delay, self._overdue)

    def abort(self) -> None:
        """Speak no more and free the slot."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._task is not None:
            task, self._task = self._task, None
            self._connection.server.slots.free()
            if task is not asyncio.current_task():
                task.cancel()

    def _overdue(self) -> None:
        self._timer = None
        self._queue(self._context.overdue())

    def _queue(self, steps: list[Step]) -> None:
        if not self._context.waiting and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for step in steps:
            self._steps.put_nowait(step)

    async def _run(self) -> None:
        try:
            while True:
                step = await self._steps.get()
                if isinstance(step, Say):
                    await self._say(step)
                elif isinstance(step, FlushMark):
                    await self._connection.send(wire.FlushDone(self.context_id, step.flush_id))
                else:
                    self._connection.finish(self)
                    await self._connection.send(wire.Done(self.context_id))
                    return
        except SpeechError as error:
            await self._connection.fail(self.context_id, 500, error.message, None)
        except ConnectionError:
            _log.debug("client_gone")

    async def _say(self, step: Say) -> None:
        began = time.monotonic()
        sound = await self._speaker.say(step.text)
        took = round((time.monotonic() - began) * 1000, 1)
        request = self._context.request
        timed = request.add_timestamps and sound.words
        for data in chunks(sound.audio, request.output_format):
            await self._connection.send(wire.Chunk(self.context_id, data, step_time=took, flush_id=step.flush_id))
            if timed:
                # Behind the first sound, which is what is waited for, and before the rest.
                timed = ()
                await self._connection.send(
                    wire.Timestamps(self.context_id, word_times(sound), flush_id=step.flush_id)
                )


def word_times(sound: Sound) -> wire.WordTimes:
    """The words of a sound in the protocol's shape."""
    return wire.WordTimes(
        [word.word for word in sound.words],
        [word.start for word in sound.words],
        [word.end for word in sound.words],
    )
