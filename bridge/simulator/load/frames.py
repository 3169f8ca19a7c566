"""WebSocket frames as bytes (RFC 6455), as few operations as they can be made and read with. Pure.

A client must mask what it sends; a key of zeros is a legal one and leaves the payload as it is. The other end has
to unmask all the same, so this saves the sender's work and none of the receiver's.
"""

from __future__ import annotations

import base64
import hashlib
from typing import Final

TEXT: Final = 1
BINARY: Final = 2
CLOSE: Final = 8
PING: Final = 9
PONG: Final = 10

_FIN: Final = 0x80
_MASKED: Final = 0x80
_WHOLE_BINARY: Final = _FIN | BINARY
_MASKED_MEDIUM: Final = _MASKED | 126
_NO_KEY: Final = b"\0\0\0\0"
_GUID: Final = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_KEPT: Final = 1024


def _head(opcode: int, length: int, masked: int) -> bytes:
    first = bytes([_FIN | opcode])
    if length < 126:
        return first + bytes([masked | length])
    if length < 1 << 16:
        return first + bytes([masked | 126]) + length.to_bytes(2, "big")
    return first + bytes([masked | 127]) + length.to_bytes(8, "big")


CLIENT_TEXT_HEADS: Final = tuple(_head(TEXT, length, _MASKED) + _NO_KEY for length in range(_KEPT))
"""What stands before a client's text of so many bytes, for texts as short as a 20 ms media message."""


def client_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A whole frame of a client, masked with zeros."""
    return _head(opcode, len(payload), _MASKED) + _NO_KEY + payload


def server_frame(payload: bytes, opcode: int = TEXT) -> bytes:
    """A whole frame of a server, not masked."""
    return _head(opcode, len(payload), 0) + payload


def accept_key(key: bytes) -> bytes:
    """What a server answers to `Sec-WebSocket-Key`."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


class FrameReader:
    """Cuts what comes over a connection, in whatever pieces, into messages."""

    __slots__ = ("_begun", "_opcode", "_rest")

    def __init__(self) -> None:
        self._rest = b""
        self._begun = b""
        self._opcode = 0

    def feed(self, data: bytes) -> list[tuple[int, bytes]]:
        """The messages that are whole now: opcode and payload, unmasked. Fragments of one are joined."""
        if self._rest:
            data = self._rest + data
        elif len(data) > 8 and data[0] == _WHOLE_BINARY and data[1] == _MASKED_MEDIUM:
            # By far the most of what comes is one binary message of a client, of 126 bytes to 64 KB.
            length = data[2] << 8 | data[3]
            if len(data) == length + 8:
                return [(BINARY, _unmasked(data[8:], data[4:8]))]
        found: list[tuple[int, bytes]] = []
        at, end = 0, len(data)
        while end - at >= 2:
            length = data[at + 1] & 0x7F
            start = at + 2
            if length == 126:
                start += 2
                length = int.from_bytes(data[at + 2 : start], "big")
            elif length == 127:
                start += 8
                length = int.from_bytes(data[at + 2 : start], "big")
            key = b""
            if data[at + 1] & _MASKED:
                key = data[start : start + 4]
                start += 4
            # A length of which not all bytes are here yet is wrong, and then so is the start beyond the end.
            if start > end or start + length > end:
                break
            payload = data[start : start + length]
            if key and key != _NO_KEY:
                payload = _unmasked(payload, key)
            self._take(data[at], payload, found)
            at = start + length
        self._rest = data[at:]
        return found

    def _take(self, first: int, payload: bytes, found: list[tuple[int, bytes]]) -> None:
        opcode = first & 0x0F
        if first & _FIN and opcode:
            found.append((opcode, payload))
            return
        if opcode:
            self._opcode, self._begun = opcode, b""
        self._begun += payload
        if first & _FIN:
            found.append((self._opcode, self._begun))


def _unmasked(payload: bytes, key: bytes) -> bytes:
    length = len(payload)
    pattern = (key * (length // 4 + 1))[:length]
    # Two whole numbers and one operation: a loop over bytes would cost more than all the rest.
    return (int.from_bytes(payload, "little") ^ int.from_bytes(pattern, "little")).to_bytes(length, "little")
