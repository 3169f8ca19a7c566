"""What is read of kept calls: rows of the list, one call in full, and what a search has found. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Generic, Literal, TypeAlias, TypeVar

from bridge.store.sql.search_query import Query

T = TypeVar("T")

State: TypeAlias = Literal["live", "ended", "broken_off"]
"""Of a call whose record breaks off, the process died. It counts as live until its record is finished late."""

_SNIPPET: Final = 160
"""Characters of a long turn that are shown of it."""
_LEAD: Final = 40
"""Of them before the first word found."""


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """A part of a list."""

    items: tuple[T, ...]
    next: str | None
    """Cursor of the part that follows; None: there is nothing more."""


@dataclass(frozen=True, slots=True)
class CallRow:
    """A call in the list. Moments are ms since 1970 (UTC), durations ms."""

    id: str
    sid: str
    direction: str
    caller: str
    called: str
    other: str
    """Whom the caller is connected with, where two people talk."""
    agent_kind: str
    started_at: int
    duration_ms: int | None
    """None: it goes on, or its record breaks off."""
    ended: str | None
    """Why, as `CallClosed.reason`; None as above."""
    transfer_to: str
    folder: str
    """Below the folder of calls, with / between its parts."""
    turns: int
    interruptions: int
    """Replies that the caller cut off."""
    wasted: int
    """Answers prepared early and not used."""
    problems: int
    under_runs: int
    state: State


@dataclass(frozen=True, slots=True)
class TurnRow:
    """What one side said at a time. Times are ms of the call."""

    seq: int
    """Of its entry in the journal."""
    speaker: str
    """`caller`, `agent` or `callee`."""
    number: int
    """Of the speaker's turn; of the turn that a reply answers."""
    reply: int | None
    text: str
    """Verbatim; of the agent: what was heard."""
    unheard: str
    started_ms: int
    ended_ms: int
    interrupted: bool
    incomplete: bool
    degraded: bool
    meaning: str
    occasion: str
    speculative: bool
    eager_ms: int | None
    asked_ms: int | None
    text_ms: int | None
    audio_ms: int | None
    sent_ms: int | None
    mark_ms: int | None


@dataclass(frozen=True, slots=True)
class CallDetail:
    """All that is kept of a call in the database. The plain rows are as `schema.py` has them, without `call_id`."""

    call: CallRow
    turns: tuple[TurnRow, ...]
    """In the order in which the speakers began."""
    actions: tuple[Mapping[str, Any], ...]
    legs: tuple[Mapping[str, Any], ...]
    notes: tuple[Mapping[str, Any], ...]
    transcriptions: tuple[Mapping[str, Any], ...]
    held_by: tuple[Mapping[str, Any], ...] = ()
    """Nodes that held the call before, each `until` a moment and a time of the call: their parts of the sound are
    on their disks.
    """
    leftovers: tuple[Mapping[str, Any], ...] = ()
    """Entries that only such a node had, as its journal has them, with its name and their time, in that order."""


@dataclass(frozen=True, slots=True)
class Snippet:
    """The part of a turn that was found."""

    text: str
    """Verbatim."""
    marks: tuple[tuple[int, int], ...]
    """What was looked for: from, to (characters of `text`)."""
    cut_before: bool = False
    """The turn begins earlier."""
    cut_after: bool = False
    """The turn goes on."""

    def pieces(self) -> list[tuple[str, bool]]:
        """The text in pieces, each with whether it was looked for: for whoever counts characters differently."""
        pieces: list[tuple[str, bool]] = []
        done = 0
        for start, end in self.marks:
            pieces += [(self.text[done:start], False), (self.text[start:end], True)]
            done = end
        pieces.append((self.text[done:], False))
        return [piece for piece in pieces if piece[0]]


@dataclass(frozen=True, slots=True)
class Hit:
    """A turn that a search has found."""

    call: CallRow
    turn: TurnRow
    snippet: Snippet


@dataclass(frozen=True, slots=True)
class Stats:
    """What is kept, in figures."""

    calls: int
    open: int
    """Whose end is not known."""
    turns: int
    oldest_at: int | None
    newest_at: int | None
    duration_ms: int
    """Of all calls that ended, together."""


def snippet(query: Query, text: str) -> Snippet:
    """The part of a turn around the first of what was looked for, cut between words where there are any."""
    marks = query.marks(text)
    first = marks[0][0] if marks else 0
    start = 0
    if len(text) > _SNIPPET:
        start = max(0, min(first - _LEAD, len(text) - _SNIPPET))
        if start and (space := text.find(" ", start, first)) >= 0:
            start = space + 1
    end = min(len(text), start + _SNIPPET)
    if end < len(text) and (space := text.rfind(" ", start + _SNIPPET // 2, end)) >= 0:
        end = space
    shown = tuple((max(one - start, 0), min(two, end) - start) for one, two in marks if one < end and two > start)
    return Snippet(text[start:end], shown, cut_before=start > 0, cut_after=end < len(text))
