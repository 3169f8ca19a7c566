"""The WebSockets that are open, so that the server can say good-bye to all of them when it stops."""

from __future__ import annotations

import asyncio
import weakref
from collections.abc import Iterator
from contextlib import contextmanager

from aiohttp import WSCloseCode, web


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
