"""What a picture of a call shows, read off its journal: bars, markers, answers and figures. Pure.

Times are ms since the stream began.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Final, Literal, TypeAlias

from bridge.conversation import journal
from bridge.conversation.journal import Entry
from bridge.store.loudness import Ear, Peaks
from bridge.store.markers import Marker, MarkerKind, read_markers, read_silences, spans

Kind: TypeAlias = Literal["words", "backchannel", "empty", "echo"]
_BREAKS: Final = (journal.StreamBroke, journal.CallGivenAway, journal.CallTakenOver)
_LONGEST_MS: Final = 24 * 3600 * 1000
"""No call is longer; a time beyond it is an error in the journal and must not blow the picture up."""
_UNHEARD_MS_PER_CHARACTER: Final = 70
_UNHEARD_LEAST_MS: Final = 600
_UNHEARD_MOST_MS: Final = 3000


@dataclass(frozen=True, slots=True)
class Speech:
    """One stretch of speech of one side."""

    start_ms: int
    stop_ms: int
    """When it was over, or, for the agent, when it could not be heard any more."""
    text: str
    kind: Kind = "words"
    unheard: str = ""
    unheard_until_ms: int = 0
    """Where the part that nobody heard ends in the picture: about as long as it would have been."""
    pauses: tuple[tuple[int, int], ...] = ()
    """The agent was silenced and went on again: from, to."""
    number: int = 0
    """Of the turn or the reply."""
    quiet_ms: int | None = None
    """When the caller's last sound was over, if the recording tells: the turn ended only when that was sure."""
    degraded: bool = False
    """True: the speech-to-text service was away, and words of the turn are missing."""

    @property
    def until_ms(self) -> int:
        """The end of all that is drawn of it."""
        return max(self.stop_ms, self.unheard_until_ms)


@dataclass(frozen=True, slots=True)
class Answer:
    """When each step of an answer was taken: from the caller's last sound until some of it was heard."""

    reply: int
    from_ms: int
    """The end of the turn, or the asking where no turn was."""
    asked_ms: int
    """When the agent was asked: before the end of the turn if the question was foreseen."""
    text_ms: int | None
    audio_ms: int | None
    sent_ms: int | None
    mark_ms: int | None
    quiet_ms: int | None = None
    """When the caller's last sound was over; None: no recording, or it does not tell."""
    eager_ms: int | None = None
    """The last eager end of the turn."""
    question: str = ""
    """What the caller had said."""
    asked_for: bool = False
    """True: it answers a turn; False: the agent spoke unasked."""

    @property
    def taken_back(self) -> bool:
        """Whether the caller was heard after the eager end: it was none."""
        return self.eager_ms is not None and self.quiet_ms is not None and self.eager_ms < self.quiet_ms

    @property
    def response_ms(self) -> int | None:
        """From the end of the turn until the first audio went to the phone."""
        return None if self.sent_ms is None else max(0, self.sent_ms - self.from_ms)

    @property
    def wait_ms(self) -> int | None:
        """From the caller's last sound until the first audio went to the phone: how long the caller waited.

        Where the last sound is not known, from the end of the turn.
        """
        return None if self.sent_ms is None else max(0, self.sent_ms - self.since_ms)

    @property
    def since_ms(self) -> int:
        """When the waiting began."""
        return self.from_ms if self.quiet_ms is None else self.quiet_ms


@dataclass(frozen=True, slots=True)
class Scene:
    """Everything that is drawn."""

    duration_ms: int
    caller: tuple[Speech, ...]
    agent: tuple[Speech, ...]
    """The other side: the agent, or the person whom the caller talks with."""
    markers: tuple[Marker, ...]
    breaks: tuple[tuple[int, int], ...]
    """The carrier's stream was gone: from, to."""
    answers: tuple[Answer, ...]
    closed: journal.CallClosed | None
    unrecorded: tuple[tuple[int, int], ...] = ()
    """The recording was paused: from, to."""
    other: Literal["agent", "callee"] = "agent"
    """Who the other side is."""

    def count(self, kind: MarkerKind) -> int:
        """How many markers of a kind there are."""
        return sum(marker.kind == kind for marker in self.markers)


def read_scene(entries: Sequence[Entry], peaks: Peaks | None = None) -> Scene:
    """Read what is to be drawn off a journal."""
    replies = [entry for entry in entries if isinstance(entry, journal.AgentSpoke)]
    turns = {entry.turn: entry for entry in entries if isinstance(entry, journal.CallerSpoke)}
    silences = read_silences(entries)
    quiet = _last_sounds(turns.values(), peaks)
    caller = sorted((_turn(turn, quiet.get(turn.turn)) for turn in turns.values()), key=_start)
    agent = sorted(
        (_reply(reply, silences.get(reply.reply, ())) for reply in replies if reply.heard or reply.unheard),
        key=_start,
    )
    agent = _bounded(agent)
    parties = [entry for entry in entries if isinstance(entry, journal.PartySpoke)]
    caller = sorted([*caller, *(_party(turn) for turn in parties if turn.party == "caller")], key=_start)
    agent = sorted([*agent, *(_party(turn) for turn in parties if turn.party == "callee")], key=_start)
    closed = next((entry for entry in reversed(entries) if isinstance(entry, journal.CallClosed)), None)
    markers = tuple(read_markers(entries, silences))
    recorded = len(peaks.caller) * 1000 // peaks.per_second if peaks is not None else 0
    times = [
        recorded,
        *(speech.until_ms for speech in (*caller, *agent)),
        *(marker.at_ms for marker in markers),
        closed.at_ms if closed else 0,
    ]
    duration = min(max(times), _LONGEST_MS)
    return Scene(
        duration_ms=duration,
        caller=tuple(caller),
        agent=tuple(agent),
        markers=markers,
        breaks=_closed(spans(entries, _BREAKS, journal.StreamResumed), duration),
        unrecorded=_closed(spans(entries, journal.RecordingPaused, journal.RecordingResumed), duration),
        answers=tuple(
            _answer(reply, turns, quiet)
            for reply in replies
            if reply.text_ms is not None and reply.occasion != "prompt"  # that is the bridge, not the agent
        ),
        closed=closed,
        other="callee" if parties else "agent",
    )


def _start(speech: Speech) -> int:
    return speech.start_ms


def _last_sounds(turns: Iterable[journal.CallerSpoke], peaks: Peaks | None) -> dict[int, int]:
    """For each turn in which the recording tells it, when the caller's last sound was over."""
    if peaks is None:
        return {}
    ear = Ear(peaks)
    found: dict[int, int] = {}
    before = 0
    for turn in sorted(turns, key=lambda turn: turn.ended_ms):
        if turn.meaning != "empty":
            moment = ear.last_sound(turn.started_ms, turn.ended_ms, after_ms=before)
            if moment is not None:
                found[turn.turn] = moment
        before = turn.ended_ms
    return found


def _turn(turn: journal.CallerSpoke, quiet_ms: int | None) -> Speech:
    start = max(0, turn.started_ms)
    text = turn.transcript + (" …" if turn.incomplete and turn.transcript else "")
    return Speech(
        start,
        max(start, turn.ended_ms),
        text,
        kind=turn.meaning,
        number=turn.turn,
        quiet_ms=quiet_ms,
        degraded=turn.degraded,
    )


def _party(turn: journal.PartySpoke) -> Speech:
    start = max(0, turn.started_ms)
    text = turn.transcript + (" …" if turn.incomplete and turn.transcript else "")
    kind: Kind = "words" if turn.transcript.strip() else "empty"
    stop = max(start, turn.ended_ms)
    return Speech(start, stop, text, kind=kind, number=turn.turn, degraded=turn.degraded)


def _reply(reply: journal.AgentSpoke, silences: Sequence[tuple[int, int | None]]) -> Speech:
    moments = (reply.sent_ms, reply.audio_ms, reply.text_ms, reply.asked_ms)
    start = max(0, next(moment for moment in moments if moment is not None))
    stop = max(start, reply.ended_ms) if reply.heard or reply.sent_ms is not None else start
    pauses = []
    for silenced, resumed in silences:
        if resumed is None:
            stop = max(start, min(stop, silenced))  # silent for good: what came after was only the waiting
        else:
            pauses.append((silenced, resumed))
    until = 0
    if reply.unheard:
        length = len(reply.unheard) * _UNHEARD_MS_PER_CHARACTER
        until = stop + min(max(length, _UNHEARD_LEAST_MS), _UNHEARD_MOST_MS)
    return Speech(
        start,
        stop,
        reply.heard,
        unheard=reply.unheard,
        unheard_until_ms=until,
        pauses=tuple(pauses),
        number=reply.reply,
    )


def _bounded(speeches: list[Speech]) -> list[Speech]:
    """What was not heard takes no time: its picture gives way to what was said next."""
    for index, (speech, following) in enumerate(pairwise(speeches)):
        if speech.unheard_until_ms > following.start_ms:
            until = max(speech.stop_ms, following.start_ms - 100)
            speeches[index] = replace(speech, unheard_until_ms=until)
    return speeches


def _answer(
    reply: journal.AgentSpoke, turns: Mapping[int, journal.CallerSpoke], quiet: Mapping[int, int]
) -> Answer:
    turn = turns.get(reply.turn) if reply.occasion == "turn.ended" else None
    return Answer(
        reply=reply.reply,
        from_ms=reply.asked_ms if turn is None else turn.ended_ms,
        asked_ms=reply.asked_ms,
        text_ms=reply.text_ms,
        audio_ms=reply.audio_ms,
        sent_ms=reply.sent_ms,
        mark_ms=reply.mark_ms,
        quiet_ms=None if turn is None else quiet.get(turn.turn),
        eager_ms=None if turn is None else turn.eager_ms,
        question="" if turn is None else turn.transcript,
        asked_for=turn is not None,
    )


def _closed(open_spans: Iterable[tuple[int, int | None]], duration: int) -> tuple[tuple[int, int], ...]:
    """Spans with an end: what nothing ended goes on to the end of the call."""
    return tuple((start, duration if stop is None else stop) for start, stop in open_spans)
