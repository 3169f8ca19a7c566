"""What becomes of a journal in the database: entries in, rows out. Pure.

Texts go in as the journal has them, with one exception: a NUL character, which PostgreSQL does not take, becomes ␀
(U+2400) in both databases. Half of a surrogate pair, which is no text, becomes U+FFFD. The journal keeps either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Protocol, TypeAlias

from bridge.conversation import journal as j
from bridge.store.base import CallHeader

Row: TypeAlias = dict[str, Any]

_INT32: Final = 2**31 - 1
_INT64: Final = 2**63 - 1


class Numbered(Protocol):
    """A line of a journal."""

    @property
    def seq(self) -> int:
        """1, 2, 3 … in the journal."""

    @property
    def data(self) -> Mapping[str, Any] | None:
        """As it stands in the journal; None: it was not understood."""

    @property
    def entry(self) -> j.Entry | None:
        """None: it was not understood, or is of an unknown kind."""


@dataclass(frozen=True, slots=True)
class LegEnd:
    """The media stream that was open before this entry has ended."""

    seq: int
    at_ms: int
    status: str


@dataclass(slots=True)
class Rows:
    """What some lines of one journal change."""

    turns: list[Row] = field(default_factory=list)
    actions: list[Row] = field(default_factory=list)
    legs: list[Row] = field(default_factory=list)
    notes: list[Row] = field(default_factory=list)
    leg_ends: list[LegEnd] = field(default_factory=list)
    """In their order; to be done when the legs are in."""
    call: Row = field(default_factory=dict)
    """Columns of the call that get these values."""
    more: dict[str, int] = field(default_factory=dict)
    """Columns of the call that grow by so much."""

    def count(self, column: str) -> None:
        """Let a column of the call grow by one."""
        self.more[column] = self.more.get(column, 0) + 1


def clean(text: str) -> str:
    """The text as both databases take it."""
    text = text.replace("\0", "␀")
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def call_row(call_id: str, header: CallHeader, folder: str) -> Row:
    """The row of a call that begins. `folder` is below that of the calls, and begins with the day."""
    return {
        "id": call_id,
        "sid": _code(header.sid, 64),
        "direction": _code(header.direction, 16),
        "caller": clean(header.caller),
        "called": clean(header.called),
        "other": clean(header.other),
        "agent_kind": _code(header.agent_kind, 64),
        "started_at": _started_at(header.started_at, folder),
        "folder": clean(folder),
    }


def rows_of(call_id: str, lines: Iterable[Numbered]) -> Rows:
    """The rows of these lines. One that was not understood makes none."""
    rows = Rows()
    for line in lines:
        if line.entry is not None:
            _put_entry(rows, call_id, line.seq, line.entry)
        elif line.data is not None:
            _put_unknown(rows, call_id, line.seq, line.data)
    rows.more = {**rows.more, **({"turns": len(rows.turns)} if rows.turns else {})}
    return rows


def _put_entry(rows: Rows, call_id: str, seq: int, entry: j.Entry) -> None:
    match entry:
        case j.CallerSpoke() | j.PartySpoke():
            rows.turns.append({"call_id": call_id, "seq": seq, **_said(entry)})
        case j.AgentSpoke():
            rows.turns.append({"call_id": call_id, "seq": seq, **_answered(entry)})
            if entry.interrupted:
                rows.count("interruptions")
        case j.NoteTaken():
            note = {"call_id": call_id, "seq": seq, "at_ms": _int(entry.at_ms), "data": clean_data(entry.data)}
            rows.notes.append(note)
        case j.AgentHeard() | j.AgentRemembered():
            pass  # They are for whoever goes on with the call, and for nobody else.
        case _:
            _put_action(rows, call_id, seq, j.to_dict(entry))
            _put_consequences(rows, call_id, seq, entry)


def _put_consequences(rows: Rows, call_id: str, seq: int, entry: j.Entry) -> None:
    """What else follows from an entry that is an action."""
    match entry:
        case j.CallOpened() | j.StreamResumed():
            rows.legs.append(_leg(call_id, seq, "stream", entry.at_ms))
        case j.StreamBroke() | j.CallGivenAway() | j.CallTakenOver():
            rows.leg_ends.append(LegEnd(seq, _int(entry.at_ms), "broken"))
        case j.CallClosed():
            rows.leg_ends.append(LegEnd(seq, _int(entry.at_ms), ""))
            rows.call = {
                "duration_ms": _int(entry.at_ms),
                "ended": _code(entry.reason, 64),
                "transfer_to": clean(entry.transfer_to),
                "under_runs": _int(entry.under_runs, _INT32),
            }
        case j.TransferTried():
            began = entry.at_ms - entry.duration_s * 1000
            leg = _leg(call_id, seq, "transfer", began, entry.at_ms)
            rows.legs.append({**leg, "party": clean(entry.to), "status": _code(entry.status, 32)})
        case j.SpeculationDropped():
            rows.count("wasted")
        case j.ProblemMet():
            rows.count("problems")
        case _:
            pass


def _put_unknown(rows: Rows, call_id: str, seq: int, data: Mapping[str, Any]) -> None:
    """Keep what a newer version has written, whatever it means."""
    if isinstance(data.get("entry"), str):
        _put_action(rows, call_id, seq, data)


def _put_action(rows: Rows, call_id: str, seq: int, data: Mapping[str, Any]) -> None:
    at_ms = next((data[name] for name in ("at_ms", "ended_ms", "to_ms") if _is_int(data.get(name))), 0)
    rest = {name: value for name, value in data.items() if name not in {"entry", "at_ms"}}
    rows.actions.append(
        {
            "call_id": call_id,
            "seq": seq,
            "kind": _code(data["entry"], 32),
            "at_ms": _int(at_ms),
            "data": clean_data(rest),
        }
    )


def _said(entry: j.CallerSpoke | j.PartySpoke) -> Row:
    row = {
        **_NO_TURN,
        "number": _int(entry.turn, _INT32),
        "text": clean(entry.transcript),
        "started_ms": _int(entry.started_ms),
        "ended_ms": _int(entry.ended_ms),
        "incomplete": entry.incomplete,
        "degraded": entry.degraded,
    }
    if isinstance(entry, j.PartySpoke):
        return {**row, "speaker": entry.party, "meaning": "words" if entry.transcript.strip() else "empty"}
    return {**row, "speaker": "caller", "meaning": entry.meaning, "eager_ms": _maybe(entry.eager_ms)}


def _answered(entry: j.AgentSpoke) -> Row:
    return {
        **_NO_TURN,
        "speaker": "agent",
        "number": _int(entry.turn, _INT32),
        "reply": _int(entry.reply, _INT32),
        "text": clean(entry.heard),
        "unheard": clean(entry.unheard),
        "started_ms": _int(entry.asked_ms if entry.sent_ms is None else entry.sent_ms),  # as a transcript has it
        "ended_ms": _int(entry.ended_ms),
        "interrupted": entry.interrupted,
        "occasion": _code(entry.occasion, 32),
        "speculative": entry.speculative,
        "asked_ms": _int(entry.asked_ms),
        "text_ms": _maybe(entry.text_ms),
        "audio_ms": _maybe(entry.audio_ms),
        "sent_ms": _maybe(entry.sent_ms),
        "mark_ms": _maybe(entry.mark_ms),
    }


_NO_TURN: Final[Row] = {
    "reply": None,
    "unheard": "",
    "interrupted": False,
    "incomplete": False,
    "degraded": False,
    "meaning": "words",
    "occasion": "",
    "speculative": False,
    **dict.fromkeys(("eager_ms", "asked_ms", "text_ms", "audio_ms", "sent_ms", "mark_ms")),
}
"""Every column of a turn that not every speaker's has: rows that go in together need the same ones."""


def _leg(call_id: str, seq: int, kind: str, started_ms: int, ended_ms: int | None = None) -> Row:
    return {
        "call_id": call_id,
        "seq": seq,
        "kind": kind,
        "party": "",
        "status": "",
        "started_ms": max(0, _int(started_ms)),
        "ended_ms": _maybe(ended_ms),
    }


def _started_at(moment: str, folder: str) -> int:
    """A moment of the wall clock in ms; where it cannot be read, the beginning of the day that the folder names."""
    for text in (moment, folder.partition("/")[0]):
        try:
            parsed = datetime.fromisoformat(text)
            if parsed.tzinfo is None:
                parsed = parsed.replace(tzinfo=UTC)
            return round(parsed.timestamp() * 1000)
        except (ValueError, OverflowError):
            continue
    return 0


def _code(text: str, length: int) -> str:
    """A word of ours, or of a newer version: never longer than its column."""
    return clean(text)[:length]


def _is_int(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _int(value: int, limit: int = _INT64) -> int:
    return max(-limit, min(limit, value))


def _maybe(value: int | None) -> int | None:
    return None if value is None else _int(value)


def clean_data(value: Any) -> Any:
    """JSON as both databases take it."""
    if isinstance(value, str):
        return clean(value)
    if isinstance(value, Mapping):
        return {clean(str(name)): clean_data(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [clean_data(part) for part in value]
    return value
