"""The WebSockets that are open: closing idle ones, and saying good-bye to all when the server stops."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import WSCloseCode, web

from bridge.tasks import spawn


class IdleWatch:
    """Closes a socket on which nothing came for too long. One timer for each socket, not for each message."""

    def __init__(self, socket: web.WebSocketResponse, seconds: float, code: WSCloseCode, reason: bytes) -> None:
        self._socket = socket
        self._seconds = seconds
        self._code = code
        self._reason = reason
        self._loop = asyncio.get_running_loop()
        self._touched = self._loop.time()
        self._timer = self._loop.call_later(seconds, self._check)

    def touch(self) -> None:
        """Something came."""
        self._touched = self._loop.time()

    def stop(self) -> None:
        """Watch no more."""
        self._timer.cancel()

    def _check(self) -> None:
        idle = self._loop.time() - self._touched
        if idle >= self._seconds:
            spawn(self._close(), name="idle-close")
        else:
            self._timer = self._loop.call_later(self._seconds - idle, self._check)

    async def _close(self) -> None:
        await self._socket.close(code=self._code, message=self._reason)


class OpenSockets:
    """All open WebSockets of the server."""

    def __init__(self) -> None:
        self._open: weakref.WeakSet[web.WebSocketResponse] = weakref.WeakSet()

    @contextmanager
    def holding(self, socket: web.WebSocketResponse) -> Iterator[None]:
        """Know `socket` as open."""
        self._open.add(socket)
        try:
            yield
        finally:
            self._open.discard(socket)

    async def close(self) -> None:
        """Close all of them with 1001 (going away)."""
        await asyncio.gather(
            *(socket.close(code=WSCloseCode.GOING_AWAY, message=b"server stops") for socket in [*self._open]),
            return_exceptions=True,
        )
