"""HTTP agents to ask: real servers on free ports."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from aiohttp import web
from pytest_aiohttp.plugin import AiohttpServer

from bridge.agents.base import Question
from bridge.agents.webhook.agent import WebhookAgent
from bridge.errors import AgentError
from tests.agents.asking import TURN, hear

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Bench:
    """Serves agents and asks them."""

    def __init__(self, server: AiohttpServer) -> None:
        self._server = server
        self.agents: list[WebhookAgent] = []
        self.refused: list[str] = []
        self._servers: list[asyncio.Server] = []

    async def agent(
        self, handler: Handler, *, secret: str = "", timeout_seconds: float = 5, path: str = "/agent"
    ) -> WebhookAgent:
        """Start an HTTP agent and return the bridge's side of it."""
        app = web.Application()
        app.router.add_post("/agent", handler)
        server = await self._server(app)
        return self.at(str(server.make_url(path)), secret=secret, timeout_seconds=timeout_seconds)

    async def raw(self, serve: Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]) -> str:
        """Start a server below HTTP and return its URL."""
        server = await asyncio.start_server(serve, "127.0.0.1", 0)
        self._servers.append(server)
        return f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/agent"

    def at(self, url: str, *, secret: str = "", timeout_seconds: float = 5) -> WebhookAgent:
        agent = WebhookAgent(
            url,
            secret=secret,
            timeout_seconds=timeout_seconds,
            on_refused=self.refused.append,
            end_pauses=(0.01, 0.01, 0.01),
        )
        self.agents.append(agent)
        return agent

    async def close(self) -> None:
        for agent in self.agents:
            await agent.close()
        for server in self._servers:
            server.close()


async def failure(agent: WebhookAgent, question: Question = TURN) -> AgentError:
    with pytest.raises(AgentError) as failed:
        await hear(agent, question)
    return failed.value


def answers(*, status: int = 200, text: str = "", content_type: str = "application/json") -> Handler:
    async def handler(request: web.Request) -> web.Response:
        return web.Response(status=status, text=text, content_type=content_type)

    return handler
