"""Kills a bridge in mid-call and starts it again, and sees whether its calls go on as if nothing had happened.

`python -m tests.resumed_calls --calls 20` does so again and again and prints figures; a test does it once. Each
round starts `phone-bridge serve` as a process of its own, lets some calls talk to it, kills it with SIGKILL at a
moment of chance, and starts it again at the same port. With `--workers 3` one of three workers is killed, and its
supervisor starts it again. The simulator asks what comes next, as Twilio does when a stream breaks.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer, unused_port

from bridge.simulator.caller import Line, SimulatedCall
from tests.scripted_speech import Peer, ScriptedSpeech

ROOT = Path(__file__).parents[1]
TOKEN = "0123456789abcdef0123456789abcdef"


@dataclass
class Asked:
    """A question that the agent got."""

    call: str
    kind: str
    turn: int
    transcript: str
    id: str
    messages: list[dict[str, Any]]
    parameters: dict[str, str]


@dataclass
class Agent:
    """A webhook that answers with a few words, and remembers what it was asked. It may be slow."""

    asked: list[Asked] = field(default_factory=list)
    slow_for: str = ""
    """Of a question that holds this, no answer comes."""

    async def answer(self, request: web.Request) -> web.Response:
        body: dict[str, Any] = await request.json()
        turn = body.get("turn") or {}
        if not turn.get("speculative"):
            call = body["call"]
            self.asked.append(
                Asked(
                    call["id"],
                    body["type"],
                    turn.get("number", 0),
                    turn.get("transcript", ""),
                    request.headers["webhook-id"],
                    body.get("messages", []),
                    call.get("parameters", {}),
                )
            )
        if self.slow_for and self.slow_for in turn.get("transcript", ""):
            await asyncio.sleep(30)
        return web.json_response({"say": f"I heard {turn.get('transcript', 'you').strip() or 'you'}."})

    def turns(self, call: str) -> list[Asked]:
        """The questions about turns of a call."""
        return [one for one in self.asked if one.call == call and one.kind == "turn.ended"]


@dataclass
class World:
    """What outlives the bridges."""

    folder: Path
    speech: ScriptedSpeech
    agent: Agent
    agent_url: str
    workers: int
    port: int = field(default_factory=unused_port)
    log: Any = None

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[asyncio.subprocess.Process]:
        """Run a bridge in a process of its own."""
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("BRIDGE_")},
            "BRIDGE_SERVER__PORT": str(self.port),
            "BRIDGE_SERVER__WORKERS": str(self.workers),
            "BRIDGE_SPEECH__BASE_URL": self.speech.url,
            "BRIDGE_SPEECH__API_KEY": "sk_test",
            "BRIDGE_TWILIO__AUTH_TOKEN": TOKEN,
            "BRIDGE_AGENT__KIND": "webhook",
            "BRIDGE_AGENT__URL": self.agent_url,
            "BRIDGE_STORE__RECORDINGS": str(self.folder),
            "BRIDGE_API__CONSOLE": "false",
            "BRIDGE_LOG__LEVEL": "info",
            "BRIDGE_LOG__FORMAT": "json",
            "PYTHONPATH": str(ROOT),
        }
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bridge", "serve"),
            stdout=asyncio.subprocess.PIPE,
            stderr=self.log,
            env=environment,
            cwd=self.folder,
        )
        try:
            assert process.stdout is not None
            async with asyncio.timeout(120):
                await process.stdout.readline()
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()

    @property
    def url(self) -> str:
        """Where the bridge is, whichever process it is."""
        return f"http://127.0.0.1:{self.port}"

    def journals(self) -> list[Path]:
        """The journals of all calls."""
        return sorted(self.folder.glob("*/*/journal.jsonl"))


@contextlib.asynccontextmanager
async def world(folder: Path, workers: int = 1) -> AsyncIterator[World]:
    agent = Agent()
    app = web.Application()
    app.router.add_post("/", agent.answer)
    server = TestServer(app)
    await server.start_server()
    calls = folder / "calls"
    calls.mkdir()
    try:
        async with ScriptedSpeech().running() as speech:
            with (folder / "bridge.log").open("ab") as log:
                yield World(calls, speech, agent, str(server.make_url("/")), workers, log=log)
    finally:
        await server.close()


@dataclass
class Talk:
    """A call, and the speech service's ear in it."""

    call: SimulatedCall
    peer: Peer
    said: list[str] = field(default_factory=list)

    async def say(self, text: str) -> None:
        """Let the caller be understood so."""
        self.said.append(text)
        await self.peer.say_turn(text)


async def until(check: Any, within_s: float = 20.0) -> None:
    """Wait until something is so, of which nobody tells."""
    ends = time.monotonic() + within_s
    while not check():
        if time.monotonic() > ends:
            raise TimeoutError("it did not come")
        await asyncio.sleep(0.005)


async def begin(world: World) -> Talk:
    """Place a call, and let its greeting pass."""
    heard = len(world.speech.stt)
    call = SimulatedCall(Line(world.url, TOKEN))
    await call.place()
    peer = await world.speech.listener(heard)
    return Talk(call, peer)
