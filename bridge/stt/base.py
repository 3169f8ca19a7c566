"""What a speech-to-text adapter must do. This is all you must write: a `RecognizerFactory` and its `Recognizer`.

A recogniser turns one side of one call into turn events (`bridge.conversation.events.RecognizerEvent`). It
reports them through the `emit` callback it was opened with, on the event loop, in order and without ever
waiting: the callback is synchronous, so that a barge-in acts in the very read that brought it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from bridge.conversation.events import RecognizerEvent

EmitTurn: TypeAlias = Callable[[RecognizerEvent], None]


class Recognizer(Protocol):
    """One speech-to-text session: one speaker of one call."""

    def send(self, audio: bytes) -> None:
        """Take mu-law audio (8000 Hz, mono, any length) of the speaker.

        Never waits and never raises: audio that comes before the connection is up, or while it is lost, is
        kept (bounded) and sent later. Pieces are joined to the size the service likes.
        """

    async def finish(self) -> None:
        """Say that no more audio comes, and read the last words until the service closes.

        Emits what still comes and then `RecognizerClosed`, once. Bounded by the adapter's drain limit.
        Cancelling drops the connection at once; `RecognizerClosed` is then not emitted.
        """

    async def abort(self) -> None:
        """Drop the connection at once; nothing is emitted any more. May be called after `finish` too."""


class RecognizerFactory(Protocol):
    """Opens recognisers; one per process."""

    def open(self, emit: EmitTurn, *, name: str) -> Recognizer:
        """Start a session. Returns at once; connecting goes on in the background.

        `name` tells sessions apart in the log (a call's id and speaker).
        Failures arrive as `RecognizerFailed`, never as exceptions.
        """

    async def close(self) -> None:
        """Release what the factory holds; sessions still open are aborted."""
