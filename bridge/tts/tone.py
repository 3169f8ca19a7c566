"""The null voice: a beep for each word, with exact word times, at once and without any service.

For tests and benchmarks: what was heard of a text can be counted in beeps.
"""

from __future__ import annotations

import asyncio
import functools
import math
import struct

from bridge.audio.codec import BYTES_PER_MS, SAMPLE_RATE, linear16_to_mulaw, silence
from bridge.conversation.events import SpeechArrived, SpeechEvent, SpeechFinished, Word, WordsTimed
from bridge.tts.base import EmitSpeech, Synthesizer, Voice, nobody

_WORD_MS = 200
"""How long a word sounds; then comes a gap."""
_GAP_MS = 50
_WORD_S, _STEP_S = _WORD_MS / 1000, (_WORD_MS + _GAP_MS) / 1000
_PITCH_HZ = 440
_FADE_MS = 10
"""Keeps a beep from clicking."""


class ToneVoice(Synthesizer):
    """Speaks every word as a beep of the same length, followed by a pause."""

    def warm(self) -> None:
        """There is nothing to connect to."""

    def open(self, emit: EmitSpeech, *, name: str) -> Voice:  # noqa: ARG002 - there is no log to name it in
        """Start a voice; see `Synthesizer.open`."""
        return _Beeps(emit)

    async def close(self) -> None:
        """Nothing is held."""


class _Beeps(Voice):
    def __init__(self, emit: EmitSpeech) -> None:
        self._emit = emit
        self._loop = asyncio.get_running_loop()
        self._texts: dict[int, str] = {}  # of open utterances: the word that may not be whole yet
        self._counts: dict[int, int] = {}  # words that were spoken
        self._ended: set[int] = set()

    def speak(
        self,
        utterance: int,
        text: str,
        *,
        more: bool,
        voice: str | None = None,  # noqa: ARG002 - there is one beep only
        language: str | None = None,  # noqa: ARG002 - understood in all of them
    ) -> None:
        """Speak a piece; see `Voice.speak`. What it emits comes in the next round of the event loop."""
        if utterance in self._ended:
            return
        text = self._texts.get(utterance, "") + text
        whole = len(text) if not more else _end_of_last_whole_word(text)
        words, self._texts[utterance] = text[:whole].split(), text[whole:]
        if words:
            first = self._counts.get(utterance, 0)
            self._counts[utterance] = first + len(words)
            timed = tuple(Word(word, n * _STEP_S, n * _STEP_S + _WORD_S) for n, word in enumerate(words, first))
            self._tell(WordsTimed(utterance, timed))
            self._tell(SpeechArrived(utterance, _beep() * len(words)))
        if not more:
            self._tell(SpeechFinished(utterance))

    def cancel(self, utterance: int) -> None:
        """Stop an utterance; see `Voice.cancel`."""
        self._end(utterance)

    async def close(self) -> None:
        """Cancel what is open."""
        for utterance in [*self._texts]:
            self._end(utterance)
        self._emit = nobody

    def _tell(self, event: SpeechEvent) -> None:
        # Not at once: whoever asked for the speech is still busy with that.
        self._loop.call_soon(self._pass_on, event)

    def _pass_on(self, event: SpeechEvent) -> None:
        if event.utterance not in self._ended:
            if isinstance(event, SpeechFinished):
                self._end(event.utterance)
            self._emit(event)

    def _end(self, utterance: int) -> None:
        self._ended.add(utterance)
        self._texts.pop(utterance, None)
        self._counts.pop(utterance, None)


def _end_of_last_whole_word(text: str) -> int:
    """How much of `text` is whole words: all up to its last white space."""
    return max((at + 1 for at, character in enumerate(text) if character.isspace()), default=0)


@functools.cache
def _beep() -> bytes:
    """A word and its gap in mu-law, with soft edges."""
    count, fade = _WORD_MS * BYTES_PER_MS, _FADE_MS * BYTES_PER_MS
    samples = (
        int(8000 * min(1, n / fade, (count - 1 - n) / fade) * math.sin(2 * math.pi * _PITCH_HZ * n / SAMPLE_RATE))
        for n in range(count)
    )
    return linear16_to_mulaw(struct.pack(f"<{count}h", *samples)) + silence(_GAP_MS)
