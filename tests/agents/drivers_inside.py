"""Conformance of kinds within the process: `python`, `echo`, `none`, and one of another distribution."""

from __future__ import annotations

import asyncio
import json
import sys
import types
from collections.abc import AsyncIterator, Callable
from pathlib import Path

from bridge.agents.base import Agent, Question
from bridge.agents.registry import open_agent
from bridge.conversation.actions import HandOff
from tests.agents.drivers import ACTIONS, Chosen, Driver, Part, wire


class Python(Driver):
    kind = "python"
    expresses = tuple(ACTIONS)
    streams = True
    faults = ("raises", "hang", "nonsense")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._reply: Callable[[Question], AsyncIterator[object]] = self._echoed
        self._parts: tuple[Part, ...] = ()

    async def start(self) -> Agent:
        module = types.ModuleType("directed_agent")

        async def agent(question: Question) -> AsyncIterator[object]:
            async for piece in self._reply(question):
                yield piece

        module.agent = agent  # type: ignore[attr-defined]  # a module made up here
        sys.modules[module.__name__] = module
        return open_agent(Chosen(self.kind, "directed_agent:agent", timeout_seconds=1.0))

    def answer(self, *parts: Part) -> None:
        self._parts, self._reply = parts, self._directed

    def echo(self) -> None:
        self._reply = self._echoed

    def fail(self, fault: str) -> None:
        async def failing(_: Question) -> AsyncIterator[object]:
            if fault == "raises":
                raise RuntimeError("no")
            if fault == "hang":
                await asyncio.Event().wait()
            yield {"say": "no"}

        self._reply = failing

    async def stop(self) -> None:
        sys.modules.pop("directed_agent", None)

    async def _echoed(self, question: Question) -> AsyncIterator[object]:
        yield question.transcript

    async def _directed(self, _: Question) -> AsyncIterator[object]:
        try:
            for part in self._parts:
                if isinstance(part, asyncio.Event):
                    self.busy.set()
                    await part.wait()
                else:
                    yield part
        except asyncio.CancelledError:
            self.left.set()
            raise


class Echo(Driver):
    kind = "echo"
    greets = False
    expresses = ("say",)

    def answer(self, *parts: Part) -> None:
        """It says what the caller said: here always the sample's words."""

    def echo(self) -> None:
        """It always does."""


class Silent(Driver):
    kind = "none"
    greets = False
    answers_turns = False


class Canned(Driver):
    """The sample distribution, loaded through its entry point as an installed one is."""

    kind = "canned"
    expresses = tuple(ACTIONS)
    faults = ("no line",)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._file = folder / "lines.json"
        self.echo()

    async def start(self) -> Agent:
        # As at the start of the bridge: installed distributions are looked up on disk.
        return await asyncio.to_thread(open_agent, Chosen(self.kind, str(self._file)))

    def answer(self, *parts: Part) -> None:
        actions = [part for part in parts if not isinstance(part, asyncio.Event)]
        self._write([{"hand_off": part.data} if isinstance(part, HandOff) else wire(part) for part in actions])

    def echo(self) -> None:
        self._write({"say": "{words}"})

    def fail(self, fault: str) -> None:
        self._write("nothing")

    def _write(self, line: object) -> None:
        self._file.write_text(json.dumps({"*": line, "greeting": line}), encoding="utf-8")
