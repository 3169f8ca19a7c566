"""Where a part of a list ends and the next begins, as opaque text. Pure.

A cursor names the last row that was given, not a count of rows: what comes in meanwhile moves nothing.
"""

from __future__ import annotations

import base64
import zlib
from typing import Final, TypeVar

import msgspec

from bridge.errors import BridgeError

T = TypeVar("T")

_SUM_BYTES: Final = 4


def cursor(position: tuple[int | str, ...]) -> str:
    """A position as text for addresses: letters, digits, - and _."""
    content = msgspec.json.encode(position)
    return base64.urlsafe_b64encode(_sum(content) + content).decode().rstrip("=")


def position(text: str, kind: type[T]) -> T:
    """The position that a cursor names. Raises `BridgeError` (code `cursor_invalid`) when it is none of ours."""
    try:
        whole = base64.b64decode(text.encode("ascii") + b"=" * (-len(text) % 4), altchars=b"-_", validate=True)
        content = whole[_SUM_BYTES:]
        found = msgspec.json.decode(content, type=kind)
    except ValueError:  # also that of base64 and msgspec
        raise _invalid() from None
    if whole[:_SUM_BYTES] != _sum(content):
        raise _invalid()
    return found


def _invalid() -> BridgeError:
    said = "this cursor is none that was given out for this list: begin again without one"
    return BridgeError(said, code="cursor_invalid")


def _sum(content: bytes) -> bytes:
    return zlib.crc32(content).to_bytes(_SUM_BYTES, "big")
