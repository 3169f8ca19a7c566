"""Hands a connection over to the worker that is to answer it: the connection itself, not what goes over it.

The kernel gives each new connection to any of the workers. Which of them must answer shows in the request's head:
then the open connection goes to that one, with the request as it was read, through a Unix socket of its own. From
there on nothing passes through here: neither the 50 frames a second of a media stream nor a recording. Of an
encrypted connection that is not true: see `bridge.workers.relaying`.
"""

from __future__ import annotations

import array
import asyncio
import contextlib
import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import structlog
from aiohttp import web

from bridge.tasks import spawn
from bridge.workers.relaying import Introduced, Peer, Relay

SETTLED: Final = web.RequestKey("settled", bool)
"""True: another worker has found that this one is to answer the request, and nobody else."""

_MOST_BYTES: Final = 192 * 1024
"""Of a request that is handed over: with the limits of the listener it is shorter."""
_TRIES: Final = 400
_PAUSE_S: Final = 0.005
"""A worker that has much to take up at this moment is tried again, so often and after such a pause."""
_AT_ONCE: Final = 64
_LOOKED_AT_WITHIN_S: Final = 10.0
_REWRITTEN: Final = frozenset({b"content-length", b"transfer-encoding", b"content-encoding", b"expect"})

log = structlog.get_logger()


class HandedOver(web.HTTPException):
    """The connection is another worker's by now. Raised out of a handler: nothing is written to it here."""

    status_code = 421


class NotHandedOver(Exception):  # noqa: N818  (whoever tried answers in another way)
    """The worker is not there. The request is as it was."""


async def hand_over(
    request: web.Request, to: Path, *, settled: bool, relayed: Callable[[Relay], None] = lambda _: None
) -> HandedOver:
    """Hand the connection of a request over to the worker that listens at `to`; raise what is returned.

    `settled`: that one is to answer, and must not hand it on. `relayed` is told of a connection of which what goes
    over it is passed on here. Raises `NotHandedOver`, and what reading the request's body raises. Cancelling leaves
    the connection here.
    """
    body = await request.read()  # Kept by aiohttp, if somebody has read it before.
    transport = request.transport
    if transport is None:
        raise ConnectionResetError("the connection has gone")
    encrypted = transport.get_extra_info("ssl_object") is not None
    message = _about(transport, settled=settled) + _head(request, body, last=encrypted) + body
    if len(message) > _MOST_BYTES:
        raise NotHandedOver("the request is too long")
    transport.pause_reading()
    try:
        if encrypted:
            relayed(await _relay(request, transport, message, to))
        else:
            await _send(message, transport.get_extra_info("socket").fileno(), to)
            transport.abort()  # Our end of it only: the other worker has its own, and the peer notices nothing.
    except BaseException:
        transport.resume_reading()
        raise
    return HandedOver()


def _about(transport: asyncio.Transport, *, settled: bool) -> bytes:
    """Tell the other worker what the request does not: who is at the other end, where the socket has no name."""
    connection = transport.get_extra_info("socket")
    pair = connection.family == socket.AF_UNIX and not connection.getsockname()
    peer = transport.get_extra_info("peername") if pair or transport.get_extra_info("ssl_object") else None
    return json.dumps([settled, peer]).encode() + b"\n"


async def _relay(request: web.Request, transport: asyncio.Transport, message: bytes, to: Path) -> Relay:
    relay = Relay(request, transport)
    theirs = await relay.open()
    try:
        await _send(message, theirs.fileno(), to)
    except BaseException:
        relay.drop()
        raise
    finally:
        theirs.close()
    relay.begin()
    return relay


async def _send(message: bytes, descriptor: int, to: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.setblocking(False)
        sender.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * _MOST_BYTES)  # Else macOS takes two kilobytes.
        rights = array.array("i", [descriptor])
        for _ in range(_TRIES):
            try:
                # Not `socket.send_fds`: in Python 3.11 it forgets to whom.
                sender.sendmsg([message], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, rights)], 0, str(to))
            except BlockingIOError:
                await asyncio.sleep(_PAUSE_S)
            except OSError as error:
                raise NotHandedOver(str(error)) from None
            else:
                return
    raise NotHandedOver("it has too much to take up")


def _head(request: web.Request, body: bytes, *, last: bool) -> bytes:
    """The request's head as it came, but for how the body is sent: by now it is here as a whole.

    `last`: nothing but this is to be asked on its connection. A media stream would else come by one that is passed
    on for another request's sake, and nobody would know that it does.
    """
    major, minor = request.version
    left_out = _REWRITTEN | ({b"connection"} if (last := last and "Upgrade" not in request.headers) else set())
    lines = [f"{request.method} {request.raw_path} HTTP/{major}.{minor}".encode("utf-8", "surrogateescape")]
    lines += [name + b": " + value for name, value in request.raw_headers if name.lower() not in left_out]
    if last:
        lines.append(b"Connection: close")
    if body or request.headers.get("Content-Length") is not None:
        lines.append(b"Content-Length: %d" % len(body))
    return b"\r\n".join((*lines, b"", b""))


class Receiver:
    """Takes the connections that other workers hand over."""

    def __init__(self, path: Path, server: web.Server) -> None:
        """`server` makes what answers at a connection, as for those that come by the listener."""
        self._path = path
        self._server = server
        self._socket: socket.socket | None = None
        self._settled: set[asyncio.BaseProtocol] = set()

    async def open(self) -> None:
        """Begin. Raises OSError."""
        await asyncio.to_thread(self._path.unlink, missing_ok=True)  # Left by one that has died.
        receiving = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        receiving.setblocking(False)
        receiving.bind(str(self._path))
        self._socket = receiving
        asyncio.get_running_loop().add_reader(receiving.fileno(), self._take)

    def close(self) -> None:
        """Take no more: others find nobody here."""
        if self._socket is not None:
            asyncio.get_running_loop().remove_reader(self._socket.fileno())
            self._socket.close()
            self._socket = None

    def holds(self, request: web.Request) -> bool:
        """Tell whether `is_settled` will say so of a request."""
        return request.protocol in self._settled

    def is_settled(self, request: web.Request) -> bool:
        """Tell of a request, once, whether it was handed over to be answered here."""
        protocol = request.protocol
        if protocol not in self._settled:
            return False
        self._settled.discard(protocol)  # What comes next on this connection was looked at by nobody.
        return True

    def _take(self) -> None:
        assert self._socket is not None  # noqa: S101  It is being read.
        for _ in range(_AT_ONCE):
            try:
                message, descriptors, _, _ = socket.recv_fds(self._socket, _MOST_BYTES + 1, 1)
            except BlockingIOError:
                return
            if descriptors and message:
                spawn(self._answer(message, descriptors[0]), name="handed-over")

    async def _answer(self, message: bytes, descriptor: int) -> None:
        about, _, request = message.partition(b"\n")
        settled, peer = json.loads(about)
        connection = socket.socket(fileno=descriptor)
        connection.setblocking(False)
        protocol = self._server()
        try:
            await asyncio.get_running_loop().connect_accepted_socket(_first(protocol, peer), connection)
        except OSError as error:  # The peer has gone meanwhile.
            log.info("connection_not_taken", error=str(error))
            with contextlib.suppress(OSError):
                connection.close()
            return
        if settled:
            self._settled.add(protocol)
            # Its request is looked at in this turn of the loop or the next, unless the peer goes away before.
            asyncio.get_running_loop().call_later(_LOOKED_AT_WITHIN_S, self._settled.discard, protocol)
        protocol.data_received(request)


def _first(protocol: asyncio.Protocol, peer: list[Any] | None) -> Callable[[], asyncio.Protocol]:
    """Return what makes the first protocol of a connection that was handed over."""
    known: Peer | None = None if peer is None else tuple(peer)
    return lambda: protocol if known is None else Introduced(protocol, known)
