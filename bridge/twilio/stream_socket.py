"""The short way of a media stream's messages: from the bytes of the socket to the call, without a task in between.

A call brings fifty frames a second, and what they cost is not their bytes but the way through aiohttp: a queue, a
future and a task to be woken for each. `StreamSocket` is aiohttp's own WebSocket with a `FastPath` before its
reader. It knows one kind of frame, whole masked texts of up to 64 KB, which is all that a carrier sends while a
call goes on: those it hands to the call in the very read that brought them, and what came together goes together.
All other frames (closing, pings, fragments, anything against RFC 6455) go to aiohttp's reader as if nothing were
there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final, Protocol

import structlog
from aiohttp import web
from websockets.frames import apply_mask  # type: ignore[attr-defined]  # the compiled one, where it is

_TEXT: Final = 0x81
"""First byte of a text frame that is a whole message."""
_MASKED: Final = 0x80
_CONTROL: Final = frozenset({0x88, 0x89, 0x8A})
"""First bytes of close, ping and pong."""
_LONG: Final = 126
"""As length: the real one follows in two bytes. One more: in eight."""
_MASK_BYTES: Final = 4
_WRITTEN_AHEAD_BYTES: Final = 64 * 1024
"""What may lie between us and the network: some six seconds of speech."""

log = structlog.get_logger()


class Reader(Protocol):
    """What aiohttp's reader is to its connection."""

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes as they come; returns whether the stream is to end, and what is left over."""

    def feed_eof(self) -> None:
        """Nothing more comes."""


class FastPath:
    """Stands before aiohttp's reader of one socket.

    Until `open` every frame goes on to that reader; from then on texts go to the call. What is neither a text nor a
    control frame closes it for good: from there on everything goes the long way, so that the order holds.
    """

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self._take: Callable[[bytes], bool] | None = None
        self._read: Callable[[], None] | None = None
        self._rest = b""
        self._aside = False
        self.passed_on = 0
        """Texts that went on to aiohttp's reader."""

    def open(self, take: Callable[[bytes], bool], read: Callable[[], None]) -> None:
        """From now on hand texts to `take`, and call `read` when all of what came together was taken.

        A text for which `take` returns False closes the fast path: it and all that follows goes the long way.
        Neither may raise.
        """
        self._take, self._read = take, read

    def close(self) -> None:
        """Let everything go on to aiohttp's reader again."""
        self._take = self._read = None

    def feed_data(self, data: bytes) -> tuple[bool, bytes]:
        """Take bytes as they come; as aiohttp's reader."""
        if self._aside:
            return self._reader.feed_data(data)
        if self._rest:
            data = self._rest + data
        at, end = 0, len(data)
        ended = False, b""
        while end - at >= 2 + _MASK_BYTES and not ended[0]:
            first, second = data[at], data[at + 1]
            begin, size = at + 2, second & ~_MASKED
            if size == _LONG:
                size = data[at + 2] << 8 | data[at + 3]
                begin = at + 4
            stop = begin + _MASK_BYTES + size
            if second < _MASKED or second & ~_MASKED > _LONG or not (first == _TEXT or first in _CONTROL):
                return self._stand_aside(data[at:])
            if stop > end:
                break
            if first == _TEXT and self._take is not None:
                key = begin + _MASK_BYTES
                if not self._take(apply_mask(data[key:stop], data[begin:key])):
                    return self._stand_aside(data[at:])
            else:
                self.passed_on += first == _TEXT
                ended = self._reader.feed_data(data[at:stop])
            at = stop
        self._rest = data[at:]
        if self._read is not None:
            self._read()
        return ended

    def feed_eof(self) -> None:
        """Nothing more comes; as aiohttp's reader."""
        self._reader.feed_eof()

    def _stand_aside(self, data: bytes) -> tuple[bool, bytes]:
        self._aside, self._rest = True, b""
        if self._read is not None:
            self._read()
        return self._reader.feed_data(data)


class StreamSocket(web.WebSocketResponse):
    """aiohttp's WebSocket with a fast path both ways, where that can be had."""

    fast_path: FastPath | None = None
    """What stands before the reader; None: every message goes the long way."""
    transport: asyncio.Transport | None = None
    """The connection below; None before the handshake."""

    def write_at_once(self, text: str) -> bool:
        """Write a text frame without waiting. False, and nothing is written: there is no room, or it is closed."""
        transport = self.transport
        if transport is None or self.closed or transport.is_closing():
            return False
        if transport.get_write_buffer_size() > _WRITTEN_AHEAD_BYTES:
            return False
        payload = text.encode()
        size = len(payload)
        if size < _LONG:
            head = bytes((_TEXT, size))
        elif size < 1 << 16:
            head = bytes((_TEXT, _LONG)) + size.to_bytes(2, "big")
        else:
            head = bytes((_TEXT, _LONG + 1)) + size.to_bytes(8, "big")
        transport.write(head + payload)
        return True

    def _post_start(self, request: Any, protocol: Any, writer: Any) -> None:
        """Put the fast path in its place at the one moment at which no byte of a frame has been read."""
        connection = request.protocol
        early = getattr(connection, "_message_tail", None) != b""
        super()._post_start(request, protocol, writer)
        self.transport = request.transport
        reader = getattr(connection, "_payload_parser", None)
        if early or reader is None:
            # Frames came before our answer, or this is an aiohttp that is built in another way: the long way it is.
            log.debug("stream_without_fast_path", early=early)
            return
        self.fast_path = connection._payload_parser = FastPath(reader)  # noqa: SLF001  There is no public way.
