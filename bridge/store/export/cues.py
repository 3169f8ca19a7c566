"""The lines of a transcript as cues of subtitles: when each is shown. Pure.

Lines of one speaker are shown one after the other, as they were said: where the service tells times that overlap, a
cue ends when the next begins. Two people who talk at once are both shown, where a format allows it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bridge.conversation.journal import Entry
from bridge.store.base import CallHeader
from bridge.store.export.plain import cue_text
from bridge.store.said import Speaker, said, speaker_name


@dataclass(frozen=True, slots=True)
class Cue:
    """A line and when it is shown: `start_ms` < `end_ms`, and no cue begins before the one before it."""

    start_ms: int
    end_ms: int
    speaker: Speaker
    name: str
    text: str
    """Verbatim but for empty lines; of the agent: what was heard."""
    remark: str
    """What else there is to say about it, such as what was not heard."""


def cues(header: CallHeader, entries: Iterable[Entry], *, at_once: bool) -> list[Cue]:
    """The cues of a call in their order. `at_once`: two speakers may be shown at the same time."""
    found = [
        Cue(
            max(0, one.line.started_ms),
            max(0, one.line.ended_ms),
            one.line.speaker,
            cue_text(speaker_name(header, one.line.speaker)).replace("\n", " "),
            cue_text(one.line.text),
            cue_text(one.remark),
        )
        for one in said(entries)
    ]
    return _timed(found, at_once=at_once)


def _timed(found: Sequence[Cue], *, at_once: bool) -> list[Cue]:
    """The same with times that go forwards: each begins after the one before that it must not overlap."""
    latest = 0
    ends: dict[str, int] = {}
    starts: list[int] = []
    for cue in found:
        row = cue.speaker if at_once else ""
        start = max(cue.start_ms, latest, ends.get(row, 0))
        starts.append(start)
        latest, ends[row] = start, start + 1
    timed = []
    for index, cue in enumerate(found):
        following = (
            starts[later]
            for later in range(index + 1, len(found))
            if not at_once or found[later].speaker == cue.speaker
        )
        until = next(following, None)
        end = max(cue.end_ms, starts[index] + 1)
        end = end if until is None else min(end, until)
        timed.append(Cue(starts[index], end, cue.speaker, cue.name, cue.text, cue.remark))
    return timed


def stamp(ms: int, point: str) -> str:
    """Hours, minutes, seconds and thousandths: `00:01:02.500`; `point` stands before the thousandths."""
    seconds, rest = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{rest:03}"
