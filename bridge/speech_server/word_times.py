"""When each word of an utterance sounds, if the engine does not say. Pure.

The words share the time in which there is sound, in proportion to how long they are to say. Where a word ends in a
sign and the sound has a gap near the place so found, the word ends at the gap, and the words on both sides are
shared out anew: so an error does not reach beyond a clause.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeAlias

Span: TypeAlias = tuple[float, float]
"""A stretch of sound: from, to, in seconds."""

_VOWELS: Final = re.compile(r"[aeiouyäöüáéíóúàèìòùâêîôûå]+", re.IGNORECASE)
_CLAUSE_END: Final = re.compile(r"[,.;:?!…–—]['\"”’)\]]*$")
_NEAR: Final = 0.45
"""Seconds between the place that was reckoned and the gap it is moved to, at most."""


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word as written and its times, seconds."""

    word: str
    start: float
    end: float


def share_out(words: Sequence[str], sound: Sequence[Span]) -> list[SpokenWord]:
    """Times for `words`, spoken one after another in the stretches of `sound` (in order, without overlap)."""
    if not words or not sound:
        return [SpokenWord(word, 0.0, 0.0) for word in words]
    cut = _clause_at_gap(words, sound)
    if cut is None:
        return _plain(words, sound)
    word, gap = cut
    return share_out(words[:word], sound[:gap]) + share_out(words[word:], sound[gap:])


def _clause_at_gap(words: Sequence[str], sound: Sequence[Span]) -> tuple[int, int] | None:
    """The clause end that lies nearest to a gap: how many words and how many stretches come before it."""
    times = _plain(words, sound)
    best: tuple[float, int, int] | None = None
    for count, timed in enumerate(times[:-1], start=1):
        if not _CLAUSE_END.search(timed.word):
            continue
        for gap in range(1, len(sound)):
            left, right = sound[gap - 1][1], sound[gap][0]
            distance = max(0.0, left - timed.end, timed.end - right)
            # Longer gaps are likelier ends of a clause than the closure of a consonant.
            rank = distance - (right - left)
            if distance <= _NEAR and (best is None or rank < best[0]):
                best = (rank, count, gap)
    return None if best is None else best[1:]


def _plain(words: Sequence[str], sound: Sequence[Span]) -> list[SpokenWord]:
    weights = [_weight(word) for word in words]
    per_weight = sum(end - start for start, end in sound) / sum(weights)
    times: list[SpokenWord] = []
    done = 0.0
    for word, weight in zip(words, weights, strict=True):
        start = _at(done * per_weight, sound, ending=False)
        done += weight
        times.append(SpokenWord(word, round(start, 3), round(_at(done * per_weight, sound, ending=True), 3)))
    return times


def _at(sounding: float, sound: Sequence[Span], *, ending: bool) -> float:
    """When so many seconds of sound have passed; at a gap its beginning if `ending`, else its end."""
    for start, end in sound:
        length = end - start
        if sounding < length - 1e-6 or (ending and sounding <= length + 1e-6):
            return start + max(sounding, 0.0)
        sounding -= length
    return sound[-1][1]


def _weight(word: str) -> float:
    """How long a word is to say, in about syllables."""
    letters = sum(character.isalpha() for character in word)
    digits = sum(character.isdigit() for character in word)
    return 0.6 * len(_VOWELS.findall(word)) + 0.16 * letters + 1.3 * digits + 0.2
