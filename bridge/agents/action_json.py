"""The vocabulary of `bridge.conversation.actions` as JSON: what an agent outside the process writes.

Pure. An *item* is one JSON object: `{"say": "…"}`, one action such as `{"type": "hang_up"}`, or `{"actions": […]}`
with actions and `{"say": "…"}` in the order in which they are to be carried out. The actions:

    {"type": "say", "text": "…", "barge_in": "speech", "interruptible": true, "voice": "…", "language": "…"}
    {"type": "play", "source": "https://…/hold.wav", "loop": 1, "interruptible": true, "barge_in": "speech"}
    {"type": "send_digits", "digits": "12w3#", "by_carrier": false}
    {"type": "gather_digits", "length": 4, "terminator": "#", "first_s": 10, "next_s": 4, "masked": false}
    {"type": "record_message", "max_s": 120, "silence_s": 4, "terminator": "#"}
    {"type": "set", "voice": "…", "language": "…", "stt": {…}, "recording": "paused"}
    {"type": "hang_up", "reason": "…"}
    {"type": "transfer", "to": "+15551234567", "summary": "…", "timeout_s": 30, "caller_id": "", "digits": ""}
    {"type": "note", "data": {…}}
    {"type": "remember", "state": {…}}

`{"say": "…"}` takes the same further fields as `{"type": "say"}`; all but `text`, `source`, `digits`, `to`,
`data` and `state` may be left out. Texts of one `actions` are kept apart by a blank where they have none.
`barge_in` is `speech`, `words:N`, `voice`, `keys` or `never`, and `interruptible: false` is another word for
`never`. `stt` holds `model`, `language`, `keyterms`, `start_threshold`, `eager_end_threshold`, `end_threshold` and
`end_timeout_ms`, as `Tuning` tells; `recording` is `on` or `paused`; a `set` must change something. `actions`
holds `MAX_ACTIONS` entries at most.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import msgspec

from bridge.agents.action_checks import fault
from bridge.conversation.actions import (
    Action,
    GatherDigits,
    HangUp,
    Note,
    Play,
    RecordMessage,
    Remember,
    Say,
    SendDigits,
    Set,
    Transfer,
    Tuning,
)

MALFORMED = "malformed"
"""Kind of a piece of an answer that is no JSON object, or has none of the three forms."""
TOO_MANY = "too_many"
"""Kind of what an answer holds beyond `MAX_ACTIONS`."""
MAX_ACTIONS = 200
"""How many actions one answer may hold. Nobody means more, and each costs the call work."""

_UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises for bytes that are no JSON of the wanted shape (RecursionError: nested too deeply)."""

_LONGEST_REASON = 300
"""Characters. A reason may quote what it refuses, which may be long."""

_DIALLED = re.compile(r"\+[1-9]\d{6,14}|sips?:[^\s\x00-\x1f]+")


@dataclass(frozen=True, slots=True)
class Refused:
    """A part of an answer that cannot be carried out; the rest is."""

    kind: str
    """The `type` it had, as the agent wrote it, or `malformed`, or `too_many`."""
    reason: str


Piece: TypeAlias = Action | Refused


class _Say(msgspec.Struct):
    text: str
    interruptible: bool = True
    voice: str | None = None
    language: str | None = None
    barge_in: str | None = None
    preemptible: bool = False


class _Play(msgspec.Struct):
    source: str
    loop: int = 1
    interruptible: bool = True
    barge_in: str | None = None
    preemptible: bool = False


class _SendDigits(msgspec.Struct):
    digits: str
    by_carrier: bool = False


class _GatherDigits(msgspec.Struct):
    length: int | None = None
    terminator: str = "#"
    first_s: float = 10.0
    next_s: float = 4.0
    masked: bool = False


class _RecordMessage(msgspec.Struct):
    max_s: float = 120.0
    silence_s: float = 4.0
    terminator: str = "#"


class _HangUp(msgspec.Struct):
    reason: str = ""


class _Transfer(msgspec.Struct):
    to: str
    summary: str = ""
    timeout_s: float | None = None
    caller_id: str = ""
    digits: str = ""


class _Note(msgspec.Struct):
    data: dict[str, Any]


class _Remember(msgspec.Struct):
    state: dict[str, Any]


class _Item(msgspec.Struct):
    """The outside of an item, read first: it tells which of the three forms it has."""

    type: str | None = None
    say: str | None = None
    actions: list[msgspec.Raw] | None = None


class _ShortSay(msgspec.Struct, rename={"text": "say"}):
    text: str
    interruptible: bool = True
    voice: str | None = None
    language: str | None = None
    barge_in: str | None = None
    preemptible: bool = False


class _Set(msgspec.Struct):
    voice: str | None = None
    language: str | None = None
    stt: Tuning | None = None
    recording: Literal["on", "paused"] | None = None


def parse_item(raw: bytes | msgspec.Raw) -> list[Piece]:
    """Read one item. Unknown fields are ignored. Never raises: what cannot be carried out comes as `Refused`."""
    try:
        item = msgspec.json.decode(raw, type=_Item)
    except _UNREADABLE as error:
        return [Refused(MALFORMED, str(error)[:_LONGEST_REASON])]
    pieces: list[Piece] = []
    if item.type is not None:
        pieces.append(_parse_action(item.type, raw))
    if item.say is not None:
        pieces.append(_decode("say", raw, _ShortSay, _to_say))
    actions = item.actions or []
    for action in actions[:MAX_ACTIONS]:
        pieces.extend(_parse_listed(action))
    if len(actions) > MAX_ACTIONS:
        left_out = len(actions) - MAX_ACTIONS
        pieces.append(Refused(TOO_MANY, f"{left_out} actions more than the {MAX_ACTIONS} an answer may hold"))
    if item.type is None and item.say is None and item.actions is None and bytes(raw).strip(b" \t\r\n{}"):
        pieces.append(Refused(MALFORMED, "the object has none of `say`, `actions` and `type`"))
    return _apart([piece for piece in pieces if not (isinstance(piece, Say) and not piece.text)])


def _apart(pieces: list[Piece]) -> list[Piece]:
    """Put a blank between texts of one item that would run into each other: each of them is a text of its own.

    Items that follow each other in a stream are left as they are, because there a text may be half a word.
    """
    before = ""
    for at, piece in enumerate(pieces):
        if isinstance(piece, Say):
            if before and not before[-1].isspace() and not piece.text[0].isspace():
                pieces[at] = msgspec.structs.replace(piece, text=f" {piece.text}")
            before = piece.text
    return pieces


def _parse_listed(raw: msgspec.Raw) -> list[Piece]:
    """Read one entry of `actions`: an action or `{"say": "…"}`, but no further list, so that nothing nests."""
    try:
        item = msgspec.json.decode(raw, type=_Item)
    except _UNREADABLE as error:
        return [Refused(MALFORMED, str(error)[:_LONGEST_REASON])]
    if item.actions is not None:
        return [Refused(MALFORMED, "`actions` inside `actions`")]
    return parse_item(raw)


def _parse_action(kind: str, raw: bytes | msgspec.Raw) -> Piece:
    if kind not in _ACTIONS:
        return Refused(kind, f"no such action; there are {', '.join(_ACTIONS)}")
    return _decode(kind, raw, *_ACTIONS[kind])


def _decode(kind: str, raw: bytes | msgspec.Raw, wire: type[Any], build: Callable[[Any], Piece]) -> Piece:
    try:
        piece = build(msgspec.json.decode(raw, type=wire))
    except (*_UNREADABLE, ValueError) as error:  # ValueError: an action refuses a value of its own
        return Refused(kind, str(error)[:_LONGEST_REASON])
    if isinstance(piece, Refused) or not (reason := fault(piece)):
        return piece
    return Refused(kind, reason[:_LONGEST_REASON])


def _to_say(wire: _Say | _ShortSay) -> Say:
    return Say(wire.text, wire.interruptible, wire.voice, wire.language, wire.barge_in, wire.preemptible)


def _changed(tuning: Tuning | None) -> Tuning | None:
    """`stt`, unless it asks for nothing."""
    return None if tuning == Tuning() else tuning


def _to_transfer(wire: _Transfer) -> Piece:
    if not _DIALLED.fullmatch(wire.to):
        return Refused(
            "transfer", "`to` is neither a number like +15551234567 nor a SIP address like sip:desk@host"
        )
    return Transfer(*msgspec.structs.astuple(wire))


_ACTIONS: dict[str, tuple[type[Any], Callable[[Any], Piece]]] = {
    "say": (_Say, _to_say),
    "play": (_Play, lambda wire: Play(*msgspec.structs.astuple(wire))),
    "send_digits": (_SendDigits, lambda wire: SendDigits(*msgspec.structs.astuple(wire))),
    "gather_digits": (_GatherDigits, lambda wire: GatherDigits(*msgspec.structs.astuple(wire))),
    "record_message": (_RecordMessage, lambda wire: RecordMessage(*msgspec.structs.astuple(wire))),
    "set": (_Set, lambda wire: Set(wire.voice, wire.language, _changed(wire.stt), wire.recording)),
    "hang_up": (_HangUp, lambda wire: HangUp(wire.reason)),
    "transfer": (_Transfer, _to_transfer),
    "note": (_Note, lambda wire: Note(wire.data)),
    "remember": (_Remember, lambda wire: Remember(wire.state)),
}
"""How each action is read, and made of what was read."""
