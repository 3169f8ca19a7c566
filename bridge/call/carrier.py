"""The way to the phone: one media stream's outgoing messages, in order."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from bridge.tasks import spawn
from bridge.twilio import media_stream


class Socket(Protocol):
    """What is needed of a WebSocket: aiohttp's server side has it."""

    async def send_str(self, data: str) -> None:
        """Send a text frame; waits while the peer reads too slowly."""

    async def close(self) -> object:
        """Close the connection."""


class Carrier:
    """Sends audio, marks and clears to one media stream.

    The methods never wait: messages are queued, and one task per stream writes them. `clear` overtakes what is
    still queued, because audio that is to be dropped need not be sent at all.
    """

    def __init__(self, socket: Socket, stream_sid: str) -> None:
        self._socket = socket
        self._stream_sid = stream_sid
        self._queue: deque[str] = deque()
        self._wake = asyncio.Event()
        self._closing = False
        self._writer = spawn(self._write(), name=f"carrier-{stream_sid}")

    def send_audio(self, audio: bytes) -> None:
        """Queue mu-law audio; the phone plays it after all it still holds."""
        self._put(media_stream.media_message(self._stream_sid, audio))

    def send_mark(self, name: str) -> None:
        """Queue a mark, which comes back when the audio before it was played."""
        self._put(media_stream.mark_message(self._stream_sid, name))

    def clear(self) -> None:
        """Drop what is queued here and what the phone has not played yet."""
        self._queue.clear()
        self._put(media_stream.clear_message(self._stream_sid))

    def close(self) -> None:
        """Close the stream once everything queued is written."""
        self._closing = True
        self._wake.set()

    def abandon(self) -> None:
        """The stream is gone: drop everything."""
        self._queue.clear()
        self._writer.cancel()

    def _put(self, message: str) -> None:
        self._queue.append(message)
        self._wake.set()

    async def _write(self) -> None:
        try:
            while True:
                while self._queue:
                    await self._socket.send_str(self._queue.popleft())
                if self._closing:
                    break
                self._wake.clear()
                await self._wake.wait()
            await self._socket.close()
        except (ConnectionError, RuntimeError):
            # aiohttp raises one or the other when the peer has gone. The reader of the socket finds that out
            # too and reports it; what is queued has nobody left to hear it.
            self._queue.clear()
