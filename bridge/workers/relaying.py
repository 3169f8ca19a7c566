"""Passes on what goes over an encrypted connection to the worker that answers it, and back.

Nobody else can be given such a connection: its keys are in the process that has shaken hands. So that process keeps
it, and what it holds in plain goes through a pair of sockets, of which the other worker has got the second.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from typing import Any, cast

from aiohttp import web

Peer = tuple[Any, ...]


class Relay:
    """One connection: the encrypted end, and the end of the pair."""

    def __init__(self, request: web.Request, transport: asyncio.Transport) -> None:
        """`request` is the one that is handed over, `transport` its connection, which reads nothing meanwhile."""
        self.ended = asyncio.Event()
        self._request = request
        self._outside = _End(transport, self.ended.set)
        self._inside = _End(None, self.ended.set)
        self._outside.other, self._inside.other = self._inside, self._outside

    async def open(self) -> socket.socket:
        """Make the pair, and return the socket that is for the other worker. Raises OSError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        await asyncio.get_running_loop().connect_accepted_socket(lambda: self._inside, ours)
        return theirs

    def begin(self) -> None:
        """The other worker has the request: from now on bytes are passed on, and aiohttp has no connection here."""
        outside, handler = self._outside.transport, self._request.protocol
        assert outside is not None  # noqa: S101  It was given.
        outside.set_protocol(self._outside)
        handler.transport = None  # It is told that it has lost it, and must not close it.
        handler.connection_lost(None)
        if outside.is_closing():
            self.drop()
        outside.resume_reading()

    def drop(self) -> None:
        """Close the pair. The encrypted end stays as it is, if nothing was begun."""
        if self._inside.transport is not None:
            self._inside.transport.close()


class _End(asyncio.Protocol):
    """What comes in here goes out at the other end, no faster than that takes it."""

    def __init__(self, transport: asyncio.Transport | None, ended: Callable[[], None]) -> None:
        self.transport = transport
        self.other: _End
        self._ended = ended

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        if self.other.transport is not None:
            self.other.transport.write(data)

    def pause_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.other.transport is not None:
            self.other.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._ended()
        if self.other.transport is not None:
            self.other.transport.close()  # After what is still to be written.


class Introduced(asyncio.Protocol):
    """The second end of a pair: tells the handler who is really at the other end."""

    def __init__(self, handler: asyncio.Protocol, peer: Peer) -> None:
        self.handler = handler
        self._peer = peer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio."""
        plain = cast("asyncio.Transport", transport)
        plain.set_protocol(self.handler)
        self.handler.connection_made(cast("asyncio.Transport", _Named(plain, self._peer)))


class _Named:
    """A transport, but for the peer's name: the pair has none."""

    def __init__(self, transport: asyncio.Transport, peer: Peer) -> None:
        self._transport = transport
        self._known: dict[str, Any] = {"peername": peer, "sslcontext": True}
        # Asked for with every message.
        self.write, self.is_closing = transport.write, transport.is_closing

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return self._known.get(name) or self._transport.get_extra_info(name, default)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)
