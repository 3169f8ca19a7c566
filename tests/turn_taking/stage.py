"""The stage of these calls: a bridge in this process, an agent behind a webhook, and what they leave behind."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

from aiohttp import web

from bridge.app import Bridge, running
from bridge.settings.source import load_settings
from bridge.simulator.caller import Line, SimulatedCall
from bridge.simulator.phone import Stretch
from bridge.tasks import spawn
from tests.serving import served

TOKEN = "0123456789abcdef0123456789abcdef"

Answer: TypeAlias = dict[str, Any] | None
Answering: TypeAlias = Callable[[dict[str, Any]], Awaitable[Answer] | Answer]


@dataclass(eq=False)
class Asked:
    """One request to the agent, and what became of it."""

    body: dict[str, Any]
    cancelled: bool = False
    """The bridge closed the connection before it was answered."""
    answered: bool = False

    @property
    def type(self) -> str:
        return str(self.body["type"])

    @property
    def speculative(self) -> bool:
        return bool(self.body["turn"]["speculative"])

    @property
    def transcript(self) -> str:
        return str(self.body["turn"]["transcript"])


@dataclass
class WebhookAgent:
    """An agent on a port of its own. `answer` gets a request's body and returns the answer; None is a 204."""

    answer: Answering
    asked: list[Asked] = field(default_factory=list)
    url: str = ""
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def turns(self, call: SimulatedCall) -> list[Asked]:
        """Return the questions of a call about the caller's turns, in their order."""
        return [one for one in self.of(call) if one.type == "turn.ended"]

    def of(self, call: SimulatedCall) -> list[Asked]:
        """Return all requests about a call."""
        return [one for one in self.asked if one.body["call"]["sid"] == call.call_sid]

    async def until(self, check: Callable[[], Any], within_s: float = 15.0) -> None:
        """Wait until `check` holds; it is looked at whenever a request comes, is answered or dropped."""
        async with self.changed, asyncio.timeout(within_s):
            await self.changed.wait_for(check)

    async def _handle(self, request: web.Request) -> web.Response:
        asked = Asked(await request.json())
        self.asked.append(asked)
        await self._tell()
        try:
            answer = self.answer(asked.body)
            if not isinstance(answer, dict | None):
                answer = await answer
        except asyncio.CancelledError:
            asked.cancelled = True
            await asyncio.shield(self._tell())
            raise
        asked.answered = True
        await self._tell()
        return web.Response(status=204) if answer is None else web.json_response(answer)

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()

    @contextlib.asynccontextmanager
    async def running(self) -> AsyncIterator[WebhookAgent]:
        """Serve for the length of the block."""
        app = web.Application()
        app.router.add_post("/", self._handle)
        async with served(app, handler_cancellation=True, shutdown_timeout=1.0) as url:
            self.url = f"{url}/"
            yield self


@dataclass(frozen=True)
class Stage:
    """A bridge and its agent."""

    bridge: Bridge
    agent: WebhookAgent
    folder: Path

    def line(self, **options: Any) -> Line:
        """Return a line to the bridge; `options` are those of `Line`."""
        return Line(self.bridge.url, TOKEN, **options)

    async def journal(self, call: SimulatedCall) -> Journal:
        """Wait until the call is recorded, and read its journal and transcript."""
        if (session := self.bridge.registry.live.get(call.call_sid)) is not None:
            async with asyncio.timeout(20):
                await session.ended.wait()
        (path,) = [
            found for found in self.folder.rglob("journal.jsonl") if call.call_sid in found.read_text("utf-8")
        ]
        lines = path.read_text("utf-8").splitlines()[1:]
        return Journal([json.loads(line) for line in lines], path.parent)


@dataclass(frozen=True)
class Journal:
    """What was kept of a call."""

    entries: list[dict[str, Any]]
    folder: Path

    def all(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["entry"] == kind]

    @property
    def turns(self) -> list[dict[str, Any]]:
        """The caller's turns that hold words to be answered."""
        return [entry for entry in self.all("caller_spoke") if entry["meaning"] == "words"]

    @property
    def caller_words(self) -> list[str]:
        """Every word of the caller, in the order of the turns."""
        return "".join(entry["transcript"] for entry in self.all("caller_spoke")).split()

    @property
    def problems(self) -> list[str]:
        return [entry["code"] for entry in self.all("problem_met")]


@contextlib.asynccontextmanager
async def stage(folder: Path, speech_url: str, answer: Answering, **environment: str) -> AsyncIterator[Stage]:
    """Run a bridge with a webhook agent for the length of the block."""
    async with WebhookAgent(answer).running() as agent:
        settings = load_settings(
            environment={
                "BRIDGE_SERVER__PORT": "0",
                "BRIDGE_SPEECH__BASE_URL": speech_url,
                "BRIDGE_SPEECH__API_KEY": "sk_test",
                "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN,
                "BRIDGE_STORE__RECORDINGS": str(folder),
                "BRIDGE_AGENT__URL": agent.url,
                **environment,
            },
            files=(),
        )
        async with running(settings) as up:
            yield Stage(up, agent, folder)


class Lateness:
    """How late this process, and all that runs in it, gets to do what is due."""

    worst_s = 0.0

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """Look every 10 ms for the length of the block."""
        watching = spawn(self._watch(), name="lateness")
        try:
            yield
        finally:
            watching.cancel()
            await asyncio.wait([watching])

    async def _watch(self) -> None:
        clock = asyncio.get_running_loop().time
        while True:
            due = clock() + 0.01
            await asyncio.sleep(0.01)
            self.worst_s = max(self.worst_s, clock() - due)


def heard_after(call: SimulatedCall, at_s: float) -> list[Stretch]:
    """Return the stretches of which something sounded after a moment of the call."""
    return [stretch for stretch in call.heard if stretch.end_s > at_s]


def show(text: str) -> None:
    """Print a figure, to be seen with `-s`."""
    print(text)  # noqa: T201  The figures are what `-s` is for.
