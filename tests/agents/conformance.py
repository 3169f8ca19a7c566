"""One suite for all kinds of agents: here the kinds, and how they are asked.

A kind joins by a `Driver` in `DRIVERS`: it starts the agent with whatever stands behind it (a server, a function, a
file), and lets a test say what is answered there. `test_conformance` asks each kind the same questions.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from bridge.agents.base import Agent, AttendingAgent, CallInfo, Question
from bridge.conversation.actions import Action
from tests.agents.asking import STARTED
from tests.agents.drivers import Driver
from tests.agents.drivers_flow import Flow
from tests.agents.drivers_http import Model, Webhook
from tests.agents.drivers_inside import Canned, Echo, Python, Silent
from tests.agents.drivers_relay import Relay

DRIVERS: tuple[type[Driver], ...] = (Webhook, Relay, Model, Flow, Python, Echo, Silent, Canned)

CASES = {f"{kind.kind}-{name}": (kind, name) for kind in DRIVERS for name in kind.expresses}
"""Every kind with every action that it can ask for: the README's table of yes and no is held against it."""


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

    async def begin(self) -> None:
        """Tell the agent that the call has come, and pass over how it greets."""
        await self.ask(replace(STARTED, call=self.call))

    def cut_in(self, heard: str) -> None:
        """Tell an attending agent that the caller has cut it off."""
        if self.attendant is not None:
            self.attendant.interrupted(heard, 500)

    async def ask(self, question: Question) -> list[Action]:
        """Ask, and wait for the whole answer."""
        return [action async for action in self._agent.ask(question)]


def kinds(fits: Callable[[type[Driver]], object]) -> list[Any]:
    """The kinds that something is asked of."""
    return [pytest.param(driver, id=driver.kind) for driver in DRIVERS if fits(driver)]
