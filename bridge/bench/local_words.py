"""What a speech server made of a stream: which word came of which, and in which turn. Pure.

The whole of a stream is aligned at once, what was said with what was heard, so that turns which ran together, came
late or were cut do not shift everything behind them.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

_SAME: Final = 100
"""A word that was understood says so much more of where an utterance is than one that was not."""
_SIGNS: Final = re.compile(r"[^\w']+")


@dataclass(frozen=True, slots=True)
class Fate:
    """What became of one utterance."""

    words: int
    """How many words were said."""
    lost: int
    """Of these, how many have nothing in their place."""
    changed: int
    """Of these, how many have another word in their place."""
    added: int
    """Words that were heard in it and not said."""
    turn: int | None
    """Index of the turn that it ended in; None if nothing of it was heard."""

    @property
    def wrong(self) -> int:
        """Errors as the word error rate counts them."""
        return self.lost + self.changed + self.added


@dataclass(slots=True)
class TurnSeen:
    """A turn as the client saw it; moments are of the monotonic clock."""

    started: float
    updates: list[float] = field(default_factory=list)
    ended: float = 0.0
    text: str = ""


@dataclass(slots=True)
class Heard:
    """What one stream said and what it got."""

    said: list[str]
    spans: list[tuple[float, float]] = field(default_factory=list)
    """When each utterance began and ended on the line."""
    turns: list[TurnSeen] = field(default_factory=list)
    answers: list[float] = field(default_factory=list)
    """Seconds that each spoken answer took."""
    late: float = 0.0
    """The longest time by which a piece of audio went out after its moment."""
    refused: bool = False
    broken: bool = False
    """The server ended the stream, or did not say the last of it in time."""


def words_of(text: str) -> list[str]:
    """The words without signs and in lower case."""
    return [bare for word in text.split() if (bare := _SIGNS.sub("", word).lower())]


def fates(said: Sequence[str], turns: Sequence[str]) -> list[Fate]:
    """What became of each utterance of a stream, in `turns` as they ended."""
    if not said:
        return []
    old = [(word, number) for number, text in enumerate(said) for word in words_of(text)]
    new = [(word, number) for number, text in enumerate(turns) for word in words_of(text)]
    lost, changed, added = ([0] * len(said) for _ in range(3))
    held: list[Counter[int]] = [Counter() for _ in said]
    last = 0
    for before, after in _aligned([word for word, _ in old], [word for word, _ in new]):
        if before is None:
            added[last] += 1
            continue
        last = old[before][1]
        if after is None:
            lost[last] += 1
            continue
        same = old[before][0] == new[after][0]
        changed[last] += not same
        held[last][new[after][1]] += _SAME if same else 1
    return [
        Fate(len(words_of(text)), lost[number], changed[number], added[number], _ended_in(held[number]))
        for number, text in enumerate(said)
    ]


def _ended_in(held: Counter[int]) -> int | None:
    """The last turn with a good part of an utterance: a wrong word may as well be one of the next utterance."""
    good = sum(held.values()) / 4
    return max((turn for turn, weight in held.items() if weight > good), default=None)


def _aligned(old: Sequence[str], new: Sequence[str]) -> list[tuple[int | None, int | None]]:
    """Pairs of indexes with the fewest words changed, lost (None on the right) or added (None on the left)."""
    rows = [[*range(len(new) + 1)]]
    for count, word in enumerate(old, start=1):
        above, row = rows[-1], [count]
        for column, other in enumerate(new, start=1):
            row.append(min(above[column - 1] + (word != other), above[column] + 1, row[-1] + 1))
        rows.append(row)
    pairs: list[tuple[int | None, int | None]] = []
    left, right = len(old), len(new)
    while left or right:
        here = rows[left][right]
        if left and right and here == rows[left - 1][right - 1] + (old[left - 1] != new[right - 1]):
            left, right = left - 1, right - 1
            pairs.append((left, right))
        elif left and here == rows[left - 1][right] + 1:
            left -= 1
            pairs.append((left, None))
        else:
            right -= 1
            pairs.append((None, right))
    return pairs[::-1]
