"""The moments of a call that its picture marks: interruptions, keys, messages, transfers, notes, problems. Pure.

Times are ms since the stream began.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct

from bridge.conversation import journal
from bridge.conversation.journal import Entry

MarkerKind: TypeAlias = Literal[
    "barge-in",
    "false alarm",
    "key",
    "note",
    "message",
    "transfer",
    "problem",
    "stream broke",
    "stream resumed",
    "recording paused",
    "recording resumed",
    "early answer dropped",
    "end",
]

Silences: TypeAlias = Mapping[int, Sequence[tuple[int, int | None]]]
"""For each reply, when it was silenced and when it went on; None: it did not."""

_KEYS_TOGETHER_MS: Final = 2500
"""Keys that follow each other this fast are one number."""
_PROBLEMS_TOGETHER_MS: Final = 15_000
"""The same problem again within this time, as while a service is away and called again, is one trouble."""
_CHANGES: Final[Mapping[type[Entry], tuple[MarkerKind, str, str]]] = {
    journal.StreamBroke: ("stream broke", "stream broke", "The carrier's stream broke."),
    journal.StreamResumed: ("stream resumed", "resumed", "The call came back on a new stream."),
    journal.CallTakenOver: (
        "stream broke",
        "taken over",
        "The process that carried the call died, and another one went on with it.",
    ),
    journal.CallGivenAway: (
        "stream broke",
        "given away",
        "The process that carried the call gave it to another one.",
    ),
    journal.RecordingPaused: ("recording paused", "(recording paused)", "From here on both sides are silence."),
    journal.RecordingResumed: ("recording resumed", "(recording resumed)", "What is heard is recorded again."),
}
"""Kind, label and title of entries that tell of nothing but a change."""
_SOURCES: Final = {"agent": "agent", "stt": "speech to text", "tts": "text to speech", "carrier": "carrier"}


_Timed: TypeAlias = (
    journal.StreamBroke
    | journal.StreamResumed
    | journal.CallGivenAway
    | journal.CallTakenOver
    | journal.RecordingPaused
    | journal.RecordingResumed
)


class Marker(Struct, frozen=True):
    """A moment worth showing."""

    at_ms: int
    kind: MarkerKind
    label: str
    title: str
    """All there is to say about it."""


def spans(
    entries: Iterable[Entry], begins: type[_Timed] | tuple[type[_Timed], ...], ends: type[_Timed]
) -> list[tuple[int, int | None]]:
    """The stretches from an entry of one kind to one of another; None: nothing has ended the last of them."""
    found: list[tuple[int, int | None]] = []
    since: int | None = None
    for entry in entries:
        if isinstance(entry, begins):
            since = entry.at_ms if since is None else since
        elif isinstance(entry, ends) and since is not None:
            found.append((since, entry.at_ms))
            since = None
    return found if since is None else [*found, (since, None)]


def read_silences(entries: Iterable[Entry]) -> Silences:
    """For each reply, when it was silenced and when it went on, if it did."""
    silences: dict[int, list[tuple[int, int | None]]] = defaultdict(list)
    for entry in entries:
        if isinstance(entry, journal.AgentSilenced):
            silences[entry.reply].append((entry.at_ms, None))
        elif isinstance(entry, journal.AgentResumed) and silences[entry.reply]:
            silences[entry.reply][-1] = (silences[entry.reply][-1][0], entry.at_ms)
    return silences


def read_markers(entries: Sequence[Entry], silences: Silences) -> list[Marker]:
    """Read every moment worth marking off a journal, in the order of their times."""
    markers = key_markers(entries) + _problem_markers(entries)
    for reply, spans in silences.items():
        for silenced, resumed in spans:
            if resumed is None:
                markers.append(Marker(silenced, "barge-in", "barge-in", f"The caller cut reply {reply} off."))
            else:
                title = f"Reply {reply} was silenced for {resumed - silenced} ms and went on."
                markers.append(Marker(silenced, "false alarm", "false alarm", title))
    markers += [marker for entry in entries if (marker := _marker(entry)) is not None]
    return sorted(markers, key=lambda marker: marker.at_ms)


def _marker(entry: Entry) -> Marker | None:
    match entry:
        case journal.NoteTaken(at_ms, data):
            return Marker(at_ms, "note", f"note: {_short(data)}", f"Note: {_short(data)}")
        case journal.MessageLeft(number, _, from_ms):
            return Marker(from_ms, "message", f"message {number}", f"The caller left message {number}.")
        case journal.TransferTried(at_ms, to, status):
            return Marker(at_ms, "transfer", f"transfer: {status}", f"The transfer to {to} ended: {status}.")
        case journal.CallTakenOver(at_ms, given=True):
            return Marker(at_ms, "stream broke", "taken over", "Another process went on with the call.")
        case (
            journal.StreamBroke()
            | journal.StreamResumed()
            | journal.CallGivenAway()
            | journal.CallTakenOver()
            | journal.RecordingPaused()
            | journal.RecordingResumed()
        ):
            return Marker(entry.at_ms, *_CHANGES[type(entry)])
        case journal.SpeculationDropped(at_ms, _, reply):
            title = f"Reply {reply} was prepared before the caller was done, and not used."
            return Marker(at_ms, "early answer dropped", "early answer dropped", title)
        case journal.CallClosed(at_ms, reason):
            return Marker(at_ms, "end", f"end: {reason}", f"The call was over: {reason}.")
        case _:
            return None


def _short(data: Any) -> str:
    return ", ".join(f"{key}: {value}" for key, value in dict(data).items())


def key_markers(entries: Iterable[Entry]) -> list[Marker]:
    """One marker for keys that follow each other fast."""
    groups: list[list[journal.KeyPressed]] = []
    for entry in entries:
        if not isinstance(entry, journal.KeyPressed):
            continue
        if groups and entry.at_ms - groups[-1][-1].at_ms <= _KEYS_TOGETHER_MS:
            groups[-1].append(entry)
        else:
            groups.append([entry])
    return [_keys(group) for group in groups]


def _keys(group: list[journal.KeyPressed]) -> Marker:
    digits = "".join(key.digit for key in group)
    what = "key" if len(group) == 1 else "keys"
    return Marker(group[0].at_ms, "key", f"{what} {digits}", f"The caller pressed {digits}.")


def _problem_markers(entries: Iterable[Entry]) -> list[Marker]:
    """One marker for the same problem again and again, at its beginning."""
    groups: list[list[journal.ProblemMet]] = []
    latest: dict[tuple[str, str], list[journal.ProblemMet]] = {}
    for entry in entries:
        if not isinstance(entry, journal.ProblemMet):
            continue
        group = latest.get((entry.source, entry.code))
        if group is None or entry.at_ms - group[-1].at_ms > _PROBLEMS_TOGETHER_MS:
            group = latest[entry.source, entry.code] = []
            groups.append(group)
        group.append(entry)
    return [_problem(group) for group in groups]


def _problem(group: list[journal.ProblemMet]) -> Marker:
    first = group[0]
    source = _SOURCES.get(first.source, first.source)
    often = f" ×{len(group)}" if len(group) > 1 else ""
    title = f"Problem with the {source}: {first.code}: {first.message}"
    if often:
        title += f" ({len(group)} times in {group[-1].at_ms - first.at_ms} ms)"
    return Marker(first.at_ms, "problem", f"{source}: {first.code}{often}", title)
