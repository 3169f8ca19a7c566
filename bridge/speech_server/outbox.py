"""Messages on their way out of a WebSocket, in the order they were posted, without making the poster wait."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog
from aiohttp import web

from bridge.tasks import spawn

_log = structlog.get_logger()

_MOST_WAITING: Final = 5000
"""A client that leaves so many events unread is gone or hostile."""


class Outbox:
    """One socket's queue and the task that empties it."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None, *, name: str) -> None:
        """`transport` is what the socket runs on; it is dropped when the client does not read."""
        self._socket = socket
        self._transport = transport
        self._queue: asyncio.Queue[str] = asyncio.Queue(_MOST_WAITING)
        self._task = spawn(self._send(), name=name)

    def post(self, text: str) -> None:
        """Send a text frame when the earlier ones are out."""
        try:
            self._queue.put_nowait(text)
        except asyncio.QueueFull:
            if self._transport is not None and not self._transport.is_closing():
                _log.warning("client_does_not_read", waiting=self._queue.qsize())
                self._transport.abort()

    async def drain(self) -> None:
        """Wait until everything posted is out, or the client gone."""
        joined = spawn(self._queue.join(), name="outbox-drain")
        try:
            await asyncio.wait([joined, self._task], return_when=asyncio.FIRST_COMPLETED)
        finally:
            joined.cancel()

    def abort(self) -> None:
        """Send nothing more."""
        self._task.cancel()

    async def _send(self) -> None:
        try:
            while True:
                await self._socket.send_str(await self._queue.get())
                self._queue.task_done()
        except ConnectionError:
            _log.debug("client_gone")
