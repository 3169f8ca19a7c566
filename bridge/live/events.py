"""The events of live calls: their names, and what each holds. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from msgspec import Struct, field

GAP: Final = "gap"
"""Events were missed: who keeps a picture of the calls asks for it anew."""

TYPES: Final[Mapping[str, str]] = {
    "call.started": "a call began: `sid`, `from`, `to`, `direction`, `agent`, `started_at`",
    "call.ended": "it is over: `reason`",
    "state": "`state`: `listening`, `thinking`, `talking` or `away`",
    "turn.started": "somebody makes a sound: `speaker`",
    "turn.words": "their words so far: `speaker`, `text`, and `eager` where they may be done",
    "turn.ended": "what they said: `speaker`, `turn`, `text`, `meaning`, `started_ms`, `ended_ms`",
    "agent.thinking": "the agent was asked: `reply`, `turn`, `occasion`, `speculative`",
    "agent.speaking": "it is heard: `reply`, `turn`, `occasion`, `text` (all so far), `heard` of it, `answer_ms`",
    "agent.silenced": "it fell silent, because the caller made a sound: `reply`, `turn`",
    "agent.resumed": "it speaks on: `reply`, `turn`",
    "agent.spoke": "a reply is over: `heard`, `unheard`, `interrupted`, `speculative`, `latencies`, `occasion`",
    "key": "the caller pressed a key: `digit`, empty where it is a secret (`masked`)",
    "message": "the caller has left a message: `number`, `text`",
    "recording": "the recording was paused, or goes on: `state` (`paused` or `on`)",
    "note": "data was left with the call: `data`",
    "transfer": "somebody is to be connected with the caller: `to`, `status`, `warm`",
    "problem": "something failed: `source`, `code`, `message`",
    GAP: "events were missed; ask for the live calls anew",
}
"""Each type, and what stands in it beside `id`, `type`, `call`, `time` and `at_ms` (of the call)."""


class News(Struct, frozen=True):
    """One thing that happened in a call."""

    type: str
    call: str
    """The bridge's id of the call."""
    data: Mapping[str, Any] = field(default_factory=dict)
