"""Conformance of kinds that are asked over HTTP: `webhook` and `openai`."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from bridge.agents.base import Agent
from bridge.agents.openai.options import OpenAIOptions
from bridge.agents.registry import open_agent
from bridge.conversation.actions import Say
from tests.agents.drivers import ACTIONS, Chosen, Driver, Part, named, wire
from tests.agents.openai.model_server import DONE, ModelServer, Step, calls, event


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
        return open_agent(Chosen(self.kind, url, timeout_seconds=1.0))

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
                    self.busy.set()
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
    expresses = tuple(name for name in ACTIONS if name not in {"hand_off", "remember"})
    streams = True
    faults = ("status", "nonsense", "hang up", "hang", "error in the stream")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._server = ModelServer()
        self.busy, self.left = self._server.waiting, self._server.closed
        self.echo()

    async def start(self) -> Agent:
        await self._server.start()
        offered = tuple(name for name in ACTIONS if name not in {"say", "hand_off", "remember"})
        options = OpenAIOptions(actions=offered, targets={"sales": "+15550100300"})
        return open_agent(Chosen(self.kind, self._server.url, timeout_seconds=1.0), openai=options)

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
