"""Joining two texts of the same speech, of which the second begins somewhere inside the first. Pure.

Words are compared by a folded copy (case and punctuation do not count); the texts themselves are only ever cut, and
never changed, so that a transcript stays verbatim.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from msgspec import Struct

# Scripts that are written without spaces: there each character counts as a word.
_NO_SPACES: Final = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
)
_WORD: Final = re.compile(rf"[{_NO_SPACES}]|[^\s{_NO_SPACES}]+")
_UNSPACED: Final = re.compile(rf"[{_NO_SPACES}]")
_MATCH: Final = 2.0
_SHORT_MATCH: Final = 1.0
"""Short words are in every sentence: that they agree says less."""
_SHORT: Final = 3
_HALF_HEARD: Final = 1.0
_EDIT: Final = -2.0
"""As much as a match at least: of a phrase that comes again in other words ("the age of wisdom, it was the age of
foolishness") the longer overlap with a few words wrong must not win over the shorter one that is right."""


class Word(Struct, frozen=True):
    """A word of a text and where it stands there."""

    folded: str
    """For comparing: lower case, letters and digits only (all of it if it has none)."""
    begin: int
    core_end: int
    """Where its last letter or digit ends; what follows up to `end` is punctuation."""
    end: int


class Joined(Struct, frozen=True):
    """The joint text."""

    text: str
    grown: bool
    """False: all of the second text is still inside the first, and `text` is the first."""


def words_of(text: str) -> tuple[Word, ...]:
    """The words of a text, in order."""
    return tuple(_word(match) for match in _WORD.finditer(text))


def join(old: str, new: str, first: int, last: int) -> Joined:
    """The text of speech that `old` tells the beginning of, and `new` the rest from some word of `old` on.

    `new` begins at a word of `old` whose index is from `first` to `last`; the number of words itself is the end of
    `old`. In the overlap the words of `old` count up to the last one on which both agree, and from there on `new`.
    """
    before, after = words_of(old), words_of(new)
    if not after:
        return Joined(old, grown=False)
    if not before:
        return Joined(append(old, new), grown=True)
    cut = _exact(before, after, first, last) or _likely(before, after, first, last)
    if cut.inside:
        return Joined(old, grown=False)
    if cut.agreed:
        text = append(old[: before[cut.old - 1].core_end], new[after[cut.new - 1].core_end :])
    else:
        text = append(old[: before[cut.old - 1].end] if cut.old else "", new)
    return Joined(text, grown=True)


def append(old: str, new: str) -> str:
    """One text after the other, with a space only where two words would become one."""
    fused = old[-1:].isalnum() and new[:1].isalnum()
    return f"{old} {new}" if fused and not _UNSPACED.match(old[-1]) and not _UNSPACED.match(new) else old + new


def latest_certain(words: Sequence[str], earliest: Sequence[int]) -> int:
    """The last index at which a second text may begin at the latest without doubt about where it began.

    For each index `a`, `earliest[a]` is the first word at which the second text could begin if it is only known to
    begin at `a` or before. Where a phrase is said again and again up to the end ("no, no, no") two beginnings may
    look the same: then `a` has to be in front of the repetition. 0 if nothing else is certain.
    """
    count = len(words)
    repeats = [(period, _periodic_from(words, period)) for period in range(1, count)]
    for index in range(count - 1, 0, -1):
        if not any(max(earliest[index], begin) + period <= index for period, begin in repeats):
            return index
    return 0


def _periodic_from(words: Sequence[str], period: int) -> int:
    """The first index from which on each word equals the one `period` words later, as far as there is one."""
    index = len(words) - period
    while index > 0 and words[index - 1] == words[index - 1 + period]:
        index -= 1
    return index


class _Cut(Struct, frozen=True):
    """Where two texts meet."""

    inside: bool = False
    """The second text has not left the first: nothing to cut."""
    old: int = 0
    """So many words of the first."""
    new: int = 0
    """So many words of the second are left out."""

    @property
    def agreed(self) -> bool:
        """Whether the last word that is kept is the last word left out, so that the cut goes through one word."""
        return bool(self.old and self.new)


def _exact(before: Sequence[Word], after: Sequence[Word], first: int, last: int) -> _Cut | None:
    """The cut if the overlap, of one word at least, agrees word by word. None if it does not."""
    old = [word.folded for word in before]
    new = [word.folded for word in after]
    found: _Cut | None = None
    for begin in range(first, min(last, len(old) - 1) + 1):
        size = len(old) - begin
        if new[:size] == old[begin : begin + len(new)]:
            if len(new) <= size:
                return _Cut(inside=True)
            found = found or _Cut(old=len(old), new=size)
    return found


def _likely(before: Sequence[Word], after: Sequence[Word], first: int, last: int) -> _Cut:
    """The cut of the best alignment, where a word was heard differently, half, or not at all.

    A table of scores as for the overlap of two sequences: rows are words of `before` from `first` on, columns words
    of `after`. A way begins, free of charge, at any row from `first` to `last`, and ends in the last column (the
    second text is inside the first) or in the last row (it goes on after it).
    """
    old = [word.folded for word in before[first:]]
    new = [word.folded for word in after]
    width = min(len(new), 2 * len(old) + 4)
    scores = [[0.0] * (width + 1) for _ in range(len(old) + 1)]
    for row, line in enumerate(scores):
        line[0] = 0.0 if row <= last - first else scores[row - 1][0] + _EDIT
        for column in range(1, width + 1):
            best = line[column - 1] + _EDIT
            if row:
                above = scores[row - 1]
                alike = _likeness(old[row - 1], new[column - 1], final=row == len(old))
                best = max(best, above[column] + _EDIT, above[column - 1] + alike)
            line[column] = best
    row, column = _end_of_way(scores, whole=width == len(new))
    if row < len(old) or (column == len(new)):
        return _Cut(inside=True)
    while row and column:
        alike = _likeness(old[row - 1], new[column - 1], final=row == len(old))
        if old[row - 1] == new[column - 1] and scores[row][column] == scores[row - 1][column - 1] + alike:
            return _Cut(old=first + row, new=column)
        if scores[row][column] == scores[row - 1][column - 1] + alike:
            row, column = row - 1, column - 1
        elif scores[row][column] == scores[row - 1][column] + _EDIT:
            row -= 1
        else:
            column -= 1
    # Not a word in common: all that the second text could have heard again gives way to it.
    return _Cut(old=first + min(row, last - first))


def _end_of_way(scores: Sequence[Sequence[float]], *, whole: bool) -> tuple[int, int]:
    """The best end: in the last row, or in the last column if that is the end of the second text (`whole`)."""
    rows, columns = len(scores) - 1, len(scores[0]) - 1
    ends = [(row, columns) for row in range(rows + 1)] if whole else []
    ends += [(rows, column) for column in range(columns, -1, -1)]
    return max(ends, key=lambda end: scores[end[0]][end[1]])


def _likeness(old: str, new: str, *, final: bool) -> float:
    """What it says for an alignment that these two words stand in the same place."""
    if old == new:
        return _MATCH if len(old) > _SHORT else _SHORT_MATCH
    # The last word of a text may have been told when only a part of it was spoken.
    return _HALF_HEARD if final and new.startswith(old) else _EDIT


def _word(match: re.Match[str]) -> Word:
    text = match.group()
    kept = [index for index, character in enumerate(text) if character.isalnum()]
    folded = "".join(text[index] for index in kept).casefold() or text
    core_end = match.start() + (kept[-1] + 1 if kept else len(text))
    return Word(folded, match.start(), core_end, match.end())
