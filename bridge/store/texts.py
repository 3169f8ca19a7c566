"""The transcript of a call as text for people and as JSON for programs. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

import msgspec

from bridge.conversation.journal import (
    CallClosed,
    CallerSpoke,
    DigitsGathered,
    Entry,
    MessageLeft,
    RecordingPaused,
    RecordingResumed,
    TransferTried,
)
from bridge.store.base import CallHeader
from bridge.store.markers import key_markers
from bridge.store.said import SPEAKERS, Said, said, speaker_name

ENDINGS: Final = {
    "caller": "the caller hung up",
    "agent": "the agent hung up",
    "transfer": "the caller was transferred",
    "handoff": "the agent handed the caller over",
    "digits": "the caller did not come back",
    "silence": "the caller fell silent",
    "limit": "the longest time allowed was over",
    "callee": "the other side hung up",
    "not_reached": "the other side was not reached",
    "over": "the call was over",
    "log_stopped": "listening was stopped",
    "lost": "the carrier's stream was lost",
    "shutdown": "the server went down",
    "agent_failed": "the agent failed",
    "speech_failed": "the speech service failed",
    "message": "the caller left a message",
    "voicemail": "an answering machine was left a message",
    "machine": "an answering machine answered",
    "fax": "a fax machine answered",
    "error": "an error",
}
"""What `CallClosed.reason` says, in words."""

_BROKEN_OFF: Final = "the record breaks off"
_GOES_ON: Final = "not yet, it goes on"


def clock(ms: int) -> str:
    """Minutes, seconds and tenths: `1:02.5`; with hours where there are any."""
    tenths = max(0, ms) // 100
    minutes, rest = divmod(tenths, 600)
    hours, minutes = divmod(minutes, 60)
    start = f"{hours}:{minutes:02}" if hours else f"{minutes}"
    return f"{start}:{rest // 10:02}.{rest % 10}"


def started(header: CallHeader) -> str:
    """The date and time of the call in UTC, for people; what is no date is given back as it stands."""
    try:
        moment = datetime.fromisoformat(header.started_at)
    except ValueError:
        return header.started_at
    utc = moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return f"{utc:%Y-%m-%d %H:%M:%S} UTC"


def ending(entries: Sequence[Entry], direction: str = "inbound", *, live: bool = False) -> str:
    """How the call ended, in words. Whom we called ourselves is not named the caller.

    `live`: it has not, as far as is known elsewhere; its journal alone does not tell that from one that broke off.
    """
    closed = next((entry for entry in reversed(entries) if isinstance(entry, CallClosed)), None)
    if closed is None:
        return _GOES_ON if live else _BROKEN_OFF
    words = ENDINGS.get(closed.reason, closed.reason)
    if direction == "outbound":
        words = words.replace("the caller", "the called person")
    return f"{words} to {closed.transfer_to}" if closed.transfer_to else words


def transcript_text(header: CallHeader, entries: Sequence[Entry], *, live: bool = False) -> str:
    """The call to read: who said what and when, verbatim; what of it was not heard, and what is missing.

    In brackets stands what was done: keys, messages, transfers, and where the recording was paused. `live`: the
    call goes on.
    """
    head = [
        f"Call {header.id} ({header.sid}), {header.direction}, from {header.caller} to {header.called}",
        f"{started(header)}; {answered_by(header, entries)}; ended: {ending(entries, header.direction, live=live)}",
        "",
    ]
    return "\n".join(head + (transcript_lines(header, entries) or ["(nothing was said)"])) + "\n"


def transcript_lines(header: CallHeader, entries: Sequence[Entry]) -> list[str]:
    """The lines of that: what was said and done, by the time."""
    names = _names(header)
    lines = [(one.line.started_ms, _text_line(one, names)) for one in said(entries)]
    done = [(at_ms, f"{_start(at_ms, names[who])}({what})") for at_ms, who, what in _done(header, entries)]
    return [line for _, line in sorted(lines + done, key=lambda timed: timed[0])]


def _done(header: CallHeader, entries: Sequence[Entry]) -> Iterable[tuple[int, str, str]]:
    """What was done besides speaking: when, by whom, and what. Of two people the head tells."""
    for keys in key_markers(entries):
        yield keys.at_ms, "caller", keys.label.replace("keys ", "pressed ").replace("key ", "pressed ")
    for entry in entries:
        match entry:
            case DigitsGathered(at_ms, _, count, masked=True):
                yield at_ms, "caller", f"pressed {count} keys, which are not kept"
            case MessageLeft():
                yield entry.from_ms, "caller", f"left message {entry.number}{_wordless(entry, entries)}"
            case RecordingPaused(at_ms):
                yield at_ms, "", "recording paused"
            case RecordingResumed(at_ms):
                yield at_ms, "", "recording resumed"
            case TransferTried(at_ms, to, status, warm) if header.agent_kind != "log":
                yield at_ms, "agent", f"{'warm ' if warm else ''}transfer to {to}: {status}"
            case _:
                pass


def _wordless(message: MessageLeft, entries: Sequence[Entry]) -> str:
    """What is to be said of a message without words: the carrier's own are heard later, if they can be."""
    words = message.transcript
    if message.url:
        times = (message.from_ms, message.to_ms)
        turns = [one for one in entries if isinstance(one, CallerSpoke) and (one.started_ms, one.ended_ms) == times]
        if not turns:
            return ", of which no words are known"
        words = turns[-1].transcript
    return "" if words.strip() else ", without a word"


def _start(at_ms: int, name: str) -> str:
    return f"[{clock(at_ms):>7}] {name}  "


def answered_by(header: CallHeader, entries: Sequence[Entry]) -> str:
    """Who was, or was to be, at the other end of the call, in words."""
    if header.agent_kind == "log":
        missed = any(isinstance(entry, CallClosed) and entry.reason == "not_reached" for entry in entries)
        return f"{'to be connected' if missed else 'connected'} with {header.name_of('callee')}"
    return f"agent: {header.agent_kind}"


def _names(header: CallHeader) -> dict[str, str]:
    """What stands before each line: where two people talk, who they are as well, in columns."""
    names = {speaker: speaker_name(header, speaker) for speaker in SPEAKERS}
    width = max(len(names["caller"]), len(names["callee"]) if header.agent_kind == "log" else 0)
    padded = {speaker: f"{name:{width}}" for speaker, name in names.items()}
    return padded | {"": " " * width}


def transcript_json(header: CallHeader, entries: Sequence[Entry]) -> bytes:
    """The same for programs: `header`, `ended` (how, or null when the record breaks off) and `lines`.

    A line's `degraded` tells that words of it are missing, because the speech-to-text service was away. Where two
    people talk, its `name` is the number or address of who speaks.
    """
    closed = next((entry for entry in reversed(entries) if isinstance(entry, CallClosed)), None)
    document: dict[str, Any] = {
        "header": header,
        "ended": closed,
        "lines": [_json_line(header, one) for one in said(entries)],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=2) + b"\n"


def _json_line(header: CallHeader, one: Said) -> dict[str, Any]:
    fields = {**msgspec.structs.asdict(one.line), "degraded": one.degraded}
    if header.agent_kind == "log" and one.line.speaker != "agent":
        fields["name"] = header.name_of(one.line.speaker)
    return fields


def _text_line(one: Said, names: Mapping[str, str]) -> str:
    line = one.line
    start = _start(line.started_ms, names[line.speaker])
    words = " ".join(filter(None, (line.text, one.remark)))
    return start + words.replace("\n", "\n" + " " * len(start))
