"""What an `openai` agent is told besides its URL: model, means and limits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.agents.breaker import BreakerLimits


@dataclass(frozen=True, slots=True)
class HttpToolOptions:
    """A function of the operator's own, and the HTTP request that carries it out."""

    name: str
    description: str
    url: str
    """`{name}` stands for an argument, in the path or the query."""
    method: str = "POST"
    """With GET the arguments are the query, else the JSON body. Those that stand in the URL are in neither."""
    parameters: Mapping[str, Any] = field(default_factory=lambda: {"type": "object", "properties": {}})
    """JSON Schema of the arguments."""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeout_seconds: float = 5.0

    @property
    def acts(self) -> bool:
        """Whether it changes anything. A GET only looks things up."""
        return self.method != "GET"


@dataclass(frozen=True, slots=True)
class OpenAIOptions:
    """Which model answers, with which means, and how long it may take."""

    model: str = "gpt-4o-mini"
    api_key: str = field(default="", repr=False)
    instructions: str = ""
    """The system message; empty: one that suits phone calls."""
    temperature: float | None = None
    max_tokens: int = 500
    history_messages: int = 60
    """Messages of the conversation that the model is shown, the latest."""
    actions: tuple[str, ...] = ("transfer", "hang_up", "send_digits", "gather_digits", "play", "note")
    targets: Mapping[str, str] = field(default_factory=dict)
    """Whom the model may transfer to: numbers or SIP addresses, by name."""
    tools: tuple[HttpToolOptions, ...] = ()
    greets: bool = True
    """False: somebody else greets the caller, and the model is not asked to."""
    connect_seconds: float = 3.0
    answer_seconds: float = 60.0
    """For a whole answer, functions and further completions included."""
    allow_private: bool = True
    breaker: BreakerLimits = field(default_factory=BreakerLimits)
