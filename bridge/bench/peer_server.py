"""A server for peers that must cost little: HTTP requests with a length, and WebSockets, on one port.

It is made for what the systems under test send, and for nothing else: no chunked requests, no pipelining, no
compression. Each handler is called with the time at which its message was read.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol, TypeAlias
from urllib.parse import parse_qsl, urlsplit

from bridge.simulator.load import frames
from bridge.simulator.load.wheel import clock

_HEAD_ENDS: Final = b"\r\n\r\n"


class Session(Protocol):
    """One WebSocket's messages, of the peer's kind."""

    def text(self, at: float, payload: bytes) -> None:
        """A text message came."""

    def binary(self, at: float, payload: bytes) -> None:
        """A binary message came."""

    def closed(self) -> None:
        """The connection is gone."""


class Socket:
    """The server's end of one WebSocket."""

    def __init__(self, transport: asyncio.Transport, query: Mapping[str, str]) -> None:
        self.query = query
        """Of the address that was asked for."""
        self._transport = transport

    def send(self, text: bytes) -> None:
        """Send a text message; nothing if the connection is gone."""
        self.send_frames(frames.server_frame(text))

    def send_frames(self, data: bytes) -> None:
        """Send frames as they are."""
        if not self._transport.is_closing():
            self._transport.write(data)

    def close(self) -> None:
        """Send what is left, and the WebSocket's normal close; the other end closes the connection."""
        self.send_frames(frames.server_frame((1000).to_bytes(2, "big"), frames.CLOSE))

    def pong(self, payload: bytes) -> None:
        """Answer a ping."""
        self.send_frames(frames.server_frame(payload, frames.PONG))


@dataclass(frozen=True, slots=True)
class Answer:
    """To an HTTP request."""

    body: bytes = b""
    kind: str = "application/json"
    status: str = "200 OK"
    sending: Callable[[], None] | None = None
    """Called just before it is sent."""


Open: TypeAlias = Callable[[Socket], Session]
Reply: TypeAlias = Callable[[float, bytes], Answer]


@dataclass(slots=True)
class Routes:
    """What is served, by path."""

    sockets: dict[str, Open] = field(default_factory=dict)
    posts: dict[str, Reply] = field(default_factory=dict)
    refused: dict[str, str] = field(default_factory=dict)
    """Sockets that are not opened while they stand here, with what is said instead: `429 Too Many Requests`."""


@contextlib.asynccontextmanager
async def serving(routes: Routes) -> AsyncIterator[str]:
    """Serve on a free port of this machine; gives the address, `http://127.0.0.1:…`."""
    connections: set[_Connection] = set()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(routes, connections), "127.0.0.1", 0, backlog=1024)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for connection in tuple(connections):
            connection.abort()
        await server.wait_closed()


class _Connection(asyncio.Protocol):
    def __init__(self, routes: Routes, connections: set[_Connection]) -> None:
        self._routes = routes
        self._connections = connections
        self._transport: asyncio.Transport | None = None
        self._rest = b""
        self._session: Session | None = None
        self._socket: Socket | None = None
        self._reader = frames.FrameReader()

    def abort(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # a socket's is an `asyncio.Transport`
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002  (how it was lost makes no difference)
        self._connections.discard(self)
        if self._session is not None:
            self._session.closed()

    def data_received(self, data: bytes) -> None:
        at = clock()
        if self._session is None:
            self._rest += data
            data = self._requests(at)
        session, socket = self._session, self._socket
        if session is None or socket is None:
            return
        for opcode, payload in self._reader.feed(data):
            if opcode == frames.BINARY:
                session.binary(at, payload)
            elif opcode == frames.TEXT:
                session.text(at, payload)
            elif opcode == frames.PING:
                socket.pong(payload)
            elif opcode == frames.CLOSE and self._transport is not None:
                socket.close()
                self._transport.close()

    def _requests(self, at: float) -> bytes:
        """Serve the requests that are whole. Returns what follows an upgrade."""
        while self._session is None:
            head, end, body = self._rest.partition(_HEAD_ENDS)
            if not end:
                return b""
            first, *lines = head.split(b"\r\n")
            headers = {
                name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)
            }
            method, target, *_ = first.split(b" ")
            url = urlsplit(target.decode())
            if b"sec-websocket-key" in headers:
                self._upgrade(url.path, url.query, headers[b"sec-websocket-key"])
                return body
            length = int(headers.get(b"content-length", b"0"))
            if len(body) < length:
                return b""
            self._rest = body[length:]
            reply = self._routes.posts.get(url.path) if method == b"POST" else None
            self._answer(Answer(status="404 Not Found") if reply is None else reply(at, body[:length]))
        return b""

    def _upgrade(self, path: str, query: str, key: bytes) -> None:
        opens = self._routes.sockets.get(path)
        if opens is None or self._transport is None or path in self._routes.refused:
            self._answer(Answer(status=self._routes.refused.get(path, "404 Not Found")))
            return
        accept = frames.accept_key(key)
        head = b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        self._transport.write(head + b"Sec-WebSocket-Accept: " + accept + _HEAD_ENDS)
        self._socket = Socket(self._transport, dict(parse_qsl(query)))
        self._session = opens(self._socket)

    def _answer(self, answer: Answer) -> None:
        head = (
            f"HTTP/1.1 {answer.status}\r\nContent-Type: {answer.kind}\r\nContent-Length: {len(answer.body)}\r\n\r\n"
        )
        if answer.sending is not None:
            answer.sending()
        if self._transport is not None:
            self._transport.write(head.encode() + answer.body)
