"""Which agent answers: the built-in kinds, and further ones that other distributions bring along.

A distribution adds a kind by an entry point of the group `phone_bridge.agents`. It is named like the kind and
leads to a function that takes the settings and returns an `Agent`:

    [project.entry-points."phone_bridge.agents"]
    parrot = "parrot_agent:open_agent"
"""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import entry_points
from typing import Protocol, TypeAlias

from bridge.agents.asking import OnBreaker, OnRefused
from bridge.agents.base import Agent
from bridge.agents.echo import EchoAgent, SilentAgent
from bridge.agents.flow.options import FlowOptions
from bridge.agents.openai.options import OpenAIOptions
from bridge.agents.python import PythonAgent
from bridge.agents.relay.agent import RelayAgent, RelayOptions
from bridge.agents.webhook.agent import WebhookAgent, WebhookOptions
from bridge.errors import SettingsError

GROUP = "phone_bridge.agents"
BUILT_IN = ("webhook", "relay", "openai", "flow", "python", "echo", "none")


class Hidden(Protocol):
    """A secret that does not show when it is printed."""

    def get_secret_value(self) -> str:
        """Return the secret itself."""


class AgentSettings(Protocol):
    """What an agent needs of the section `[agent]`."""

    @property
    def kind(self) -> str:
        """Name of the kind."""

    @property
    def url(self) -> str:
        """Where the agent is; `package.module:function` for `python`, the base of the API for `openai`."""

    @property
    def secret(self) -> Hidden:
        """Signs webhook requests; empty: unsigned."""

    @property
    def timeout_seconds(self) -> float:
        """Longest wait for the first piece of an answer and from piece to piece, in seconds."""


OpenAgent: TypeAlias = Callable[[AgentSettings], Agent]


def open_agent(
    settings: AgentSettings,
    *,
    on_refused: OnRefused | None = None,
    on_breaker: OnBreaker | None = None,
    webhook: WebhookOptions | None = None,
    openai: OpenAIOptions | None = None,
    flow: FlowOptions | None = None,
    relay: RelayOptions | None = None,
) -> Agent:
    """Make the agent that the settings name. Opens no connection; a Python agent is imported, a flow read here.

    `on_refused` is told the kind of every action that an agent asked for and that does not exist, `on_breaker` when
    an agent is left alone because it fails, and when it is asked again; `webhook`, `relay`, `openai` and `flow` are
    what these kinds need besides.
    Raises SettingsError for an unknown kind, and for a URL, secret, file or function that cannot work.
    """
    match settings.kind:
        case "webhook":
            return WebhookAgent(
                settings.url,
                secret=settings.secret.get_secret_value(),
                timeout_seconds=settings.timeout_seconds,
                on_refused=on_refused,
                on_breaker=on_breaker,
                options=webhook or WebhookOptions(),
            )
        case "relay":
            return RelayAgent(
                settings.url,
                timeout_seconds=settings.timeout_seconds,
                on_refused=on_refused,
                options=relay or RelayOptions(),
            )
        case "openai":
            from bridge.agents.openai.chat import OpenAIAgent  # noqa: PLC0415  (slow to import)

            return OpenAIAgent(
                settings.url,
                timeout_seconds=settings.timeout_seconds,
                on_refused=on_refused,
                on_breaker=on_breaker,
                options=openai or OpenAIOptions(),
            )
        case "flow":
            from bridge.agents.flow.agent import FlowAgent  # noqa: PLC0415  (slow to import)

            return FlowAgent(settings.url, flow)
        case "python":
            return PythonAgent(settings.url, timeout_seconds=settings.timeout_seconds)
        case "echo":
            return EchoAgent()
        case "none":
            return SilentAgent()
        case kind:
            return _third_party(kind)(settings)


def _third_party(kind: str) -> OpenAgent:
    found = {point.name: point for point in entry_points(group=GROUP)}
    if kind not in found:
        known = ", ".join((*BUILT_IN, *sorted(found)))
        raise SettingsError(f"agent.kind (BRIDGE_AGENT__KIND) is {kind!r}: wanted one of {known}")
    point = found[kind]
    try:
        opener: OpenAgent = point.load()
    except Exception as error:
        raise SettingsError(
            f"agent.kind (BRIDGE_AGENT__KIND) is {kind!r}: loading {point.value} failed: "
            f"{type(error).__name__}: {error}"
        ) from error
    return opener
