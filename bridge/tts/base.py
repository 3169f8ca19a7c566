"""What a text-to-speech adapter must do. This is all you must write: a `Synthesizer` and its `Voice`.

A voice speaks the utterances of one call. It reports audio, word times, the end and failures of each utterance
through the `emit` callback it was opened with, on the event loop, in order and without ever waiting.
Audio is always mu-law, 8000 Hz, mono: what the phone plays.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from bridge.conversation.events import SpeechEvent

EmitSpeech: TypeAlias = Callable[[SpeechEvent], None]


class Voice(Protocol):
    """The agent's voice in one call."""

    def speak(
        self, utterance: int, text: str, *, more: bool, voice: str | None = None, language: str | None = None
    ) -> None:
        """Speak `text` as (a further piece of) `utterance`.

        Pieces of one utterance are joined verbatim. `more=False` says this piece is the last; the text may
        then be empty. `voice` and `language` are the same in every piece of an utterance; None means the
        settings'. Never waits and never raises: failures arrive as `SpeechFailed`, and every utterance ends
        in exactly one `SpeechFinished` or `SpeechFailed`, unless it is cancelled.
        """

    def cancel(self, utterance: int) -> None:
        """Stop synthesising `utterance`. Nothing is emitted for it any more, whatever the service still sends."""

    async def close(self) -> None:
        """Cancel every open utterance and release the voice's part of the connection, and whom it told.

        Whoever listens nearly always holds the voice: each would keep the other until the collector comes.
        """


class Synthesizer(Protocol):
    """Opens voices; one per process."""

    def warm(self) -> None:
        """Open the connection in the background, because a call is about to come. Never waits and never raises."""

    def open(self, emit: EmitSpeech, *, name: str) -> Voice:
        """Start a voice for one call. Returns at once and connects in the background if need be.

        `name` tells calls apart, in the log and in the service's context ids; it must be unique.
        """

    async def close(self) -> None:
        """Release the connections."""


def nobody(_event: SpeechEvent) -> None:
    """Who is told of what comes after a voice's end."""
