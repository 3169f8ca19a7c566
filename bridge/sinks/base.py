"""What a sink must do. This is all you must write: a `Sink`."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from msgspec import Struct

from bridge.errors import BridgeError


class Waiting(Struct, frozen=True):
    """A document that waits to be sent."""

    number: int
    """Its place in the outbox; within a call it grows with every entry."""
    call: str
    """The bridge's id of the call."""
    id: str
    """`<call>-<number of the entry>`: the same each time that it is sent."""
    body: bytes
    """JSON."""


class SinkDownError(BridgeError):
    """Nothing can be sent now; it is tried again later."""

    def __init__(self, message: str, *, done: Collection[int] = ()) -> None:
        super().__init__(message, code="sink_down")
        self.done = frozenset(done)
        """Numbers of those that were sent all the same."""


class Sent(Struct, frozen=True):
    """What became of a batch."""

    done: frozenset[int]
    """Numbers of those that were sent."""
    refused: frozenset[int] = frozenset()
    """Numbers of those that the other side does not take: it takes others. Their calls are tried again later."""
    why: str = ""


class Sink(Protocol):
    """Sends documents to one place."""

    async def send(self, batch: Sequence[Waiting]) -> Sent:
        """Send what can be sent, those of one call in order: behind one that was not, none of its call is.

        Raises `SinkDownError`. Cancelling leaves open what was sent.
        """

    async def close(self) -> None:
        """Let go."""
