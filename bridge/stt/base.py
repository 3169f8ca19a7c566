"""What a speech-to-text adapter must do. This is all you must write: a `RecognizerFactory` and its `Recognizer`.

A recogniser turns one side of one call into turn events (`bridge.conversation.events.RecognizerEvent`). It
reports them through the `emit` callback it was opened with, on the event loop, in order and without ever
waiting: the callback is synchronous, so that a barge-in acts in the very read that brought it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from bridge.conversation.actions import Tuning
from bridge.conversation.events import RecognizerEvent

EmitTurn: TypeAlias = Callable[[RecognizerEvent], None]


class Recognizer(Protocol):
    """One speech-to-text session: one speaker of one call.

    A connection that breaks is restored behind this contract: `RecognizerLost`, then `RecognizerConnected`. A turn
    that was open goes on: there is no second `TurnStarted` for it, its texts go on from the text it had, every
    spoken word stands in them once, and it ends in one `TurnEnded`. However long that takes, the adapter never ends
    a turn by itself because of an outage; when the conversation gives up waiting it calls `forget`.
    """

    def send(self, audio: bytes) -> None:
        """Take mu-law audio (8000 Hz, mono, any length) of the speaker.

        Never waits and never raises: audio that comes before the connection is up, or while it is lost, is
        kept (bounded) and sent later. Pieces are joined to the size the service likes.
        """

    def forget(self) -> None:
        """Drop audio that was taken and not delivered yet, and what is kept of an open turn.

        The conversation has given the turn up; what the service still tells of it must not be emitted as a turn.
        """

    def tune(self, tuning: Tuning) -> None:
        """Change settings of the session; what is None stays.

        Never waits and never raises. What the service can change in mid-session takes effect at once; for the rest
        the session connects anew between two turns, and the audio that comes meanwhile is kept and sent. Forbidden
        values change nothing: they are logged, and reported as a `RecognizerFailed` that is not final.
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
