"""What is sent of an entry of a call's journal. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import msgspec

from bridge.conversation import journal
from bridge.store.base import CallHeader

_KINDS: Final[Mapping[type[Any], str]] = {
    journal.CallOpened: "call.started",
    journal.CallerSpoke: "turn",
    journal.PartySpoke: "turn",
    journal.AgentSpoke: "turn",
    journal.KeyPressed: "action",
    journal.DigitsGathered: "action",
    journal.MessageLeft: "action",
    journal.TransferTried: "action",
    journal.AnswererTold: "action",
    journal.NoteTaken: "action",
    journal.RecordingPaused: "action",
    journal.RecordingResumed: "action",
    journal.ProblemMet: "problem",
    journal.StreamBroke: "problem",
    journal.StreamResumed: "problem",
    journal.CallGivenAway: "problem",
    journal.CallTakenOver: "problem",
    journal.CallClosed: "call.ended",
}


def type_of(entry: journal.Entry) -> str:
    """Return as what an entry is sent; empty: it is not."""
    return _KINDS.get(type(entry), "")


def document_id(call: str, number: int) -> str:
    """Return the id of what is sent of a call's entry: the same each time it is sent. `number` counts from 0."""
    return f"{call}-{number}"


def document(header: CallHeader, number: int, entry: journal.Entry) -> bytes:
    """Return the document of an entry, as JSON."""
    data = {
        "id": document_id(header.id, number),
        "type": type_of(entry),
        "call": {
            "id": header.id,
            "sid": header.sid,
            "from": header.caller,
            "to": header.called,
            "direction": header.direction,
            "agent": header.agent_kind,
            "started_at": header.started_at,
            **({"other": header.other} if header.other else {}),
        },
        "entry": journal.to_dict(entry),
    }
    try:
        return msgspec.json.encode(data)
    except (TypeError, ValueError):
        # A note may hold anything, and a text half of a surrogate pair: send what can be sent.
        return json.dumps(data, ensure_ascii=False, default=str, skipkeys=True).encode("utf-8", "replace")
