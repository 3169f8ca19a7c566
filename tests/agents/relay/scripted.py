"""A scripted ConversationRelay app, and agents that lead to it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from pytest_aiohttp.plugin import AiohttpServer

from bridge.agents.relay.agent import RelayAgent, RelayOptions
from tests.agents.relay.bench import OPTIONS, AppSide, CallSide, ScriptedApp


@pytest.fixture
async def scripted(aiohttp_server: AiohttpServer) -> AsyncIterator[Scripted]:
    scripted = Scripted(ScriptedApp())
    server = await aiohttp_server(scripted.app.app)
    scripted.url = str(server.make_url("/relay"))
    yield scripted
    for agent in scripted.agents:
        await agent.close()


class Scripted:
    """A scripted app, and agents that lead to it."""

    def __init__(self, app: ScriptedApp) -> None:
        self.app = app
        self.url = ""
        self.agents: list[RelayAgent] = []
        self.refused: list[str] = []

    def agent(self, options: RelayOptions = OPTIONS, *, timeout_seconds: float = 2.0) -> RelayAgent:
        agent = RelayAgent(
            self.url, timeout_seconds=timeout_seconds, on_refused=self.refused.append, options=options
        )
        self.agents.append(agent)
        return agent

    async def call(
        self, options: RelayOptions = OPTIONS, *, timeout_seconds: float = 2.0
    ) -> tuple[CallSide, AppSide]:
        """Begin a call, and wait until the app has it."""
        call = CallSide(self.agent(options, timeout_seconds=timeout_seconds))
        return call, await self.app.connected()
