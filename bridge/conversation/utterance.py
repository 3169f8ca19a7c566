"""One stretch of the agent's speech: its text, its audio, and which word sounds where."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from bridge.conversation.caller import UNSPACED, count_words
from bridge.conversation.events import Word
from bridge.conversation.sound import Sound

BYTES_PER_SECOND = 8000
_GUESSED_BYTES_PER_CHARACTER = 1000
"""125 ms: slow speech, used until the length of an utterance is known, so that no word counts too early."""
_LONGEST_S = 1800.0
"""Speech of one utterance beyond this is not kept."""
_WORDS_AHEAD = 120
"""How many characters behind the last word the next one is looked for."""
_TAG: Final = re.compile("<[^<>]*>")


@dataclass(slots=True)
class Utterance:
    """One stretch of speech with one voice."""

    number: int
    words_needed: int | None
    """How many words of the caller cut it off; None: no words do."""
    keys: bool = True
    """Whether a key of the caller cuts it off."""
    preemptible: bool = False
    """Whether what the agent says of its own accord takes its place."""
    text: str = ""
    audio: Sound = field(default_factory=Sound)
    finished: bool = False
    failed: bool = False
    """The rest of its audio will never come."""
    words: list[tuple[int, int, int]] = field(default_factory=list)
    """For each word: where it ends in the text (characters), where it starts and ends in the audio (bytes)."""
    heard: int = 0
    """Characters of the text that were heard. Never shrinks."""
    missed: int = 0
    """Words in a row, up to the last that the service has timed, that were not found in the text."""

    def add_audio(self, audio: bytes) -> None:
        """Add what the service sent, up to the longest that is kept."""
        if len(self.audio) < _LONGEST_S * BYTES_PER_SECOND:
            self.audio.add(audio)

    def add_words(self, words: tuple[Word, ...]) -> None:
        """Tie the service's word times to the text."""
        for word in words:
            if not 0 <= word.start <= word.end < _LONGEST_S:
                continue  # No time at all.
            end = self._end_in_text(word.text.strip())
            self.words.append((end, to_bytes(word.start), to_bytes(word.end)))

    def _end_in_text(self, word: str) -> int:
        begin = self.words[-1][0] if self.words else 0
        end = _end_of(word, self.text, begin, min(begin + _WORDS_AHEAD, len(self.text)))
        # Found behind other words, it is another one that sounds the same; unless these words were not to be found
        # because the service speaks another form of them, or leaves them out: as is known after a few.
        if end is None or _count_words(self.text[begin : end - len(word)]) > 2 * self.missed:
            # The service speaks another form than the text has ("twenty" for "20"): it counts with the next word.
            self.missed += _count_words(word)
            return begin
        self.missed = 0
        while end < len(self.text) and not (self.text[end].isspace() or UNSPACED.match(self.text[end])):
            end += 1
        return end

    def characters_at(self, offset: int) -> int:
        """Return how much of the text has sounded, in whole words, when `offset` bytes of the audio have."""
        if self.finished and not self.failed and offset >= len(self.audio):
            return len(self.text)
        if self.words:
            return max((end for end, _, last in self.words if last <= offset), default=0)
        guessed = 0 if self.finished and not self.failed else len(self.text) * _GUESSED_BYTES_PER_CHARACTER
        spoken = max(len(self.audio), guessed)
        at = len(self.text) * offset // spoken if spoken else 0
        while at > 0 and not self.text[at : at + 1].isspace():
            at -= 1
        return at

    def rewind_to(self, offset: int) -> int:
        """Return where the word begins that sounds at `offset`; between words, `offset` itself."""
        for _, start, last in self.words:
            if last > offset:
                return min(start, offset)
        return offset

    def let_go(self, told: int) -> None:
        """Let the audio go that is never sent again, now that `told` bytes have sounded for certain.

        Speech that is cut off begins again with a word. Which one that is, is known once the next words' times are,
        or all of it has sounded.
        """
        if self.finished and told >= len(self.audio):
            self.audio.let_go(told)
        elif self.words and self.words[-1][2] > told:
            self.audio.let_go(self.rewind_to(told))

    def split(self, sent: int) -> str | None:
        """End the utterance behind its last whole word, because the rest of its audio will never come.

        `sent` bytes of it went to the phone already and stay. Returns the text that is to be spoken anew, or None
        if nobody can tell which words the audio has.
        """
        whole = [(end, last) for end, _, last in self.words if last <= len(self.audio)]
        if not whole and sent:
            return None
        said, heard_bytes = max(whole, default=(0, 0))
        if sent > heard_bytes > 0 and len(whole) == len(self.words):
            # The times of the last words that were sent have not come: at the pace of those before them.
            guessed = min(len(self.text), said * sent // heard_bytes)
            while guessed > said and not self.text[guessed : guessed + 1].isspace():
                guessed -= 1
            said = guessed
        rest = self.text[said:]
        self.text = self.text[:said]
        self.audio.cut(max(heard_bytes, sent))
        self.words = [word for word in self.words if word[0] <= said and word[2] <= len(self.audio)]
        self.finished = True
        return rest


def _end_of(word: str, text: str, begin: int, stop: int) -> int | None:
    """Return where a whole word ends that stands between two places of a text; None: it does not stand there."""
    at = text.find(word, begin, stop) if word else -1
    while at >= 0:
        end = at + len(word)
        if not (at and _joins(text[at - 1])) and not (end < stop and _joins(text[end])):
            return end
        at = text.find(word, at + 1, stop)
    return None


def _count_words(text: str) -> int:
    """Return how many words of a text are spoken: signs alone are not, nor are the tags that say how to speak."""
    return sum(count_words(word) for word in _TAG.sub(" ", text).split() if any(map(str.isalnum, word)))


def _joins(sign: str) -> bool:
    """Tell whether a sign beside a word makes it another word. Where no spaces are written, none does."""
    return (sign.isalnum() or sign == "_") and not UNSPACED.match(sign)


def to_bytes(seconds: float) -> int:
    """Return how many bytes of audio last so long."""
    return round(seconds * BYTES_PER_SECOND)
