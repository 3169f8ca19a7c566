"""A server that speaks the chat-completions protocol, with answers that a test writes, and tools beside it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

from aiohttp import web

from bridge.agents.openai.chat import OpenAIAgent
from bridge.agents.openai.options import HttpToolOptions, OpenAIOptions

Step: TypeAlias = "str | dict[str, Any] | bytes | asyncio.Event"
"""Of a streamed answer: text, a whole `delta`, bytes as they are, or something to wait for."""
Answer: TypeAlias = "Sequence[Step] | web.StreamResponse | Callable[[web.Request], Any]"

DONE = b"data: [DONE]\n\n"


def event(delta: dict[str, Any], finish: str | None = None) -> bytes:
    """One chunk, as OpenAI sends it."""
    chunk = {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "created": 1_700_000_000,
        "model": "m",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


def calls(*functions: tuple[str, Any]) -> list[Step]:
    """Function calls, with arguments in fragments: an answer, or the end of one."""
    steps: list[Step] = []
    for index, (name, arguments) in enumerate(functions):
        text = arguments if isinstance(arguments, str) else json.dumps(arguments)
        head = {"index": index, "id": f"call_{name}_{index}", "type": "function"}
        steps.append({"tool_calls": [{**head, "function": {"name": name, "arguments": ""}}]})
        fragments = [text[at : at + 5] for at in range(0, len(text), 5)]
        steps += [{"tool_calls": [{"index": index, "function": {"arguments": part}}]} for part in fragments]
    return [*steps, event({}, "tool_calls"), DONE]


def says(*words: str) -> list[Step]:
    """Text, a piece at a time."""
    return [*words, event({}, "stop"), DONE]


class ModelServer:
    """Serves one model. Each request takes the next of `answers`; the last one is given again and again."""

    def __init__(self) -> None:
        self.answers: list[Answer] = [says("Hello.")]
        self.asked: list[dict[str, Any]] = []
        """The bodies of the requests."""
        self.headers: list[dict[str, str]] = []
        self.waiting = asyncio.Event()
        """An answer has come to something that it waits for."""
        self.closed = asyncio.Event()
        """A connection was closed while its answer was still being written."""
        self.tools: dict[str, Any] = {}
        """By path: what a tool answers (JSON, a response, or a function of the request)."""
        self.called: list[tuple[str, str, Any]] = []
        """Method, path with query, and body of each request to a tool."""
        self.url = ""
        self._agents: list[OpenAIAgent] = []

    @property
    def messages(self) -> list[dict[str, Any]]:
        """What the model was told last, without the system message."""
        told: list[dict[str, Any]] = self.asked[-1]["messages"]
        return told[1:]

    async def start(self) -> None:
        app = web.Application()
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._models)
        app.router.add_route("*", "/tools/{path:.*}", self._tool)
        # Cancelled like a server of the world outside: when the bridge hangs up, the answer stops where it is.
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    def agent(self, *, timeout_seconds: float = 5, on_refused: Any = None, **options: Any) -> OpenAIAgent:
        agent = OpenAIAgent(
            self.url, timeout_seconds=timeout_seconds, on_refused=on_refused, options=OpenAIOptions(**options)
        )
        self._agents.append(agent)
        return agent

    def tool(self, name: str, path: str, *parameters: str, method: str = "GET", **options: Any) -> HttpToolOptions:
        """Declare an HTTP tool of this server, with text parameters that are all needed."""
        schema = {
            "type": "object",
            "properties": {parameter: {"type": "string"} for parameter in parameters},
            "required": list(parameters),
        }
        url = self.url.removesuffix("/v1") + "/tools/" + path
        return HttpToolOptions(name, f"Does {name}.", url, method, schema, **options)

    def connections(self) -> int:
        """How many connections are open."""
        return len(self._runner.server.connections) if self._runner.server else 0

    async def close(self) -> None:
        for agent in self._agents:
            await agent.close()
        await self._runner.cleanup()

    async def _complete(self, request: web.Request) -> web.StreamResponse:
        self.asked.append(await request.json())
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, web.StreamResponse):
            return answer
        if callable(answer):
            found: web.StreamResponse = await answer(request)
            return found
        response = web.StreamResponse(headers={"content-type": "text/event-stream; charset=utf-8"})
        await response.prepare(request)
        try:
            for step in answer:
                if isinstance(step, asyncio.Event):
                    self.waiting.set()
                    await step.wait()
                else:
                    await response.write(step if isinstance(step, bytes) else _written(step))
        except (asyncio.CancelledError, ConnectionError):
            self.closed.set()
            raise
        return response

    async def _models(self, request: web.Request) -> web.Response:
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        return web.json_response({"object": "list", "data": [{"id": "m", "object": "model"}]})

    async def _tool(self, request: web.Request) -> web.StreamResponse:
        body = await request.read()
        path = request.raw_path.removeprefix("/tools/")
        self.called.append((request.method, path, json.loads(body) if body else None))
        self.headers.append({name.lower(): value for name, value in request.headers.items()})
        answer = self.tools[request.match_info["path"]]
        if isinstance(answer, web.StreamResponse):
            return answer
        if callable(answer):
            found: web.StreamResponse = await answer(request)
            return found
        return web.json_response(answer)


def _written(step: str | dict[str, Any]) -> bytes:
    return event({"content": step} if isinstance(step, str) else step)
