"""Conformance of `flow`: a flow file that a test writes, and a service for its look-ups."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import web

from bridge.agents.base import Agent
from bridge.agents.registry import open_agent
from bridge.conversation.actions import (
    GatherDigits,
    HangUp,
    Note,
    Play,
    RecordMessage,
    Say,
    Set,
    Transfer,
)
from tests.agents.asking import STARTED
from tests.agents.drivers import Chosen, Driver, Part

END = "the-end"


class Flow(Driver):
    kind = "flow"
    expresses = ("say", "play", "gather_digits", "record_message", "transfer", "hang_up", "set", "note")
    streams = True
    directed_later = False
    answered = STARTED
    trailer = HangUp()
    arrives = {  # noqa: RUF012  Read only.
        "play": Play("hold.wav"),
        "gather_digits": GatherDigits(4, "#", 8.0, 4.0, masked=True),
    }

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._file = folder / "flow.yaml"
        self._gates: list[asyncio.Event] = []
        self._flow: dict[str, Any] = {}
        self.echo()

    async def start(self) -> Agent:
        app = web.Application()
        app.router.add_get("/{gate}", self._wait)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        origin = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        # YAML takes JSON as it is.
        text = json.dumps(self._flow).replace("ORIGIN", origin)
        await asyncio.to_thread(self._file.write_text, text, encoding="utf-8")
        return await asyncio.to_thread(open_agent, Chosen(self.kind, str(self._file)))

    def answer(self, *parts: Part) -> None:
        steps: dict[str, Any] = {}
        self._flow = {"start": "step-0", "variables": {"nothing": ""}, "steps": steps}
        for number, part in enumerate(parts):
            following = f"step-{number + 1}" if number + 1 < len(parts) else END
            if isinstance(part, Set):
                self._flow["language"] = part.language
            steps[f"step-{number}"] = self._step(part, following)
        steps[END] = {"do": "hang_up"}

    def echo(self) -> None:
        listening = {"do": "listen", "say": "Yes?", "variable": "words", "next": "say"}
        saying = {"do": "listen", "say": "{words}", "variable": "words", "next": "say"}
        self._flow = {"start": "begin", "steps": {"begin": listening, "say": saying}}

    def connections(self) -> int:
        return len(self._runner.server.connections) if self._runner.server else 0

    async def stop(self) -> None:
        await self._runner.cleanup()

    def _step(self, part: Part, following: str) -> dict[str, Any]:  # noqa: PLR0911  A table.
        match part:
            case asyncio.Event():
                self._gates.append(part)
                url = f"ORIGIN/{len(self._gates) - 1}"
                return {"do": "lookup", "url": url, "next": following, "on_error": following}
            case Say(text):
                return {"do": "say", "say": text, "next": following}
            case Play(source):
                return {"do": "say", "say": [{"play": source}], "next": following}
            case GatherDigits(length):
                return {
                    "do": "digits",
                    "say": "{nothing}",
                    "variable": "pin",
                    "length": length,
                    "masked": True,
                    "next": following,
                }
            case RecordMessage(max_s):
                return {"do": "voicemail", "say": "{nothing}", "max_s": max_s, "beep": False, "next": following}
            case Transfer(to, summary):
                return {"do": "transfer", "to": to, "summary": summary, "failed": following}
            case HangUp(reason):
                return {"do": "hang_up", "reason": reason}
            case Note(data):
                return {"do": "note", "data": dict(data), "next": following}
            case _:
                return {"do": "goto", "next": following}

    async def _wait(self, request: web.Request) -> web.Response:
        self.busy.set()
        try:
            await self._gates[int(request.match_info["gate"])].wait()
        except asyncio.CancelledError:
            self.left.set()
            raise
        return web.json_response({})
