"""One utterance on its way through the service: which text goes into which context, and when its words sound. Pure.

Usually an utterance is one context. It takes a further one when the agent paused in mid-utterance: the service lets
a context expire about a second after its last audio, and text that comes later needs a new one.
"""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from bridge.audio.codec import BYTES_PER_MS
from bridge.conversation.events import Word
from bridge.tts.cartesia_wire import WordTimes

_EXPIRY_S: Final = 0.8
"""A context without new audio for this long takes no more text: the service's second, less the way there."""


class Piece(Struct, frozen=True):
    """A text to send: `Generate` without what is the same in all of them."""

    context_id: str
    transcript: str
    more: bool


class Utterance:
    """Texts in, pieces out; audio and word times in, times from the utterance's start out. Times are seconds."""

    def __init__(self, name: str, number: int, now: float, *, hold_s: float = 0.0) -> None:
        """`hold_s`: how long the service may hold a text before it speaks it."""
        self.number = number
        self.context_id = f"{name}-{number}"
        """Of the text that comes next, and of what was sent last."""
        self.contexts = [self.context_id]
        """All it ever had."""
        self.pieces: list[Piece] = []
        """What the current context was asked for, while it gave no audio: it can be asked for again."""
        self.complete = False
        """The agent said that there is no more text."""
        self.heard = False
        """Audio of the current context has come."""
        self.touched_at = now
        """When something was asked for or came."""
        self.open = False
        """The current context was asked for something and is not done."""
        self._first_id = self.context_id
        self._held = ""  # white space, which the service is not asked to speak alone
        self._used = False  # the current context was asked for something
        self._closed_late = False  # the context had probably expired when it was told that it is complete
        self._audio_at: float | None = None  # last audio of the current context
        self._asked_at = now  # last text of the current context
        self._hold_s = hold_s
        self._bytes = 0
        self._context_from_s = 0.0  # where the current context's audio begins in the utterance
        self._flush_from_s = 0.0  # what to add to its word times
        self._boundary_s = 0.0  # its audio up to the last flush
        self._last_start = 0.0

    @property
    def finished(self) -> bool:
        """Everything was asked for and has come."""
        return self.complete and not self.open

    @property
    def waiting(self) -> bool:
        """The next move is the service's."""
        return self.open and (self.complete or not self.heard)

    @property
    def only_closing(self) -> bool:
        """All text was asked for and its audio came; only the service's word that it is done is missing.

        That word may never come, because the context may have expired before it was told that it is complete.
        """
        return self.waiting and self._closed_late

    def add(self, text: str, *, more: bool, now: float) -> list[Piece]:
        """Take the next text of the utterance; the pieces to send, verbatim, joined with white space held back."""
        if self.complete:
            return []
        self.complete = not more
        self.touched_at = now
        text = self._held + text
        if not text.strip():
            self._held = text
            if more or not self.open:
                return []
            self._closed_late = self._expired(now)
            return self._ask("", more=False, now=now)
        self._held = ""
        if self._used and (not self.open or self._expired(now)):
            self._next_context()
        return self._ask(text, more=more, now=now)

    def restart(self, now: float) -> list[Piece]:
        """The connection was lost before the current context gave audio: its pieces, again, in a new one."""
        asked = self.pieces
        self.touched_at = now
        self._next_context()
        return [again for piece in asked for again in self._ask(piece.transcript, more=piece.more, now=now)]

    def take_audio(self, context_id: str, audio: bytes, now: float) -> None:
        """Audio came."""
        self.touched_at = now
        self._bytes += len(audio)
        if context_id == self.context_id:
            self._audio_at = now
            self.heard = True
            self.pieces.clear()

    def take_words(self, context_id: str, times: WordTimes, now: float) -> tuple[Word, ...]:
        """Word times came; the same from the start of the utterance.

        The service counts from the start of the context. Should it begin anew with each text of a context, the
        times jump back, and count from the end of the audio of the text before.
        """
        self.touched_at = now
        if context_id != self.context_id or not times.start:
            return ()
        if times.start[0] + self._flush_from_s < self._last_start:
            self._flush_from_s = self._boundary_s
        shift = self._context_from_s + self._flush_from_s
        self._last_start = times.start[-1] + self._flush_from_s
        return tuple(
            Word(word, start + shift, end + shift)
            for word, start, end in zip(times.words, times.start, times.end, strict=False)
        )

    def take_boundary(self, context_id: str) -> None:
        """The audio of one text of the context is complete (`flush_done`)."""
        if context_id == self.context_id:
            self._boundary_s = self._seconds() - self._context_from_s

    def take_done(self, context_id: str, now: float) -> bool:
        """A context is done. True if the whole utterance is."""
        self.touched_at = now
        if context_id == self.context_id:
            self.open = False
        return self.finished

    def _ask(self, text: str, *, more: bool, now: float) -> list[Piece]:
        self._used = self.open = True
        self._asked_at = now
        piece = Piece(self.context_id, text, more)
        if not self.heard:
            self.pieces.append(piece)
        return [piece]

    def _expired(self, now: float) -> bool:
        """Whether the context has probably expired. It has not while a text of it is still to be spoken.

        A further context beside one that still speaks would mix the audio of both.
        """
        if self._audio_at is None or self._audio_at < self._asked_at:
            return False
        return now - max(self._audio_at, self._asked_at + self._hold_s) > _EXPIRY_S

    def _next_context(self) -> None:
        self.context_id = f"{self._first_id}.{len(self.contexts) + 1}"
        self.contexts.append(self.context_id)
        self.pieces = []
        self.heard = False
        self._audio_at = None
        self._context_from_s = self._seconds()
        self._flush_from_s = self._boundary_s = self._last_start = 0.0

    def _seconds(self) -> float:
        return self._bytes / BYTES_PER_MS / 1000
