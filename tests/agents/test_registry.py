from __future__ import annotations

from importlib.metadata import EntryPoint, EntryPoints

import pytest
from pydantic import SecretStr

from bridge.agents import registry
from bridge.agents.base import Agent
from bridge.agents.echo import EchoAgent, SilentAgent
from bridge.agents.python import PythonAgent
from bridge.agents.registry import AgentSettings, open_agent
from bridge.agents.relay.agent import RelayAgent
from bridge.agents.webhook.agent import WebhookAgent
from bridge.conversation.actions import Say
from bridge.errors import SettingsError
from bridge.settings.agents import AgentSettings as SettingsOfTheBridge
from tests.agents.asking import ENDED, STARTED, TURN, hear, turn


class Chosen:
    """The section `[agent]`, with a kind that the bridge does not know."""

    url = "parrot"
    secret = SecretStr("")
    timeout_seconds = 3.0

    def __init__(self, kind: str) -> None:
        self.kind = kind


def open_parrot(settings: AgentSettings) -> Agent:
    assert settings.url == "parrot"
    return EchoAgent()


@pytest.mark.parametrize(
    ("settings", "made"),
    [
        (SettingsOfTheBridge(kind="webhook", url="http://127.0.0.1:1/", secret=SecretStr("s")), WebhookAgent),
        (SettingsOfTheBridge(kind="relay", url="wss://agent.example.com/relay"), RelayAgent),
        (SettingsOfTheBridge(), PythonAgent),
        (SettingsOfTheBridge(kind="echo"), EchoAgent),
        (SettingsOfTheBridge(kind="none"), SilentAgent),
    ],
)
async def test_the_kind_of_the_settings_chooses(settings: SettingsOfTheBridge, made: type[Agent]) -> None:
    agent = open_agent(settings)
    assert type(agent) is made
    await agent.close()


async def test_echo_says_back_what_was_said_and_nothing_else() -> None:
    agent = open_agent(Chosen("echo"))
    assert await hear(agent, TURN) == [Say("What are your hours?")]
    for question in (STARTED, ENDED, turn(transcript="  ")):
        assert await hear(agent, question) == []


async def test_none_says_nothing() -> None:
    assert await hear(open_agent(Chosen("none")), TURN) == []


def test_a_kind_of_another_distribution_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    points = EntryPoints(
        [
            EntryPoint("parrot", f"{__name__}:open_parrot", registry.GROUP),
            EntryPoint("ghost", "no_such_package:open_agent", registry.GROUP),
        ]
    )
    monkeypatch.setattr(registry, "entry_points", lambda *, group: points.select(group=group))
    assert isinstance(open_agent(Chosen("parrot")), EchoAgent)
    with pytest.raises(SettingsError, match="loading no_such_package:open_agent failed: ModuleNotFoundError"):
        open_agent(Chosen("ghost"))
    known = "webhook, relay, openai, flow, python, echo, none, ghost, parrot"
    with pytest.raises(SettingsError, match=f"wanted one of {known}"):
        open_agent(Chosen("parot"))
