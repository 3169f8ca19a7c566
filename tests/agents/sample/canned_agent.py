"""An agent of another distribution: it answers with canned lines.

`agent.url` names a file with one JSON object. Its keys are words to listen for, its values what is answered to
them: items as a webhook writes them, or a list of items. `*` is answered to all else, and `greeting` when a call
begins.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

from bridge.agents.action_json import Refused, parse_item
from bridge.agents.base import Agent, Question
from bridge.agents.registry import AgentSettings
from bridge.conversation.actions import Action, HandOff
from bridge.errors import AgentError, SettingsError


def open_agent(settings: AgentSettings) -> Agent:
    """Make the agent. What is wrong with the file is told here, before the first call."""
    agent = CannedAgent(Path(settings.url))
    try:
        agent.lines()
    except (OSError, ValueError) as error:
        raise SettingsError(f"agent.url (BRIDGE_AGENT__URL) is {settings.url!r}: {error}") from error
    return agent


class CannedAgent:
    """Holds nothing of any call. The file may be changed while calls go on."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def lines(self) -> dict[str, Any]:
        """Read the file."""
        lines: dict[str, Any] = json.loads(self._file.read_text(encoding="utf-8"))
        return lines

    async def ask(self, question: Question) -> AsyncGenerator[Action, None]:
        """Answer a turn, or the beginning of a call."""
        if question.occasion not in {"call.started", "turn.ended"}:
            return  # Also to occasions that later versions of the bridge may know.
        lines = await asyncio.to_thread(self.lines)
        heard = ["greeting"] if question.occasion == "call.started" else question.transcript.lower().split()
        default = "*" if question.occasion == "turn.ended" else ""
        found: Any = next((lines[word] for word in (*heard, default) if word in lines), [])
        for item in found if isinstance(found, list) else [found]:
            if item == "nothing":
                raise AgentError("there is no line for that", code="agent_answer")
            if "hand_off" in item:
                yield HandOff(item["hand_off"])
                continue
            for piece in parse_item(json.dumps(item).replace("{words}", question.transcript.strip()).encode()):
                if not isinstance(piece, Refused):
                    yield piece

    async def close(self) -> None:
        """Nothing is held."""
