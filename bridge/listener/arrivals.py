"""A site of aiohttp's behind the entrance, and connections until their first request's head is whole."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from typing import Any, Final, cast

import structlog
from aiohttp import web

from bridge.listener.entrance import Entrance, host_of
from bridge.tasks import spawn

_LONGEST_HEAD_BYTES: Final = 64 * 1024
"""A longer one is aiohttp's to refuse: it says why."""
_AT_ONCE: Final = 2
"""How many connections are taken in one turn of the loop. As many are dealt with in each turn that follows, and
calls that go on wait so long; the other connections wait in the kernel, where they cost nothing."""
_LOOKED_AT: Final = 8
"""How many are taken out of the kernel for that, where some are refused at once."""
_WAITING: Final = 1024
"""How many may wait for that."""
_RUN_OUT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NOT_HERE: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""A machine without IPv6 listens to what it has."""
_AGAIN_S: Final = 0.5
_REST_S: Final = 0.01
"""Pause after a turn in which everybody was refused: 800 a second at most cost a twentieth of a core."""

log = structlog.get_logger()


class Site(web.BaseSite):
    """A site of aiohttp's, with the entrance before it.

    It takes connections from the kernel itself, a few in each turn of the loop: asyncio would take all that wait,
    and make a transport and a task of each, before it could be told that there are too many.
    """

    def __init__(
        self, runner: web.BaseRunner, entrance: Entrance, host: str, port: int, *, reuse_port: bool = False
    ) -> None:
        """The runner must be set up. `reuse_port`: other processes listen at the port as well."""
        super().__init__(runner)
        self._entrance = entrance
        self._address = host, port
        self._reuse_port = reuse_port

    @property
    def name(self) -> str:
        """Where it listens."""
        return f"{self._address[0]}:{self._address[1]}"

    async def start(self) -> None:
        """Begin to listen. Raises OSError."""
        await super().start()
        loop = asyncio.get_running_loop()
        host, port = self._address
        infos = await loop.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        listeners: list[socket.socket] = []
        opened = _Listeners(listeners)
        self._server = cast("asyncio.AbstractServer", opened)
        try:
            for family, _, _, _, address in dict.fromkeys(infos):
                try:
                    listeners.append(_listener(family, address, reuse_port=self._reuse_port))
                except OSError as error:
                    if not listeners or error.errno not in _NOT_HERE:
                        raise
                if port == 0:
                    break  # Each address would get a port of its own.
        except BaseException:
            opened.close()
            raise
        for listener in listeners:
            loop.add_reader(listener.fileno(), self._accept, listener)

    async def stop(self) -> None:
        """Listen no more, and close who has brought nothing yet."""
        await super().stop()
        for arrival in self._entrance.held():
            if isinstance(arrival, _Arrival):
                arrival.drop()

    def _accept(self, listener: socket.socket) -> None:
        """Take some of the connections that wait; the others are taken in the next turn."""
        answer = self._runner.server
        assert answer is not None  # noqa: S101  It was set up, or this could not have been made.
        refused = taken = 0
        while taken < _AT_ONCE and taken + refused < _LOOKED_AT:
            try:
                connection, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._not_taken(listener, error)
                return
            arrival = _Arrival(self._entrance, answer, host_of(peer), connection)
            if not self._entrance.enter(arrival.host, arrival):
                connection.close()
                refused += 1
                continue
            taken += 1
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            spawn(arrival.open(connection), name="connection")
        if refused == _LOOKED_AT:
            self._rest(listener, _REST_S)  # Whoever floods us is to wait, not the calls.

    def _not_taken(self, listener: socket.socket, error: OSError) -> None:
        """Nothing more can be opened now: look again in a while. Or a connection has gone that was waiting."""
        if error.errno not in _RUN_OUT:
            return
        self._entrance.refuse("connections", "")
        self._rest(listener, _AGAIN_S)

    def _rest(self, listener: socket.socket, seconds: float) -> None:
        loop, descriptor = asyncio.get_running_loop(), listener.fileno()
        loop.remove_reader(descriptor)

        def again() -> None:
            if listener.fileno() == descriptor:  # It is open still.
                loop.add_reader(descriptor, self._accept, listener)

        loop.call_later(seconds, again)


class _Listeners:
    """The sockets of a site: all that aiohttp wants of an asyncio server."""

    def __init__(self, sockets: list[socket.socket]) -> None:
        self.sockets = sockets

    def close(self) -> None:
        """Listen no more."""
        for listener in self.sockets:
            if listener.fileno() >= 0:
                asyncio.get_running_loop().remove_reader(listener.fileno())
            listener.close()


def _listener(family: int, address: tuple[Any, ...], *, reuse_port: bool) -> socket.socket:
    opened = socket.socket(family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if family == socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        opened.bind(address)
        opened.listen(_WAITING)
    except BaseException:
        opened.close()
        raise
    return opened


class _Arrival(asyncio.Protocol):
    """A connection until its first request's head is there."""

    def __init__(
        self, entrance: Entrance, answer: Callable[[], asyncio.Protocol], host: str, connection: socket.socket
    ) -> None:
        self.host = host
        self._entrance = entrance
        self._answer = answer
        self._head = bytearray()
        self._late: asyncio.TimerHandle | None = None
        self.transport: asyncio.Transport | socket.socket | None = connection
        """None when it is closed, or somebody else's by now."""

    async def open(self, connection: socket.socket) -> None:
        """Begin to read, behind the handshake of TLS where there is one."""
        tls, within_s = self._entrance.tls, self._entrance.bounds.head_s
        try:
            await asyncio.get_running_loop().connect_accepted_socket(
                lambda: self, connection, ssl=tls, ssl_handshake_timeout=within_s if tls else None
            )
        except OSError as error:  # The peer has gone, or does not speak TLS, or not in time.
            log.debug("connection_failed", remote=self.host, error=str(error))
            connection.close()
            self._leave()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)  # uvloop's own are none by their class.
        loop = asyncio.get_running_loop()
        self._late = loop.call_later(self._entrance.bounds.head_s, self._close, "head_late")

    def data_received(self, data: bytes) -> None:
        if self.transport is None:
            return
        head = self._head
        seen = max(0, len(head) - 3)
        head += data
        if head.find(b"\r\n\r\n", seen) >= 0 or len(head) > _LONGEST_HEAD_BYTES:
            self._go_in(cast("asyncio.Transport", self.transport))
        elif not (65 <= head[0] <= 90 or head[0] in b"\r\n"):
            self._close("no_request")  # No method of HTTP begins so.

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._leave()

    def _go_in(self, transport: asyncio.Transport) -> None:
        self._gone()
        handler = self._answer()
        self._entrance.hand_on(self.host, self, handler)
        transport.set_protocol(handler)
        handler.connection_made(transport)
        handler.data_received(bytes(self._head))
        self._head.clear()

    def drop(self) -> None:
        """Close it, if it has begun; what has not is closed by its own task."""
        if self._late is not None and self.transport is not None:
            cast("asyncio.Transport", self.transport).abort()

    def _close(self, reason: str) -> None:
        if self.transport is not None:
            self._entrance.refuse(reason, self.host)
            cast("asyncio.Transport", self.transport).abort()

    def _leave(self) -> None:
        self._gone()
        self._entrance.leave(self.host, self)

    def _gone(self) -> None:
        self.transport = None
        if self._late is not None:
            self._late.cancel()
