"""The steps of each answer, from the caller's last sound until the phone told that it played some of it. Pure.

All is told in ms from the end of the caller's turn: what was over before the turn was has a time below zero, so
that an answer prepared early is not shown as work done late.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from statistics import median
from typing import Final

from msgspec import Struct

from bridge.store.scene import Answer

_OUTLIER: Final = 3
"""A scale reaches this many medians to either side at most; what is longer is cut."""


class Stretch(Struct, frozen=True):
    """The time between two steps."""

    name: str
    """Of the caller's side what it follows (`quiet`, `eager`), of the agent's side what it leads to."""
    start: int
    stop: int


class Scale(Struct, frozen=True):
    """What all the waterfalls of a picture have room for: ms before the end of the turn, and ms after."""

    before: int
    after: int


def moments(answer: Answer) -> list[tuple[str, int]]:
    """The steps that are known, in the order in which they came. A false eager end is one that was taken back."""
    steps = [
        ("last sound", answer.quiet_ms),
        ("false eager" if answer.taken_back else "eager", answer.eager_ms),
        ("turn end" if answer.asked_for else "asked", answer.from_ms),
        ("text", answer.text_ms),
        ("audio", answer.audio_ms),
        ("sent", answer.sent_ms),
        ("mark", answer.mark_ms),
    ]
    known = [(name, moment - answer.from_ms) for name, moment in steps if moment is not None]
    return sorted(known, key=lambda step: step[1])


def caller_stretches(answer: Answer) -> list[Stretch]:
    """What passed until the turn was over: since the last sound, since the eager end.

    An eager end that the caller's going on took back begins nothing.
    """
    eager = None if answer.taken_back else answer.eager_ms
    steps = (("quiet", answer.quiet_ms), ("eager", eager))
    begun = [(name, moment - answer.from_ms) for name, moment in steps if moment is not None]
    ends = [*(start for _, start in begun[1:]), 0]
    return [Stretch(name, start, stop) for (name, start), stop in zip(begun, ends, strict=False)]


def agent_stretches(answer: Answer) -> list[Stretch]:
    """What passed since the agent was asked: until text, until audio, until it was sent, until a mark came back."""
    steps = (
        ("text", answer.text_ms),
        ("audio", answer.audio_ms),
        ("sent", answer.sent_ms),
        ("mark", answer.mark_ms),
    )
    found: list[Stretch] = []
    before = answer.asked_ms - answer.from_ms
    for name, moment in steps:
        if moment is None:
            continue
        at = max(before, moment - answer.from_ms)
        found.append(Stretch(name, before, at))
        before = at
    return found


def scale(answers: Sequence[Answer]) -> Scale:
    """One scale for all: as far as the longest reaches to either side, but for outliers."""
    firsts = [-min(_edges(answer)) for answer in answers]
    lasts = [max(_edges(answer)) for answer in answers]
    return Scale(_reach(firsts), max(1, _reach(lasts)))


def _edges(answer: Answer) -> list[int]:
    parts = [*caller_stretches(answer), *agent_stretches(answer)]
    return [0, *(part.start for part in parts), *(part.stop for part in parts)]


def _reach(lengths: Iterable[int]) -> int:
    """The longest, but no more than some times the usual; answers without any do not count as usual."""
    longer = [length for length in lengths if length > 0]
    return min(max(longer), round(median(longer) * _OUTLIER)) if longer else 0
