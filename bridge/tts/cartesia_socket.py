"""The one warm socket to `/tts/websocket` that all calls of the process share."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Final, Protocol

import structlog
from websockets.exceptions import ConnectionClosed

from bridge.errors import ProtocolError, SpeechError
from bridge.speech.connection import SpeechConnection
from bridge.speech.link import SpeechLink, drop
from bridge.tasks import spawn
from bridge.tts.cartesia_wire import TTS_PATH, Cancel, ServiceMessage, Unknown, encode, parse_from_service

_log = structlog.get_logger()

_CONNECT_DELAYS_S: Final = (0.0, 0.2, 0.5)
"""Before each attempt to connect. More would keep a caller waiting in silence: better to fail and say so."""


class Owner(Protocol):
    """Who is told what comes in. Both are called on the event loop and must not raise."""

    def take(self, message: ServiceMessage) -> None:
        """A message came."""

    def lost(self, error: SpeechError, *, dropped: bool) -> None:
        """The socket is gone, and all that was queued with it.

        `dropped`: it was open before. What is queued in this call goes out on the next socket.
        """


class SpeechSocket:
    """Connects when there is something to send, stays while the service lets it, and comes back when needed."""

    def __init__(self, link: SpeechLink, owner: Owner) -> None:
        self._loop = asyncio.get_running_loop()
        self._link = link
        self._owner = owner
        self._queue: deque[tuple[str, str]] = deque()  # context id, text frame
        self._wake = asyncio.Event()
        # Whether the sender waits with nothing in its hands, so that another may send in its place.
        self._at_rest = False
        self._socket: SpeechConnection | None = None
        self._task: asyncio.Task[None] | None = None
        self._complained = False
        self._read_at = 0.0

    def warm(self) -> None:
        """Connect in the background if there is no connection."""
        if self._task is None or self._task.done():
            self._task = spawn(self._run(), name="tts socket")

    def send(self, context_id: str, text: str) -> None:
        """Send a text frame of a context: at once if nothing is in its way, else it is queued. Never waits."""
        if self._at_rest and (socket := self._socket) is not None and socket.has_room:
            socket.write(text)
            return
        self._queue.append((context_id, text))
        self._at_rest = False
        self._wake.set()
        self.warm()

    def withdraw(self, context_id: str) -> int:
        """Take back what is queued of a context and not yet sent; how many frames that were."""
        before = len(self._queue)
        self._queue = deque(item for item in self._queue if item[0] != context_id)
        return before - len(self._queue)

    def cancel(self, context_id: str) -> None:
        """Tell the service to stop a context. Without a connection there is nothing to stop."""
        if self._socket is not None:
            self.send(context_id, encode(Cancel(context_id)))

    def renew_if_silent_since(self, moment: float) -> None:
        """Give the connection up if it brought nothing since `moment`, in the event loop's time.

        A network can lose a connection without either side being told. What is open on it is reported as lost.
        """
        socket = self._socket
        if socket is not None and self._read_at < moment and not socket.transport.is_closing():
            _log.warning("tts_silent", service=self._link.origin)
            socket.transport.abort()

    async def close(self) -> None:
        """End the connection. Nothing is reported any more."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])

    async def _run(self) -> None:
        while True:
            try:
                await self._talk(await self._connect())
            except SpeechError as error:
                dropped = self._socket is not None
                self._socket = None
                self._queue.clear()
                self._owner.lost(error, dropped=dropped)
            if not self._queue:
                return  # the next text opens it again

    async def _connect(self) -> SpeechConnection:
        for attempt, delay in enumerate(_CONNECT_DELAYS_S, start=1):
            await asyncio.sleep(delay)
            try:
                socket = await self._link.connect(TTS_PATH)
            except SpeechError as error:
                _log.warning("tts_connect_failed", code=error.code, reason=error.message, attempt=attempt)
                if error.final or attempt == len(_CONNECT_DELAYS_S):
                    raise
            else:
                _log.info("tts_connected", service=self._link.origin)
                return socket
        raise AssertionError("the last attempt returns or raises")

    async def _talk(self, socket: SpeechConnection) -> None:
        """Send and read until the socket ends, which raises `SpeechError`."""
        self._socket = socket
        self._complained = False
        self._read_at = 0.0
        sender = spawn(self._send_all(socket), name="tts sender")
        try:
            await socket.read(self._read)
        except ConnectionClosed as closed:
            raise self._link.error_of_close(closed) from closed
        finally:
            sender.cancel()
            await asyncio.wait([sender])
            await drop(socket)

    async def _send_all(self, socket: SpeechConnection) -> None:
        try:
            while True:
                while self._queue:
                    await socket.send(self._queue.popleft()[1])
                self._wake.clear()
                self._at_rest = True
                await self._wake.wait()
        except ConnectionClosed:
            return  # the reader is told as well, and reports
        finally:
            self._at_rest = False

    def _read(self, data: bytes) -> None:
        self._read_at = self._loop.time()
        try:
            message = parse_from_service(data)
        except ProtocolError as error:
            self._complain(error.message)
            return
        if isinstance(message, Unknown):
            self._complain(f"unknown type {message.type[:40]!r}")
        else:
            self._owner.take(message)

    def _complain(self, reason: str) -> None:
        """Log what was not understood, once per connection: a peer that errs does so all the time."""
        if not self._complained:
            self._complained = True
            _log.warning("tts_message_ignored", reason=reason)
