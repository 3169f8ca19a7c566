"""The way to the phone: one media stream's outgoing messages, in order, and whether the stream still lives."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

import structlog

from bridge.tasks import spawn
from bridge.twilio import media_stream

SILENT_S = 60.0
"""A stream that brings no audio for this long is dead, in seconds.

Twilio sends a frame every 20 ms, fifty a second, also while the caller says nothing ("Twilio Media Streams:
media"). That is seen on every call and promised nowhere, so the limit is three thousand times as long.
"""
STALLED_S = 30.0
"""A stream that takes nothing for this long is dead, in seconds."""
_LOOK_EVERY_S = 10.0
"""How often a stream is looked at: the two limits above are kept to within this."""
_MAX_QUEUED_CHARACTERS = 1_000_000
"""More than this cannot be waiting at a stream that lives: it is a minute and a half of speech, and speech is
handed over a few seconds before it sounds."""

log = structlog.get_logger()


class Socket(Protocol):
    """What is needed of a WebSocket: aiohttp's server side has it."""

    async def send_str(self, data: str) -> None:
        """Send a text frame; waits while the peer reads too slowly."""

    async def close(self) -> object:
        """Close the connection."""


class Carrier:
    """Sends audio, marks and clears to one media stream.

    The methods never wait: a message is written at once or, if the network is behind, queued, and a task
    writes what is, for as long as there is anything. `clear` overtakes what is still queued, because audio that is
    to be dropped need not be sent at all.
    """

    def __init__(
        self,
        socket: Socket,
        stream_sid: str,
        cut: Callable[[], None] | None = None,
        at_once: Callable[[str], bool] | None = None,
        call_sid: str = "",
    ) -> None:
        """`cut` breaks the connection at once, without a word to the peer: for one that no longer answers.

        `at_once` writes a message if that needs no waiting, or returns False: then the task writes it. `call_sid`
        names the call in the log.
        """
        self._call_sid = call_sid
        self._at_once = at_once
        self._socket = socket
        self._stream_sid = stream_sid
        self._cut = cut
        self._loop = asyncio.get_running_loop()
        self._queue: list[str] = []
        self._queued = 0
        self._closing = False
        self._gone = False
        self._sending_since: float | None = None
        self._frames = 0
        self._frames_seen = 0
        self._heard_at = self._loop.time()
        self._on_dead: Callable[[], None] | None = None
        self._look_again: asyncio.TimerHandle | None = None
        self._writer: asyncio.Task[None] | None = None

    # --- towards the phone ---------------------------------------------------------------------------------

    def send_audio(self, audio: bytes) -> None:
        """Send mu-law audio; the phone plays it after all it still holds."""
        self._put(media_stream.media_message(self._stream_sid, audio))

    def send_mark(self, name: str) -> None:
        """Send a mark, which comes back when the audio before it was played."""
        self._put(media_stream.mark_message(self._stream_sid, name))

    def clear(self) -> None:
        """Drop what is queued here and what the phone has not played yet."""
        self._drop_queue()
        self._put(media_stream.clear_message(self._stream_sid))

    def close(self) -> None:
        """Close the stream once everything queued is written."""
        self._closing = True
        self._start_writer()

    def abandon(self) -> None:
        """The stream is gone: drop everything."""
        self._gone = True
        self._on_dead = None  # It knows this carrier: they would keep each other.
        self._drop_queue()
        if self._writer is not None:
            self._writer.cancel()
        if self._look_again is not None:
            self._look_again.cancel()

    # --- does it still live? -------------------------------------------------------------------------------

    def heard(self) -> None:
        """Note that audio of the caller came over this stream."""
        self._frames += 1

    def watch(self, on_dead: Callable[[], None]) -> None:
        """From now on call `on_dead`, once, when the stream brings or takes nothing any more.

        It is looked at now and then, so that nothing need be done for each frame. The connection is cut then.
        """
        self._on_dead = on_dead
        self._heard_at = self._loop.time()
        self._look_later()

    def _look_later(self) -> None:
        self._look_again = self._loop.call_later(_LOOK_EVERY_S, self._look)

    def _look(self) -> None:
        now = self._loop.time()
        if self._frames != self._frames_seen:
            self._frames_seen, self._heard_at = self._frames, now
        if now - self._heard_at >= SILENT_S:
            self._die("silent")
        elif self._sending_since is not None and now - self._sending_since >= STALLED_S:
            self._die("stalled")
        else:
            self._look_later()

    def _die(self, reason: str) -> None:
        log.warning("stream_dead", sid=self._call_sid, stream=self._stream_sid, reason=reason, queued=self._queued)
        on_dead = self._on_dead
        self.abandon()
        if self._cut is not None:
            self._cut()
        if on_dead is not None:
            on_dead()

    # --- the queue -----------------------------------------------------------------------------------------

    def _put(self, message: str) -> None:
        if self._gone:
            return
        idle = not self._queue and self._sending_since is None and not self._closing
        if idle and self._at_once is not None and self._at_once(message):
            return
        self._queue.append(message)
        self._queued += len(message)
        self._start_writer()
        if self._queued > _MAX_QUEUED_CHARACTERS:
            self._die("overflow")

    def _drop_queue(self) -> None:
        self._queue.clear()
        self._queued = 0

    def _start_writer(self) -> None:
        if self._writer is None and not self._gone:
            self._writer = spawn(self._write(), name=f"carrier-{self._stream_sid}")

    async def _write(self) -> None:
        try:
            while self._queue:
                message = self._queue.pop(0)
                self._queued -= len(message)
                self._sending_since = self._loop.time()
                await self._socket.send_str(message)
            if not self._closing:
                self._writer = None
            else:
                self._sending_since = self._loop.time()
                await self._socket.close()
        except (ConnectionError, RuntimeError):
            # aiohttp raises one or the other when the peer has gone. The reader of the socket finds that out
            # too and reports it; what is queued has nobody left to hear it.
            self._gone = True
            self._drop_queue()
        self._sending_since = None
