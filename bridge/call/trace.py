"""The trace of a call: every event with what was done about it, as JSON lines that can be played again.

Each line is one step, `{"now": seconds, "event": …, "commands": […]}`; the first line holds the policy. Decisions
depend on nothing else, so today's conversation, given the same events at the same times, does the same things;
where it does not, its logic has changed since. Sound is kept as its length only: no decision looks into it.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import msgspec

from bridge.conversation import actions, commands, events, journal, overheard
from bridge.conversation.machine import Conversation
from bridge.conversation.overheard import ListenPolicy, Overheard
from bridge.conversation.policy import Policy
from bridge.errors import BridgeError

_MASKED = re.compile("[0-9A-D]")
_KINDS: dict[str, Any] = {
    name: kind
    for room in (actions, commands, events, journal, overheard)
    for name, kind in vars(room).items()
    if dataclasses.is_dataclass(kind) or (isinstance(kind, type) and issubclass(kind, msgspec.Struct))
}
_AS_IT_IS = frozenset({str, int, float, bool, type(None)})
"""What stands in a trace as it is; most fields are of these types."""
_encode = msgspec.json.Encoder().encode
_ARRIVED = b'{"now":%b,"event":{"is":"SpeechArrived","utterance":%d,"audio":{"bytes":%d}},"commands":[]}\n'


@dataclass(frozen=True, slots=True)
class Difference:
    """The first step at which today's conversation does something else."""

    line: int
    """Number of the line in the trace, from 1."""
    now: float
    event: Any
    then: Any
    """What was done when the call was recorded."""
    today: Any


def first_line(policy: Policy | ListenPolicy) -> bytes:
    """Return the line that a trace begins with: the rules of a conversation, or of a call that is listened to."""
    name = "policy" if isinstance(policy, Policy) else "listening"
    return msgspec.json.encode({"version": 1, name: dataclasses.asdict(policy)}) + b"\n"


def resumed_line(policy: Policy, epoch: int) -> bytes:
    """Return the line with which another process goes on with a call: what was before is known from the journal."""
    rules = {"version": 1, "resumed": epoch, "policy": dataclasses.asdict(policy)}
    return msgspec.json.encode(rules) + b"\n"


def step_line(
    now: float,
    event: events.Event | overheard.Happening,
    done: Iterable[commands.Command],
    *,
    masked: bool = False,
) -> bytes:
    """Return the line of one step; `now` as it was handed to the conversation, in seconds.

    `masked`: the caller's keys are a secret. Each stands as a 0, but for `#` and `*`, which may end a number. So do
    those that the journal does not keep, and those that the agent is told of in confidence.
    """
    done = list(done)
    if not done and type(event) is events.SpeechArrived:  # Nearly half of all steps: the same line, made quickly.
        return _ARRIVED % (_encode(now), event.utterance, len(event.audio))
    if isinstance(event, events.DigitPressed) and (masked or not _kept(done)):
        event = msgspec.structs.replace(event, digit=_MASKED.sub("0", event.digit))
    told = []
    for one in done:
        if isinstance(one, commands.AskAgent) and (masked or one.masked):
            told.append(_plain(msgspec.structs.replace(one, digits=_MASKED.sub("0", one.digits))))
        else:
            told.append(_plain(one))
    step = {"now": now, "event": _plain(event), "commands": told}
    try:
        return _encode(step) + b"\n"
    except (TypeError, ValueError):
        # A note may hold anything, and a text half of a surrogate pair: keep what can be kept.
        text = json.dumps(step, ensure_ascii=False, default=str, skipkeys=True)
        return text.encode("utf-8", "replace") + b"\n"


def _kept(done: list[commands.Command]) -> bool:
    """Tell whether the journal keeps a key that was pressed."""
    return any(isinstance(one, commands.Record) and isinstance(one.entry, journal.KeyPressed) for one in done)


def replay(text: bytes, *, name: str) -> tuple[int, Difference | None]:
    """Play a trace to a new conversation. Returns how many steps agreed, and the first that did not, if any.

    A torn last line is passed over. Of a call that another process went on with, what that did is not looked at.
    Raises `BridgeError` (`trace_unreadable`) when it is no trace.
    """
    first, *rest = text.split(b"\n")
    try:
        listener = _listener(msgspec.json.decode(first))
    except (msgspec.MsgspecError, KeyError, TypeError) as error:
        raise BridgeError(f"{name} is no trace of a call: {error}", code="trace_unreadable") from error
    agreed = 0
    for number, line in enumerate(rest, start=2):
        try:
            step = msgspec.json.decode(line)
            if "resumed" in step:
                break
            event = _object(step["event"])
        except (msgspec.MsgspecError, KeyError, TypeError):
            if number > len(rest):  # The last line may be torn, or empty.
                break
            raise BridgeError(f"{name}, line {number}, is not understood", code="trace_unreadable") from None
        today = msgspec.to_builtins([_plain(one) for one in listener.handle(event, step["now"])])
        if today != step["commands"]:
            return agreed, Difference(number, step["now"], step["event"], step["commands"], today)
        agreed += 1
    return agreed, None


def _listener(head: dict[str, Any]) -> Any:
    """Return what decided in the call, anew: a conversation, or the listener to two people."""
    if "listening" in head:
        return Overheard(msgspec.convert(head["listening"], ListenPolicy))
    return Conversation(msgspec.convert(head["policy"], Policy))


def _plain(value: Any) -> Any:
    """Return what JSON can hold: objects with their kind under `is`, sound as its length."""
    kind = type(value)
    if (names := _fields(kind)) is not None:  # type: ignore[arg-type]  # A class can be hashed.
        plain: dict[str, Any] = {"is": kind.__name__}
        for name in names:
            field = getattr(value, name)
            plain[name] = field if type(field) in _AS_IT_IS else _plain(field)
        if kind is journal.AgentHeard:
            plain["heard"] = len(value.heard)  # The pieces of the answer stand in the steps before.
        if "messages" in plain:
            # All that was said stands in the steps before: written again at each turn, it would grow without end.
            plain["messages"] = len(value.messages)
            plain.pop("state", None)  # So does what the agent has remembered.
            if not plain.get("repeats"):
                plain.pop("repeats", None)  # Nearly always, and traces of before do not have it.
        return plain
    if isinstance(value, bytes):
        return {"bytes": len(value)}
    if isinstance(value, tuple | list):
        return [_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {"map": dict(value)}
    return value


@cache
def _fields(kind: type[Any]) -> tuple[str, ...] | None:
    """Return the names of the fields of an event, a command and the like; None: it is none."""
    if issubclass(kind, msgspec.Struct):
        return kind.__struct_fields__
    return tuple(field.name for field in dataclasses.fields(kind)) if dataclasses.is_dataclass(kind) else None


def _object(value: Any) -> Any:
    """Return what `_plain` was given."""
    if isinstance(value, list):
        return tuple(_object(item) for item in value)
    if not isinstance(value, dict):
        return value
    if "bytes" in value:
        return b"\xff" * int(value["bytes"])
    if "map" in value:
        return value["map"]
    return _KINDS[value["is"]](**{name: _object(item) for name, item in value.items() if name != "is"})
