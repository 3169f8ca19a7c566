"""One suite for all kinds of agents: here the kinds, each with a far end that a test can direct.

`test_conformance` asks each kind the same questions. A kind joins by a `Driver` in `DRIVERS`: it starts the agent
with whatever stands behind it (a server, a function, a file), and lets a test say what is answered there.
"""

from __future__ import annotations

import asyncio
import json
import sys
import types
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import msgspec
import pytest
from aiohttp import web
from pydantic import SecretStr

from bridge.agents.base import Agent, AttendingAgent, CallInfo, Question
from bridge.agents.openai_options import OpenAIOptions
from bridge.agents.registry import open_agent
from bridge.conversation.actions import (
    Action,
    GatherDigits,
    HandOff,
    HangUp,
    Note,
    Play,
    RecordMessage,
    Say,
    SendDigits,
    Set,
    Transfer,
)
from tests.agents.model_server import DONE, ModelServer, Step, calls, event

ACTIONS: Mapping[str, Action] = {
    "say": Say("Hello."),
    "play": Play("hold.wav", 2),
    "send_digits": SendDigits("12w3#"),
    "gather_digits": GatherDigits(4, masked=True),
    "record_message": RecordMessage(30),
    "transfer": Transfer("+15550100300", "Ann, about a bike."),
    "hang_up": HangUp("done"),
    "set": Set(language="es"),
    "note": Note({"name": "Ann"}),
    "hand_off": HandOff("data"),
}
"""An example of each action of the vocabulary."""

Part: TypeAlias = "Action | asyncio.Event"
"""Of an answer: an action, or something to wait for before it goes on."""


class Chosen:
    """The section `[agent]`, as the registry wants it."""

    def __init__(self, kind: str, url: str = "", timeout_seconds: float = 5.0) -> None:
        self.kind = kind
        self.url = url
        self.secret = SecretStr("")
        self.timeout_seconds = timeout_seconds


class Driver:
    """One kind of agent, and what stands behind it."""

    kind: ClassVar[str]
    expresses: ClassVar[tuple[str, ...]] = ()
    """Which of `ACTIONS` the far end can ask for."""
    streams: ClassVar[bool] = False
    """An answer has pieces that come one after the other, with `answer` and something to wait for."""
    faults: ClassVar[tuple[str, ...]] = ()
    """What can go wrong at the far end."""
    answers_turns: ClassVar[bool] = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.left = asyncio.Event()
        """The far end has noticed that nobody waits for its answer any more."""

    async def start(self) -> Agent:
        """Make the agent, through the registry."""
        return open_agent(Chosen(self.kind))

    def answer(self, *parts: Part) -> None:
        """Let the far end answer every question so from now on."""
        raise NotImplementedError

    def echo(self) -> None:
        """Let the far end answer every turn with the caller's words."""
        raise NotImplementedError

    def fail(self, fault: str) -> None:
        """Let the far end fail from now on, in one of the ways of `faults`."""
        raise NotImplementedError

    def connections(self) -> int:
        """How many connections the far end sees."""
        return 0

    async def stop(self) -> None:
        """Stop the far end."""


# --- webhook -----------------------------------------------------------------------------------------------


def named(parts: Iterable[Part]) -> list[tuple[str, Part]]:
    """The parts with their actions' names; what is to be waited for has none."""
    names = {type(example): name for name, example in ACTIONS.items()}
    return [("" if isinstance(part, asyncio.Event) else names[type(part)], part) for part in parts]


def wire(action: Action) -> dict[str, Any]:
    """An action as the author of a webhook writes it."""
    fields: dict[str, Any] = msgspec.to_builtins(action)
    if isinstance(action, Set):
        fields["stt"] = fields.pop("tuning")
    return {"type": named([action])[0][0], **fields}


class Webhook(Driver):
    kind = "webhook"
    expresses = tuple(name for name in ACTIONS if name != "hand_off")
    streams = True
    faults = ("status", "nonsense", "hang up", "hang", "gone")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._reply: Callable[[web.Request], Any] = self._echoed
        self._parts: tuple[Part, ...] = ()

    async def start(self) -> Agent:
        app = web.Application()
        app.router.add_post("/", self._handle)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/"
        return open_agent(Chosen(self.kind, url, timeout_seconds=0.5))

    def answer(self, *parts: Part) -> None:
        self._parts, self._reply = parts, self._streamed

    def echo(self) -> None:
        self._reply = self._echoed

    def fail(self, fault: str) -> None:
        self._reply = self._failing[fault]

    def connections(self) -> int:
        return len(self._runner.server.connections) if self._runner.server else 0

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        reply: web.StreamResponse = await self._reply(request)
        return reply

    async def _echoed(self, request: web.Request) -> web.Response:
        return web.json_response({"say": (await request.json())["turn"]["transcript"]})

    async def _streamed(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "application/x-ndjson"})
        await response.prepare(request)
        try:
            for part in self._parts:
                if isinstance(part, asyncio.Event):
                    await part.wait()
                else:
                    await response.write(json.dumps(wire(part)).encode() + b"\n")
        except (asyncio.CancelledError, ConnectionError):
            self.left.set()
            raise
        return response

    @property
    def _failing(self) -> Mapping[str, Callable[[web.Request], Any]]:
        async def status(_: web.Request) -> web.Response:
            return web.Response(status=500)

        async def nonsense(_: web.Request) -> web.Response:
            return web.Response(text="<p>", content_type="text/html")

        async def hang_up(request: web.Request) -> web.Response:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        async def hang(_: web.Request) -> web.Response:
            await asyncio.Event().wait()
            return web.Response()

        async def gone(request: web.Request) -> web.Response:
            for site in [*self._runner.sites]:
                await site.stop()
            return await hang_up(request)

        return {"status": status, "nonsense": nonsense, "hang up": hang_up, "hang": hang, "gone": gone}


# --- openai ------------------------------------------------------------------------------------------------


MODEL_CALLS: Mapping[str, dict[str, Any]] = {
    "play": {"source": "hold.wav", "loop": 2},
    "send_digits": {"digits": "12w3#"},
    "gather_digits": {"length": 4, "masked": True},
    "record_message": {"max_s": 30},
    "transfer": {"to": "sales", "summary": "Ann, about a bike."},
    "hang_up": {"reason": "done"},
    "set": {"language": "es"},
    "note": {"data": {"name": "Ann"}},
}
"""The function that a model calls for each of `ACTIONS`, and its arguments."""


class Model(Driver):
    kind = "openai"
    expresses = tuple(name for name in ACTIONS if name != "hand_off")
    streams = True
    faults = ("status", "nonsense", "hang up", "hang", "error in the stream")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = ModelServer()
        self.left = self._server.closed
        self.echo()

    async def start(self) -> Agent:
        await self._server.start()
        offered = tuple(name for name in ACTIONS if name not in {"say", "hand_off"})
        options = OpenAIOptions(actions=offered, targets={"sales": "+15550100300"})
        return open_agent(Chosen(self.kind, self._server.url, timeout_seconds=0.5), openai=options)

    def answer(self, *parts: Part) -> None:
        steps: list[Step] = []
        called: list[tuple[str, dict[str, Any]]] = []
        for name, part in named(parts):
            if isinstance(part, asyncio.Event):
                steps.append(part)
            elif isinstance(part, Say):
                steps.append(part.text)
            else:
                called.append((name, MODEL_CALLS[name]))
        self._server.answers = [[*steps, *(calls(*called) if called else (event({}, "stop"), DONE))]]

    def echo(self) -> None:
        async def echoed(request: web.Request) -> web.Response:
            said = (await request.json())["messages"][-1]["content"].split("\n")[-1]
            message = {"role": "assistant", "content": said}
            return web.json_response({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})

        self._server.answers = [echoed]

    def fail(self, fault: str) -> None:
        async def status(_: web.Request) -> web.Response:
            return web.json_response({"error": {"message": "no"}}, status=500)

        async def nonsense(_: web.Request) -> web.Response:
            return web.Response(text="data: <p>\n\n", content_type="text/event-stream")

        async def hang_up(request: web.Request) -> web.Response:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()

        answers: dict[str, Any] = {
            "status": status,
            "nonsense": nonsense,
            "hang up": hang_up,
            "hang": [asyncio.Event()],
            "error in the stream": ["Well", b'data: {"error": "out of memory"}\n\n'],
        }
        self._server.answers = [answers[fault]]

    def connections(self) -> int:
        return self._server.connections()

    async def stop(self) -> None:
        await self._server.close()


# --- in the process ----------------------------------------------------------------------------------------


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
        return open_agent(Chosen(self.kind, "directed_agent:agent", timeout_seconds=0.5))

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
                    await part.wait()
                else:
                    yield part
        except asyncio.CancelledError:
            self.left.set()
            raise


class Echo(Driver):
    kind = "echo"
    expresses = ("say",)

    def answer(self, *parts: Part) -> None:
        """It says what the caller said: here always the sample's words."""

    def echo(self) -> None:
        """It always does."""


class Silent(Driver):
    kind = "none"
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
        self._file.write_text(json.dumps({"*": line}), encoding="utf-8")


DRIVERS: tuple[type[Driver], ...] = (Webhook, Model, Python, Echo, Silent, Canned)


@asynccontextmanager
async def started(driver: Driver) -> AsyncIterator[Agent]:
    """Start a kind of agent for one test, and end it."""
    agent = await driver.start()
    try:
        yield agent
    finally:
        await agent.close()
        await driver.stop()


class Talk:
    """Asks the questions of one call as the bridge does."""

    def __init__(self, agent: Agent, call: CallInfo) -> None:
        self.call = call
        self._agent = agent
        self.attendant = agent.attend(call, lambda: None) if isinstance(agent, AttendingAgent) else None

    async def ask(self, question: Question) -> list[Action]:
        """Ask, and wait for the whole answer."""
        return [action async for action in self._agent.ask(question)]


def kinds(fits: Callable[[type[Driver]], object]) -> list[Any]:
    """The kinds that something is asked of."""
    return [pytest.param(driver, id=driver.kind) for driver in DRIVERS if fits(driver)]
