"""The listener: lets connections in that bring a request in time, and no more of them than the machine can bear.

aiohttp waits for the head of a request for as long as it waits for the next one. Here a connection is not aiohttp's
before its first request's head is whole: until then it costs a few hundred bytes and a timer. Connections that have
shown who they are (an admitted media stream, a request with a token) are not counted any more.
"""

from __future__ import annotations

import asyncio
import contextlib
import errno
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, cast

import structlog
from aiohttp import web

from bridge.errors import SettingsError
from bridge.proxies import Proxies
from bridge.tasks import spawn

_LONGEST_HEAD_BYTES: Final = 64 * 1024
"""A longer one is aiohttp's to refuse: it says why."""
_AT_ONCE: Final = 8
"""How many connections are taken in one turn of the loop."""
_WAITING: Final = 1024
"""How many may wait for that."""
_RUN_OUT: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
_NOT_HERE: Final = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""A machine without IPv6 listens to what it has."""
_AGAIN_S: Final = 0.5
_REST_S: Final = 0.01
"""Pause after a turn in which everybody was refused: 800 a second at most cost a twentieth of a core."""
_TOLD_EVERY_S: Final = 10.0
_SWEPT_EVERY_S: Final = 0.1
_MOST_DESCRIPTORS: Final = 65_536

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much strangers may take."""

    connections: int = 1000
    """At the same time, of whom nobody knows who they are."""
    per_address: int = 100
    """Of these, from one address that is no proxy of ours."""
    head_s: float = 10.0
    """From the connection to the end of its first request's head, and for the handshake of TLS."""


class Entrance:
    """Counts the connections of strangers, and makes the sites that let them in."""

    def __init__(
        self,
        bounds: Bounds,
        proxies: Proxies,
        refused: Callable[[str], None],
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """`refused` is told why a connection was closed: `connections`, `address`, `head_late` or `no_request`.

        `tls`: what connections are encrypted with; None: they are not.
        """
        self.proxies = proxies
        self.tls = tls
        self._tell = refused
        most = min(bounds.connections, descriptors() // 2)
        self.bounds = Bounds(most, bounds.per_address, bounds.head_s)
        """Those that hold: half of what the system lets this process open is for calls."""
        self._held: dict[str, set[Any]] = {}
        self._count = 0
        self._swept_at = self._told_at = float("-inf")

    def site(self, runner: web.BaseRunner, host: str, port: int, *, reuse_port: bool = False) -> web.BaseSite:
        """Return a site that lets connections in; the runner must be set up."""
        return _Site(runner, self, (host, port), reuse_port)

    def proven(self, request: web.Request) -> None:
        """Whoever asks this has shown who they are: their connection is not counted any more."""
        if request.transport is not None:
            self.leave(_host(request.transport.get_extra_info("peername")), request.protocol)

    # --- for arrivals --------------------------------------------------------------------------------------

    def enter(self, host: str, connection: object) -> bool:
        """Count a connection; False: there are too many, and it is to be closed."""
        if self._count >= self.bounds.connections:
            self._sweep()
            if self._count >= self.bounds.connections:
                self.refuse("connections", host)
                return False
        held = self._held.setdefault(host, set())
        if len(held) >= self.bounds.per_address and not self.proxies.trust(host):
            self._sweep()
            held = self._held.setdefault(host, set())
            if len(held) >= self.bounds.per_address:
                self.refuse("address", host)
                return False
        held.add(connection)
        self._count += 1
        return True

    def leave(self, host: str, connection: object) -> None:
        """Count a connection no more; one that is not counted is none of ours."""
        if connection in (held := self._held.get(host, set())):
            held.discard(connection)
            self._count -= 1
            if not held:
                del self._held[host]

    def hand_on(self, host: str, before: object, after: object) -> None:
        """Count another object for a connection that is counted."""
        held = self._held[host]
        held.discard(before)
        held.add(after)

    def arrivals(self) -> list[_Arrival]:
        """Return the connections that have brought no request yet."""
        return [one for held in self._held.values() for one in held if isinstance(one, _Arrival)]

    def refuse(self, reason: str, host: str) -> None:
        """Tell that a connection is closed. Thousands of them are one line of the log."""
        self._tell(reason)
        now = asyncio.get_running_loop().time()
        if now >= self._told_at + _TOLD_EVERY_S:
            self._told_at = now
            log.warning("connection_refused", reason=reason, remote=host, unknown=self._count)

    def _sweep(self) -> None:
        """Forget connections that are closed: aiohttp tells nobody of their end."""
        now = asyncio.get_running_loop().time()
        if now < self._swept_at + _SWEPT_EVERY_S:
            return
        self._swept_at = now
        held = {host: {one for one in all_ if one.transport is not None} for host, all_ in self._held.items()}
        self._held = {host: there for host, there in held.items() if there}
        self._count = sum(map(len, self._held.values()))


class _Site(web.BaseSite):
    """A site of aiohttp's, with the entrance before it.

    It takes connections from the kernel itself, a few in each turn of the loop: asyncio would take all that wait,
    and make a transport and a task of each, before it could be told that there are too many.
    """

    def __init__(
        self, runner: web.BaseRunner, entrance: Entrance, address: tuple[str, int], reuse_port: bool
    ) -> None:
        super().__init__(runner)
        self._entrance = entrance
        self._address = address
        self._reuse_port = reuse_port

    @property
    def name(self) -> str:
        return f"{self._address[0]}:{self._address[1]}"

    async def start(self) -> None:
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
        await super().stop()
        for arrival in self._entrance.arrivals():
            arrival.drop()

    def _accept(self, listener: socket.socket) -> None:
        """Take some of the connections that wait; the others are taken in the next turn."""
        answer = self._runner.server
        assert answer is not None  # noqa: S101  It was set up, or this could not have been made.
        refused = 0
        for _ in range(_AT_ONCE):
            try:
                connection, peer = listener.accept()
            except BlockingIOError:
                return
            except OSError as error:
                self._not_taken(listener, error)
                return
            arrival = _Arrival(self._entrance, answer, _host(peer), connection)
            if not self._entrance.enter(arrival.host, arrival):
                connection.close()
                refused += 1
                continue
            connection.setblocking(False)
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            spawn(arrival.open(connection), name="connection")
        if refused == _AT_ONCE:
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


def read_certificate(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Let connections that come from now on be encrypted with this certificate. Raises `SettingsError`."""
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:  # A broken file is an `ssl.SSLError`, which is an OSError.
        said = getattr(error, "strerror", None) or error
        raise SettingsError(
            f"server.tls_certificate (BRIDGE_SERVER__TLS_CERTIFICATE) is {certificate!r} and server.tls_key"
            f" (BRIDGE_SERVER__TLS_KEY) is {key!r}, which cannot be used: {said}"
        ) from None


def descriptors() -> int:
    """Let this process open as many files and sockets as it may, and return how many that are."""
    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource  # noqa: PLC0415  (not on Windows)

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        wanted = _MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, _MOST_DESCRIPTORS)
        if soft != resource.RLIM_INFINITY and soft < wanted:
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
            return wanted
        return _MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    return _MOST_DESCRIPTORS


def _host(peer: Any) -> str:
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""
