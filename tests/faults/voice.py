"""A voice whose sound says which word it is, so that what a phone has played can be read back word by word."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from bridge.simulator.phone import Stretch
from tests.scripted_speech import WORD_S

_NUMBERS: dict[str, int] = {}
_WORDS: list[str] = []
_BYTES_PER_S = 8000
_PERIOD = re.compile(rb"(?s)([\x00-\x07])\1{3}([\x80-\x8f])\2{3}([\x08-\x0f])\3{3}([\x80-\x8f])\4{3}")
"""Sixteen samples, four times the same one: fourteen bits of a word's number, and loud enough to be speech."""
_GAP_S = 0.02
"""Between two pieces of the same word there is no more than this."""


@dataclass(frozen=True, slots=True)
class Heard:
    """A word as it sounded at the caller's ear."""

    at_s: float
    """Call time of its begin."""
    end_s: float
    word: str


@dataclass(frozen=True, slots=True)
class Sentence:
    """Words that belong to one sentence that somebody meant to say."""

    at_s: float
    end_s: float
    what: str
    """What the sentence is, as the table calls it."""


def sound_of_word(word: str) -> bytes:
    """Return the sound of a word, a quarter of a second long. Equal words sound the same in all calls."""
    number = _NUMBERS.get(word)
    if number is None:
        number = _NUMBERS[word] = len(_WORDS)
        _WORDS.append(word)
    a, b, c, d = number & 7, (number >> 3) & 15, (number >> 7) & 7, (number >> 10) & 15
    period = b"".join(bytes([byte]) * 4 for byte in (a, 0x80 | b, 0x08 | c, 0x80 | d))
    return period * round(WORD_S * _BYTES_PER_S / len(period))


def words_in(stretches: Iterable[Stretch]) -> list[Heard]:
    """Return the words that sounded, in their order; what is no sound of this voice is passed over."""
    found: list[Heard] = []
    for stretch in stretches:
        for match in _PERIOD.finditer(stretch.audio):
            a, b, c, d = (group[0] for group in match.groups())
            number = a | (b & 15) << 3 | (c & 7) << 7 | (d & 15) << 10
            if number >= len(_WORDS):
                continue
            at, end = (stretch.start_s + offset / _BYTES_PER_S for offset in match.span())
            last = found[-1] if found else None
            goes_on = last is not None and last.word == _WORDS[number] and at - last.end_s < _GAP_S
            if goes_on and last is not None and end - last.at_s < WORD_S + _GAP_S:
                found[-1] = Heard(last.at_s, end, last.word)
            else:
                found.append(Heard(at, end, _WORDS[number]))
    return found


def sentences_in(words: list[Heard], known: Mapping[str, str]) -> list[Sentence]:
    """Tell which of the `known` texts (by what they are called) the words belong to, in the order of sounding."""
    texts = {what: text.split() for what, text in known.items() if text}
    found: list[Sentence] = []
    at = 0
    while at < len(words):
        what, length = "unknown words", 1
        for name, text in texts.items():
            for start in range(len(text)):
                matching = _matching(words[at:], text[start:])
                if matching > length or (matching == length == 1 and what == "unknown words"):
                    what, length = name, matching
        begin, end = words[at].at_s, words[at + length - 1].end_s
        if found and found[-1].what == what:
            found[-1] = Sentence(found[-1].at_s, end, what)
        else:
            found.append(Sentence(begin, end, what))
        at += length
    return found


def _matching(words: list[Heard], text: list[str]) -> int:
    count = 0
    for heard, word in zip(words, text, strict=False):
        if heard.word != word:
            break
        count += 1
    return count
