"""Redaction of what is posted to agents, where it waits on the disk. Pure."""

from __future__ import annotations

from typing import Any, Final

import msgspec

from bridge.privacy.call import CallRedaction
from bridge.privacy.redactor import Redactor

_FACTS: Final = frozenset({"id", "sid", "from", "to", "direction", "started_at"})
"""Of a call: what it is found by again."""


def redacted_body(redactor: Redactor, body: bytes) -> bytes:
    """Return the JSON of an event without what must not be written down; as it is where nothing of that is in it.

    Raises ValueError for what is no JSON.
    """
    if not redactor.active:
        return body
    event = msgspec.json.decode(body)
    clean = _event(CallRedaction(redactor), event)
    return body if clean == event else msgspec.json.encode(clean)


def _event(call: CallRedaction, event: Any) -> Any:
    if not isinstance(event, dict):
        return call.value(event)
    said = event.get("messages")
    clean: dict[str, Any] = {}
    if isinstance(said, list) and all(isinstance(one, dict) for one in said):
        # In their order, and first: what is found in them is found again in all the rest.
        texts = call.turns([(_speaker(one), str(one.get("content", ""))) for one in said])
        clean["messages"] = [{**one, "content": text} for one, text in zip(said, texts, strict=True)]
    for name, value in event.items():
        if name == "call" and isinstance(value, dict):
            clean[name] = {key: item if key in _FACTS else call.value(item) for key, item in value.items()}
        elif name not in clean:
            clean[name] = call.value(value)
    return {name: clean[name] for name in event}


def _speaker(message: dict[str, Any]) -> str:
    return "agent" if message.get("role") == "assistant" else "caller"
