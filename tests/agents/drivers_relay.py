"""Conformance of `relay`: an app of ConversationRelay, which says what a test directs."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from aiohttp import WSMsgType, web

from bridge.agents.base import Agent
from bridge.agents.registry import open_agent
from bridge.agents.relay.agent import RelayOptions
from bridge.agents.relay.connection import SocketLimits
from bridge.conversation.actions import Action, HandOff, Play, Say, SendDigits, Set
from bridge.tasks import spawn
from tests.agents.drivers import Chosen, Driver, Part


def message(action: Action) -> dict[str, Any]:
    """An action as an app writes it."""
    match action:
        case Say(text):
            return {"type": "text", "token": text, "last": False}
        case Play(source, loop):
            return {"type": "play", "source": source, "loop": loop}
        case SendDigits(digits):
            return {"type": "sendDigits", "digits": digits}
        case Set(_, language):
            return {"type": "language", "ttsLanguage": language}
        case HandOff(data):
            return {"type": "end", "handoffData": data}
        case _:
            raise ValueError(action)


class Relay(Driver):
    kind = "relay"
    expresses = ("say", "play", "send_digits", "set", "hand_off")
    streams = True
    faults = ("refuses", "gone")
    directed_later = False

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self._parts: tuple[Part, ...] | None = None
        self._greeting: tuple[Part, ...] = ()
        self._fault = ""
        self._open: set[web.WebSocketResponse] = set()

    async def start(self) -> Agent:
        app = web.Application()
        app.router.add_get("/relay", self._serve)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        url = f"ws://127.0.0.1:{self._runner.addresses[0][1]}/relay"
        limits = SocketLimits(connect_s=1.0, reconnect_s=0.2)
        return open_agent(Chosen(self.kind, url, timeout_seconds=1.0), relay=RelayOptions(limits=limits))

    def answer(self, *parts: Part) -> None:
        self._parts = parts

    def greet(self, *parts: Part) -> None:
        self._greeting = parts

    def echo(self) -> None:
        self._parts = None

    def fail(self, fault: str) -> None:
        self._fault = fault

    def connections(self) -> int:
        return len(self._open)

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if self._fault == "refuses":
            raise web.HTTPServiceUnavailable
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        if self._fault == "gone":
            self._fault = "refuses"
            assert request.transport is not None
            request.transport.abort()
            return socket
        self._open.add(socket)
        talking: asyncio.Task[None] | None = None
        try:
            async for frame in socket:
                told = json.loads(frame.data) if frame.type is WSMsgType.TEXT else {}
                if told.get("type") == "setup" and self._greeting:
                    talking = spawn(self._say(socket, self._greeting), name="app")
                elif told.get("type") == "prompt":
                    echo = (Say(told["voicePrompt"]),)
                    talking = spawn(self._say(socket, echo if self._parts is None else self._parts), name="app")
                elif told.get("type") == "interrupt":
                    self.left.set()
        finally:
            self._open.discard(socket)
            if talking is not None:
                talking.cancel()
        return socket

    async def _say(self, socket: web.WebSocketResponse, parts: tuple[Part, ...]) -> None:
        for part in parts:
            if isinstance(part, asyncio.Event):
                self.busy.set()
                await part.wait()
            else:
                await socket.send_json(message(part))
        await socket.send_json({"type": "text", "token": "", "last": True})
