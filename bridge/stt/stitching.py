"""One turn over several connections: where the audio begins again after a drop, and how the texts are joined. Pure.

A service that is connected to anew knows nothing of the turn that was open. It hears the end of the turn's audio
again, reports a turn of its own, and tells the words of that audio from the first one on. A `Stitcher` makes one
turn of it. It goes by positions in the session's audio (bytes): a word that was told when the audio up to `sent`
had gone was spoken before `sent`, and not more than `LAG_BYTES` before it. So the audio after a drop begins that
much before a word was told, and then the second text begins at that word or before it.
"""

from __future__ import annotations

from bisect import bisect_right
from typing import Final

from bridge.audio.codec import BYTES_PER_MS
from bridge.conversation.events import (
    RecognizerEvent,
    TurnEagerlyEnded,
    TurnEnded,
    TurnResumed,
    TurnStarted,
    TurnUpdated,
)
from bridge.stt.overlap import append, join, latest_certain, words_of

LAG_BYTES: Final = 3000 * BYTES_PER_MS
"""How far the text may be behind its audio: two seconds, and half as much again while a backlog is sent."""
ONSET_BYTES: Final = 1000 * BYTES_PER_MS
"""How far the report that a turn began may be behind the first sound of it."""
SEARCH_BYTES: Final = 500 * BYTES_PER_MS
"""How much earlier the audio may begin again, so that it does not begin inside a word."""
_TAIL_WORDS: Final = 80
"""More words are not said in the audio that is kept."""
_QUIET_BYTES: Final = 100 * BYTES_PER_MS
_STEP_BYTES: Final = 20 * BYTES_PER_MS
_LOUDNESS: Final = bytes(~byte & 0x7F for byte in range(256))
"""Mu-law's own measure, which is about a logarithm: 0 for silence, 127 for the loudest sample, of either sign."""


class Stitcher:
    """The speaker's turn over all connections. `sent` is the position up to which audio has gone."""

    def __init__(self) -> None:
        self.open = False
        """A turn was reported and has not ended."""
        self.service_open = False
        """The service has a turn open on this connection, of which the speaker's turn may have been forgotten."""
        self._joining = False
        self._ignoring = False
        self._eager = False
        self._text = ""
        self._told: list[int] = []
        self._settled = 0
        # Of the open turn: where its audio begins, where the service last said something, where to begin again.
        self._began = 0
        self._heard_at = 0
        self._start = 0
        self._latest_word = 0
        # Of the turn on this connection, if an earlier one heard its beginning: the text until then, and between
        # which of its words the new text begins; and what this connection took for a turn of its own before that.
        self._old = ""
        self._first = 0
        self._last = 0
        self._until = 0
        self._before = ""

    @property
    def resume_at(self) -> int | None:
        """Where the audio of the open turn has to begin again after a drop; None without an open turn."""
        return self._start if self.open else None

    @property
    def hold_from(self) -> int | None:
        """From where on audio that has gone must be kept; None without an open turn."""
        return self._start - SEARCH_BYTES if self.open else None

    @property
    def joining(self) -> bool:
        """The open turn began on an earlier connection."""
        return self.open and self._joining

    @property
    def waiting(self) -> bool:
        """The open turn began on an earlier connection, and this one has no turn for it (yet, or any more)."""
        return self.joining and not self.service_open

    def take(self, event: RecognizerEvent, sent: int) -> list[RecognizerEvent]:
        """What an event of the connection means for the speaker's turn."""
        if isinstance(event, TurnStarted):
            self.service_open = True
        elif isinstance(event, TurnEnded):
            self.service_open = False
        if self._ignoring:
            self._ignoring = not isinstance(event, TurnStarted | TurnEnded)
            if not isinstance(event, TurnStarted):
                return []
        events = self._joined(event, sent) if self._joining else [event]
        for passed in events:
            self._note(passed, sent)
        self._heard_at = max(self._heard_at, sent)
        return events

    def resumed(self, start: int) -> None:
        """A connection was lost; audio will go again from `start` on (`resume_at`, or later if that is gone)."""
        self.service_open = self._ignoring = False
        self._joining = self.open
        self._old = self._text
        self._before = ""
        self._until = self._heard_at
        self._first = bisect_right(self._told, start)
        self._last = self._latest_word if start <= self._start else len(self._told)
        if start <= self._began:
            self._first = self._last = 0

    def forget(self, sent: int) -> None:
        """The turn was given up: what the service still tells of it is nobody's."""
        self._ignoring = self.service_open
        self._close(sent)

    def silence(self, sent: int) -> list[RecognizerEvent]:
        """All audio of the open turn was heard again, and no word in it: the turn is over."""
        if not self.open:
            return []
        text = self._text
        self._close(sent)
        return [TurnEnded(text)]

    # --- the open turn -----------------------------------------------------------------------------------------

    def _note(self, event: RecognizerEvent, sent: int) -> None:
        match event:
            case TurnStarted():
                self._open(sent)
            case TurnUpdated(transcript):
                self._eager = False
                self._tell(transcript, sent)
            case TurnEagerlyEnded(transcript):
                self._eager = True
                self._tell(transcript, sent)
            case TurnResumed():
                self._eager = False
            case TurnEnded():
                self._close(sent)

    def _open(self, sent: int) -> None:
        self.open = True
        self._eager = False
        self._text = ""
        self._told = []
        self._latest_word = 0
        self._began = self._start = max(self._settled, sent - ONSET_BYTES)
        self._heard_at = sent

    def _close(self, sent: int) -> None:
        self.open = self._joining = self._eager = False
        self._settled = sent
        self._text = self._old = self._before = ""
        self._told = []

    def _tell(self, text: str, sent: int) -> None:
        """Note the turn's text and where its words were first told."""
        if text == self._text:
            return
        if not self.open:  # the service never said that it began
            self._open(sent)
        old, new = words_of(self._text), words_of(text)
        same = 0
        while same < min(len(old), len(new)) and old[same].folded == new[same].folded:
            same += 1
        self._told[same:] = [sent] * (len(new) - same)
        self._text = text
        self._latest_word = self._latest_certain_word([word.folded for word in new[-_TAIL_WORDS:]])
        self._start = self._start_for(self._told[self._latest_word]) if self._latest_word else self._began

    def _start_for(self, told: int) -> int:
        """Where the audio must begin for a word that was told then to be in it."""
        return max(self._began, told - LAG_BYTES)

    def _latest_certain_word(self, tail: list[str]) -> int:
        """The last word before which the audio may begin so that the new text says where it began.

        0: only the whole turn is certain.
        """
        skipped = len(self._told) - len(tail)
        earliest = []
        for index, told in enumerate(self._told[skipped:]):
            start = self._start_for(told)
            if start == self._began:
                earliest.append(index)  # the first word will be heard again, so there is nothing to doubt
            else:
                earliest.append(max(0, bisect_right(self._told, start - SEARCH_BYTES) - skipped))
        certain = latest_certain(tail, earliest)
        if certain == 0 and skipped:
            return len(self._told) - 1  # such a litany is longer than the audio that can be kept
        return skipped + certain

    # --- a turn that goes on over a new connection -------------------------------------------------------------

    def _joined(self, event: RecognizerEvent, sent: int) -> list[RecognizerEvent]:
        # Up to here the earlier connection heard the turn go on, so no pause before it can be its end.
        too_early = sent < self._until
        match event:
            case TurnUpdated(transcript):
                return self._grown(self._stitched(transcript))
            case TurnEagerlyEnded(transcript):
                text = self._stitched(transcript)
                return self._grown(text) if too_early else self._eagerly_ended(text)
            case TurnEnded(transcript):
                text = self._stitched(transcript)
                if not too_early:
                    return [TurnEnded(text)]
                self._before = append(self._before, transcript)
                return self._grown(text)
            case TurnResumed() if self._eager:
                return [event]
            case _:
                return []

    def _stitched(self, transcript: str) -> str:
        """The text of the whole turn, with what this connection tells of it; never with fewer words than before."""
        joined = join(self._old, append(self._before, transcript), self._first, self._last)
        if not joined.grown or len(words_of(joined.text)) < len(self._told):
            return self._text
        return joined.text

    def _grown(self, text: str) -> list[RecognizerEvent]:
        if text == self._text:
            return []
        return [*self._not_over(), TurnUpdated(text)]

    def _eagerly_ended(self, text: str) -> list[RecognizerEvent]:
        if self._eager and text == self._text:
            return []
        return [*self._not_over(), TurnEagerlyEnded(text)]

    def _not_over(self) -> list[RecognizerEvent]:
        """The end that the earlier connection thought likely was none."""
        return [TurnResumed()] if self._eager else []


def quiet_point(audio: bytes) -> int:
    """Where to cut mu-law audio so that no word is cut: inside its quietest 100 ms, at the end if all is alike."""
    loudness = audio.translate(_LOUDNESS)
    best, where = None, len(audio)
    for begin in range(len(audio) - _QUIET_BYTES, -1, -_STEP_BYTES):
        level = sum(loudness[begin : begin + _QUIET_BYTES])
        if best is None or level < best:
            best, where = level, begin + _QUIET_BYTES // 2
    return where
