"""The journal of a call: what is kept, entry by entry, and what can be read off it.

An entry is written once and never changed. Times are whole milliseconds since the media stream started.
Folding the entries in order gives the transcript; nothing else is needed for it.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct, field

Meaning: TypeAlias = Literal["words", "empty", "backchannel", "echo"]
Party: TypeAlias = Literal["caller", "callee"]
"""One of two people whose call is listened to: who called, or whom they are connected with."""


class CallOpened(Struct, frozen=True):
    """The media stream is up."""

    at_ms: int = 0


class CallerSpoke(Struct, frozen=True):
    """One turn of the caller, complete."""

    turn: int
    transcript: str
    """Verbatim; empty when it was no speech."""
    started_ms: int
    """When the service told that the turn began."""
    ended_ms: int
    eager_ms: int | None = None
    """When the last eager end came, if one did."""
    meaning: Meaning = "words"
    """Whether the turn was answered, was noise, showed that the caller listens, or was the agent's own echo."""
    incomplete: bool = False
    """True: the end was never told (the call or the service broke off); there may have been more."""
    degraded: bool = False
    """True: the speech-to-text service was away for so long that words of the turn are missing."""
    over_speech: bool = False
    """True: it was said over a reply that was being heard; in the conversation it stands behind that."""
    standby: bool = False
    """True: it was heard by the speech service that stands by for the one of the settings."""


class PartySpoke(Struct, frozen=True):
    """One turn of one of two people whose call is listened to."""

    party: Party
    turn: int
    """1, 2, 3 … of this side."""
    transcript: str
    """Verbatim; empty when it was no speech."""
    started_ms: int
    """When the service told that the turn began."""
    ended_ms: int
    """When its end was told; of an incomplete one, when its last words were."""
    incomplete: bool = False
    """As in `CallerSpoke`."""
    degraded: bool = False
    """As in `CallerSpoke`."""
    standby: bool = False
    """As in `CallerSpoke`."""


class AgentSpoke(Struct, frozen=True):
    """One reply of the agent, as the caller got it."""

    reply: int
    turn: int
    """The caller's turn it answers; 0 for what is said unasked."""
    occasion: str
    """As in `AskAgent`; `prompt`: said by the bridge itself; `operator`: by somebody who looks after the call."""
    heard: str
    """What the caller heard: always a prefix of what was to be said."""
    unheard: str
    """The rest."""
    interrupted: bool
    """True: the caller cut it off."""
    asked_ms: int
    ended_ms: int
    text_ms: int | None = None
    """When the first piece of the answer came."""
    audio_ms: int | None = None
    """When the first audio came from the speech service."""
    sent_ms: int | None = None
    """When the first audio went to the phone."""
    mark_ms: int | None = None
    """When the phone first told that it had played some of it."""
    speculative: bool = False
    """True: it was asked for at the eager end, before the turn was over."""
    filler: int = 0
    """Characters at its beginning that are not the agent's: what the bridge said because the agent was slow."""
    again: bool = False
    """True: what it was to answer was not answered by it, and is asked again."""
    standby: bool = False
    """True: some of it was spoken by the speech service that stands by for the one of the settings."""


class AgentHeard(Struct, frozen=True):
    """So much of a reply was heard by then, while it is being spoken. Kept now and then, as the phone tells of it.

    For whoever finds the journal of a process that has died: the reply's `AgentSpoke` takes its place. `sounding`
    tells what is left then.
    """

    at_ms: int
    reply: int
    turn: int
    occasion: str
    heard: str
    """From its beginning."""
    asked_ms: int
    sent_ms: int | None = None
    filler: int = 0
    """As in `AgentSpoke`; so are the others."""


class AgentRemembered(Struct, frozen=True):
    """What the agent knows of the call from then on, and is given with each question (`Remember`)."""

    at_ms: int
    state: Mapping[str, Any] = field(default_factory=dict)


class AgentSilenced(Struct, frozen=True):
    """The agent fell silent because the caller made a sound."""

    at_ms: int
    turn: int
    reply: int


class AgentResumed(Struct, frozen=True):
    """It was a false alarm: the agent speaks on from where it was silenced."""

    at_ms: int
    turn: int
    reply: int


class SpeculationDropped(Struct, frozen=True):
    """An answer that was prepared at an eager end was not used."""

    at_ms: int
    turn: int
    reply: int


class KeyPressed(Struct, frozen=True):
    """The caller pressed a key."""

    at_ms: int
    digit: str


class DigitsGathered(Struct, frozen=True):
    """Keys that the agent had asked for are together, or did not come."""

    at_ms: int
    digits: str
    """Empty where they are masked."""
    count: int
    masked: bool = False


class MessageLeft(Struct, frozen=True):
    """The caller has left a message. Its audio is what the recording holds of the caller between the two times.

    With a `url` nobody here heard it: the carrier took it down, and has its audio.
    """

    number: int
    """1, 2, 3 … within the call."""
    transcript: str
    """Verbatim; empty when nothing was said."""
    from_ms: int
    to_ms: int
    url: str = ""
    """Where the carrier has it that took it down; empty: it was left with the agent."""


class TransferTried(Struct, frozen=True):
    """Somebody was to be connected with the caller: how that ended."""

    at_ms: int
    to: str
    status: str
    """`completed`, `busy`, `no-answer`, `failed`, `canceled` or `declined`."""
    warm: bool = False
    """The other side was told a summary first."""
    duration_s: int = 0


class AnswererTold(Struct, frozen=True):
    """The carrier has found out who answered a call of ours."""

    at_ms: int
    kind: str
    """As in `AnswererKnown`."""


class NoteTaken(Struct, frozen=True):
    """The agent left data with the call."""

    at_ms: int
    data: Mapping[str, Any] = field(default_factory=dict)


class ProblemMet(Struct, frozen=True):
    """Something failed; the call went on if it could."""

    at_ms: int
    source: Literal["agent", "stt", "tts", "sound", "carrier"]
    code: str
    message: str


class Standing(Struct, frozen=True):
    """How the call is held, and what it waits for, beyond what other entries tell: for whoever goes on with it.

    Kept whenever it changes. Each field holds what the action or command of its name does, as JSON has it; empty:
    nothing of the kind.
    """

    at_ms: int
    voice: str = ""
    """What the agent has set for what it says."""
    language: str = ""
    tuning: Mapping[str, Any] = field(default_factory=dict)
    """What it has set of speech to text (`Tuning`)."""
    gather: Mapping[str, Any] = field(default_factory=dict)
    """The number that the caller is keying in (`GatherDigits`)."""
    message: Mapping[str, Any] = field(default_factory=dict)
    """The message that the caller is leaving (`RecordMessage`)."""
    consulting: Mapping[str, Any] = field(default_factory=dict)
    """Who is being called while the caller waits (`Transfer`)."""
    left: Mapping[str, Any] = field(default_factory=dict)
    """How the stream was left (`LeaveCall`), where that is not the end of the call."""


class CallArranged(Struct, frozen=True):
    """What was given along with the call when it began, or ordered of a call of ours."""

    at_ms: int = 0
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What the agent gets with each question."""
    greeting: str | None = None
    """Said first; None: what the settings of the number have."""
    voicemail: str = ""
    """Said to a machine that answers."""


class StreamBroke(Struct, frozen=True):
    """The carrier's socket broke; the call may come back."""

    at_ms: int


class StreamResumed(Struct, frozen=True):
    """The call came back on a new stream."""

    at_ms: int


class CallGivenAway(Struct, frozen=True):
    """The process that carried the call lets another one go on with it: none of them has died."""

    at_ms: int


class CallTakenOver(Struct, frozen=True):
    """Another process goes on with the call: the one that carried it has died, or has given it away."""

    at_ms: int
    """When the other one took it over; what was heard and said since the entry before is not kept."""
    epoch: int
    """Which process of the call's that is: 2 for the first that took it over, and higher each time."""
    given: bool = False
    """It was given away, as its process stops or its stream came to another; False: its process has died."""


class RecordingPaused(Struct, frozen=True):
    """From then on both sides of the recording are silence; what is said is still transcribed."""

    at_ms: int


class RecordingResumed(Struct, frozen=True):
    """The recording holds again what is heard."""

    at_ms: int


class CallClosed(Struct, frozen=True):
    """The call is over."""

    at_ms: int
    reason: str
    under_runs: int = 0
    """How often the phone ran dry inside an utterance, as far as our clock and its marks tell."""
    lost_marks: int = 0
    """How many of our marks never came back."""
    transfer_to: str = ""


Entry: TypeAlias = (
    CallOpened
    | CallerSpoke
    | PartySpoke
    | AgentSpoke
    | AgentHeard
    | AgentRemembered
    | AgentSilenced
    | AgentResumed
    | SpeculationDropped
    | KeyPressed
    | DigitsGathered
    | MessageLeft
    | TransferTried
    | AnswererTold
    | NoteTaken
    | ProblemMet
    | StreamBroke
    | StreamResumed
    | CallGivenAway
    | CallTakenOver
    | CallArranged
    | Standing
    | RecordingPaused
    | RecordingResumed
    | CallClosed
)

_KINDS: dict[str, type[Any]] = {
    "call_opened": CallOpened,
    "caller_spoke": CallerSpoke,
    "party_spoke": PartySpoke,
    "agent_spoke": AgentSpoke,
    "agent_heard": AgentHeard,
    "agent_remembered": AgentRemembered,
    "agent_silenced": AgentSilenced,
    "agent_resumed": AgentResumed,
    "speculation_dropped": SpeculationDropped,
    "key_pressed": KeyPressed,
    "digits_gathered": DigitsGathered,
    "message_left": MessageLeft,
    "transfer_tried": TransferTried,
    "answerer_told": AnswererTold,
    "note_taken": NoteTaken,
    "problem_met": ProblemMet,
    "stream_broke": StreamBroke,
    "stream_resumed": StreamResumed,
    "call_given_away": CallGivenAway,
    "call_taken_over": CallTakenOver,
    "call_arranged": CallArranged,
    "standing": Standing,
    "recording_paused": RecordingPaused,
    "recording_resumed": RecordingResumed,
    "call_closed": CallClosed,
}
_NAMES = {kind: name for name, kind in _KINDS.items()}


def to_dict(entry: Entry) -> dict[str, Any]:
    """Return the entry as JSON can hold it, its kind under `entry`. Raises TypeError for what cannot be copied."""
    return {"entry": _NAMES[type(entry)], **copy.deepcopy(msgspec.structs.asdict(entry))}


def from_dict(data: Mapping[str, Any]) -> Entry | None:
    """Return the entry that `to_dict` wrote, or None for a kind that a newer version may have written.

    Unknown fields are dropped for the same reason. Raises TypeError when a field that is needed is missing.
    """
    kind = _KINDS.get(str(data.get("entry")))
    if kind is None:
        return None
    known = kind.__struct_fields__
    entry: Entry = kind(**{name: value for name, value in data.items() if name in known})
    return entry


def name_of(entry: Entry) -> str:
    """Return what `to_dict` calls the entry's kind."""
    return _NAMES[type(entry)]


def kind_named(name: str) -> type[Any] | None:
    """Return the kind of this name, or None for one that a newer version may have written."""
    return _KINDS.get(name)


def is_machine(answerer: str) -> bool:
    """Tell whether it is no person who has answered; `answerer` as in `AnswererTold.kind`, empty: not known."""
    return answerer.startswith(("machine", "fax"))


def recording_after(
    entries: Iterable[Entry], begins: Literal["on", "paused", "off"]
) -> Literal["on", "paused", "off"]:
    """Return whether a call's sound is recorded behind these entries; `begins` as its header says."""
    state = begins
    for entry in entries:
        if isinstance(entry, RecordingPaused):
            state = "paused"
        elif isinstance(entry, RecordingResumed):
            state = "on"
    return state


def sounding(entries: Iterable[Entry]) -> AgentSpoke | None:
    """Return what is known of the reply that was being spoken where a journal breaks off; None: there was none.

    The caller has heard at least that much of it. What was to follow is not known; nothing was answered by it.
    """
    last: AgentHeard | None = None
    closed = 0
    for entry in entries:
        if isinstance(entry, AgentHeard):
            last = entry
        elif isinstance(entry, AgentSpoke):
            closed = max(closed, entry.reply)
    if last is None or last.reply <= closed or not last.heard.strip():
        return None
    return AgentSpoke(
        reply=last.reply,
        turn=last.turn,
        occasion=last.occasion,
        heard=last.heard,
        unheard="",
        interrupted=False,
        asked_ms=last.asked_ms,
        ended_ms=last.at_ms,
        sent_ms=last.sent_ms,
        filler=min(last.filler, len(last.heard)),
        again=True,
    )


class Line(Struct, frozen=True):
    """One line of a transcript: who said what, and when."""

    speaker: Literal["caller", "agent", "callee"]
    text: str
    """Verbatim. For the agent: only what was heard."""
    started_ms: int
    ended_ms: int
    interrupted: bool = False
    unheard: str = ""


def transcript(entries: Iterable[Entry]) -> list[Line]:
    """Fold a journal into the transcript, in the order in which the speakers began.

    Noise is left out; what the agent wanted to say and nobody heard is there only as `unheard`.
    """
    lines: list[Line] = []
    for entry in entries:
        if isinstance(entry, CallerSpoke) and entry.transcript.strip():
            lines.append(Line("caller", entry.transcript, entry.started_ms, entry.ended_ms))
        elif isinstance(entry, PartySpoke) and entry.transcript.strip():
            lines.append(Line(entry.party, entry.transcript, entry.started_ms, entry.ended_ms))
        elif isinstance(entry, AgentSpoke) and (entry.heard or entry.unheard):
            began = entry.sent_ms if entry.sent_ms is not None else entry.asked_ms
            lines.append(Line("agent", entry.heard, began, entry.ended_ms, entry.interrupted, entry.unheard))
    return sorted(lines, key=lambda line: line.started_ms)
