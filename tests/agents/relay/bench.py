"""Apps of ConversationRelay to talk to, and the call's side of it: real servers on free ports."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator, Awaitable
from dataclasses import replace
from typing import Any

import uvicorn
from aiohttp import WSMsgType, web
from fastapi import FastAPI

from bridge.agents.base import Message, Question
from bridge.agents.relay.agent import RelayAgent, RelayCall, RelayOptions
from bridge.agents.relay.connection import SocketLimits
from bridge.conversation.actions import Action
from bridge.tasks import spawn
from tests.agents.asking import CALL, ENDED, STARTED, TURN

WITHIN_S = 5.0
LIMITS = SocketLimits(connect_s=2.0, reconnect_s=2.0)
OPTIONS = RelayOptions(account_sid="AC" + "1" * 32, language="en-US", limits=LIMITS)


class AppSide:
    """One connection, as a scripted app has it."""

    def __init__(self, socket_: web.WebSocketResponse, request: web.Request) -> None:
        self.socket = socket_
        self.request = request
        self.got: list[dict[str, Any]] = []
        self._more = asyncio.Event()

    def take(self, text: str) -> None:
        self.got.append(json.loads(text))
        self._more.set()

    async def until(self, count: int) -> list[dict[str, Any]]:
        """Wait for so many messages, the setup included."""
        async with asyncio.timeout(WITHIN_S):
            while len(self.got) < count:
                self._more.clear()
                await self._more.wait()
        return self.got

    async def send(self, **message: Any) -> None:
        await self.socket.send_str(json.dumps(message))

    async def say(self, token: str, *, last: bool = False, **more: Any) -> None:
        await self.send(type="text", token=token, last=last, **more)

    def vanish(self) -> None:
        assert self.request.transport is not None
        self.request.transport.abort()


class ScriptedApp:
    """An app that does what a test says."""

    def __init__(self) -> None:
        self.app = web.Application()
        self.app.router.add_get("/relay", self._serve)
        self.open = True
        """False: further connections are refused with 503."""
        self.closed: list[int | None] = []
        self._sides: asyncio.Queue[AppSide] = asyncio.Queue()

    async def _serve(self, request: web.Request) -> web.StreamResponse:
        if not self.open:
            raise web.HTTPServiceUnavailable
        socket_ = web.WebSocketResponse()
        await socket_.prepare(request)
        side = AppSide(socket_, request)
        self._sides.put_nowait(side)
        async for message in socket_:
            if message.type is WSMsgType.TEXT:
                side.take(message.data)
        self.closed.append(socket_.close_code)
        return socket_

    async def connected(self) -> AppSide:
        async with asyncio.timeout(WITHIN_S):
            side = await self._sides.get()
        await side.until(1)
        return side


class CallSide:
    """A call that is attended by an agent."""

    def __init__(self, agent: RelayAgent) -> None:
        self.agent = agent
        self.floor = asyncio.Event()
        """The agent wants to say something."""
        self.attendant: RelayCall = agent.attend(CALL, self.floor.set)
        self.messages: list[Message] = []
        self._reply = 1

    def question(self, occasion: str, **changes: Any) -> Question:
        self._reply += 1
        fields = {"transcript": "", "messages": tuple(self.messages), **changes, "occasion": occasion}
        return replace(TURN, reply=self._reply, **fields)

    async def hear(self, question: Question) -> list[Action]:
        async with asyncio.timeout(WITHIN_S):
            return [action async for action in self.agent.ask(question)]

    async def begin(self) -> list[Action]:
        return await self.hear(STARTED)

    async def say(self, text: str, **changes: Any) -> list[Action]:
        """Let the caller say something, and hear the answer."""
        self.messages.append(Message("user", text.strip()))
        return await self.hear(self.question("turn.ended", **{"transcript": text, **changes}))

    async def volunteered(self) -> list[Action]:
        """Wait until the agent wants the floor, and give it."""
        async with asyncio.timeout(WITHIN_S):
            await self.floor.wait()
        self.floor.clear()
        return await self.hear(self.question("volunteered"))

    async def all_of(self, answer: Awaitable[list[Action]], count: int) -> list[Action]:
        """Hear an answer and what is volunteered behind it, up to so many actions."""
        heard = [*await answer]
        while len(heard) < count:
            heard += await self.volunteered()
        return heard

    async def end(self) -> None:
        await self.hear(ENDED)


@contextlib.asynccontextmanager
async def serving(app: FastAPI) -> AsyncIterator[str]:
    """Run a FastAPI app with uvicorn, and tell its host and port."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        server = uvicorn.Server(uvicorn.Config(app, ws="wsproto", lifespan="off", log_level="error"))
        task = spawn(server.serve(sockets=[listener]), name="uvicorn")
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        await asyncio.wait([task], timeout=WITHIN_S)
