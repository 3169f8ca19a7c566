"""The sections of the settings that say who answers the caller, and how each kind of agent is spoken to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import BeforeValidator, Field, SecretStr, ValidationInfo, field_validator, model_validator

from bridge.settings.base import AgentKind, Section, Texts
from bridge.settings.values import http_url, json_list, phone_number

DEMO_AGENT = "bridge.agents.demo:agent"
DEFAULT_URLS: Mapping[str, str] = {"python": DEMO_AGENT, "openai": "https://api.openai.com/v1"}
"""Where an agent is, by its kind, when the settings do not say."""

_EXAMPLES: Mapping[str, str] = {
    "webhook": "URL, such as http://127.0.0.1:5000/agent",
    "relay": "URL, such as wss://agent.example.com/relay",
    "flow": "file, such as config/flows/reception.yaml",
}

MODEL_ACTIONS = ("transfer", "hang_up", "send_digits", "gather_digits", "play", "record_message", "set", "note")
"""What a model can be let do with a call besides speaking."""

RELAY_EVENTS = ("speaker-events", "tokens-played")
"""What a ConversationRelay app can be told of a call besides what it has to know."""

Input: TypeAlias = Literal["any", "speech", "dtmf", "none"]
"""Which input of the caller something is about, in the words of Twilio's ConversationRelay."""


def targets_by_name(pairs: tuple[str, ...]) -> dict[str, str]:
    """Read `openai.transfer_targets`: the name of each, and its number or SIP address.

    Raises ValueError for an entry that is no such pair, and for a name that comes twice.
    """
    targets: dict[str, str] = {}
    for pair in pairs:
        name, sign, number = (part.strip() for part in pair.partition("="))
        if not (name and sign and number) or name in targets:
            raise ValueError(f"{pair!r}: wanted name=number, such as sales=+15551234567, each name once")
        targets[name] = phone_number(number)
        if targets[name].startswith("client:"):
            raise ValueError(f"{pair!r}: wanted a number such as +15551234567, or a sip: address")
    return targets


def pairs(entries: tuple[str, ...]) -> dict[str, str]:
    """Read `relay.parameters`. Raises ValueError for an entry that is no pair, and for a name that comes twice."""
    found: dict[str, str] = {}
    for entry in entries:
        name, sign, value = (part.strip() for part in entry.partition("="))
        if not (name and sign) or name in found:
            raise ValueError(f"{entry!r}: wanted name=value, such as plan=gold, each name once")
        found[name] = value
    return found


def _kind_of(url: str) -> str:
    if url.startswith(("http://", "https://")):
        return "webhook"
    if url.startswith(("ws://", "wss://")):
        return "relay"
    return "flow" if url.endswith((".yaml", ".yml")) else "python"


class AgentSettings(Section):
    """Who answers the caller."""

    kind: AgentKind = "python"
    """`webhook`, `relay`, `openai`, `flow`, `python`, `echo` or `none` (transcribe only); unset: as url tells."""
    url: str = Field(default="", validate_default=True)
    """Where the agent is: http(s) or ws(s) URL, flow file, or package.module:function; unset: the demo agent."""
    secret: SecretStr = SecretStr("")
    """Secret that signs webhook requests (Standard Webhooks); empty: unsigned."""
    timeout_seconds: float = Field(default=10, gt=0, le=120)
    """Seconds that the agent may take for the first piece of an answer, and from piece to piece."""
    eager: bool = True
    """Ask the agent as soon as the caller may be done, and hold the answer until that is certain."""
    greeting: str = ""
    """What is said when a call begins; empty: the agent is asked for it."""
    sounds: Path = Path("sounds")
    """Folder of the sound files that an agent may play."""
    private_sounds: bool = False
    """Let an agent play sounds from addresses in private networks and on this machine."""
    connect_seconds: float = Field(default=3, gt=0, le=60)
    """For a webhook, a relay or a model: seconds for name look-up, TCP and TLS together."""
    answer_seconds: float = Field(default=60, gt=0, le=600)
    """For a webhook or a model: seconds that a whole answer may take; what came until then is spoken."""
    allow_private: bool = True
    """For a webhook, relay, model, or flow: addresses may lie in a private network or on this machine."""
    breaker_failures: int = Field(default=5, ge=0, le=1000)
    """For a webhook or a model: failures in a row after which it is left alone for a while; 0: never."""
    breaker_window_seconds: float = Field(default=60, gt=0, le=3600)
    """For a webhook or a model: seconds within which they must lie."""
    breaker_pause_seconds: float = Field(default=30, gt=0, le=3600)
    """For a webhook or a model: seconds for which it is left alone; callers hear the apology at once."""
    undelivered: str = "undelivered"
    """For a webhook: folder where `call.ended` waits that could not be delivered; empty: it is not kept."""

    @model_validator(mode="before")
    @classmethod
    def _kind_from_url(cls, data: Any) -> Any:
        if not isinstance(data, Mapping):
            return data
        filled = {**data}
        if filled.get("kind") is None:
            filled["kind"] = _kind_of(str(filled.get("url", "")).lower())
        if not filled.get("url") and filled["kind"] in DEFAULT_URLS:
            filled["url"] = DEFAULT_URLS[filled["kind"]]
        return filled

    @field_validator("url")
    @classmethod
    def _url(cls, value: str, info: ValidationInfo) -> str:
        kind = str(info.data.get("kind"))
        if kind in _EXAMPLES and not value:
            raise ValueError(f"a {kind} agent needs its {_EXAMPLES[kind]}")
        if kind in {"webhook", "openai"}:
            return http_url(value)
        if kind == "relay":
            http_url(value, schemes=("http", "https", "ws", "wss"))
            return value  # With a final slash it is another address, and another signature.
        if kind == "python" and not re.fullmatch(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*", value):
            raise ValueError("wanted package.module:function, or an http(s) URL for a webhook")
        return value


class RelaySettings(Section):
    """For `relay` agents: Twilio's ConversationRelay, as its TwiML attributes have it."""

    auth_token: SecretStr = SecretStr("")
    """Signs the handshake as Twilio does (X-Twilio-Signature); empty: twilio.auth_token."""
    action_url: str = ""
    """Hand-off webhook: asked for TwiML when the session is over, as Twilio asks <Connect action>; empty: none."""
    welcome_greeting: str = ""
    """Said first, in place of agent.greeting; empty: that one."""
    welcome_greeting_interruptible: Input = "any"
    """What cuts the greeting off: `any`, `speech`, `dtmf` or `none`."""
    interruptible: Input = "any"
    """What cuts the agent off, where a text does not say: `any`, `speech`, `dtmf` or `none`."""
    preemptible: bool = False
    """Later text may take the place of what is still being said, where a text does not say."""
    report_input_during_agent_speech: Input = "none"
    """Input during speech that it does not cut off: which of it the app is told of."""
    dtmf_detection: bool = True
    """Tell the app of keys, in `dtmf` messages."""
    partial_prompts: bool = False
    """Tell the app what the caller says while it is being said, in `prompt` messages that are not the last."""
    events: Texts = ()
    """`info` messages that the app is sent: speaker-events, tokens-played."""
    parameters: Texts = ()
    """Name=value pairs for `customParameters` of the `setup` message."""
    reconnect_seconds: float = Field(default=10, ge=0, le=120)
    """Seconds in which a lost connection to the app is taken up again, with what it missed; 0: it is not."""

    @field_validator("action_url")
    @classmethod
    def _action_url(cls, value: str) -> str:
        if value:
            http_url(value)
        return value

    @field_validator("parameters")
    @classmethod
    def _parameters(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        pairs(value)
        return value

    @field_validator("events")
    @classmethod
    def _events(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [name for name in value if name not in RELAY_EVENTS]:
            raise ValueError(f"{unknown[0]!r} is none: wanted {' or '.join(RELAY_EVENTS)}")
        return value


class HttpTool(Section):
    """A function that the model may call, and the HTTP request that carries it out."""

    name: str = Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")
    """Its name, as the model sees it."""
    description: str = Field(min_length=1)
    """What it does, for the model."""
    url: str
    """Where the call goes; `{name}` stands for an argument."""
    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"] = "POST"
    """With GET the arguments are the query, else the JSON body."""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    """JSON Schema of the arguments."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Further HTTP headers, such as Authorization."""
    timeout_seconds: float = Field(default=5, gt=0, le=60)
    """Seconds that the request may take."""


class OpenAISettings(Section):
    """For `openai` agents: a chat-completions endpoint."""

    api_key: SecretStr = SecretStr("")
    """Key of the endpoint, sent as bearer token; OPENAI_API_KEY is read when this is empty."""
    model: str = Field(default="gpt-4o-mini", min_length=1)
    """Model, as the endpoint names it."""
    instructions: str = ""
    """The system message: who the agent is and what it is to do; empty: a short one that suits phone calls."""
    temperature: float | None = Field(default=None, ge=0, le=2)
    """Temperature of sampling; unset: the endpoint's own."""
    max_tokens: int = Field(default=500, ge=1, le=32_000)
    """Tokens of one answer at most."""
    history_messages: int = Field(default=60, ge=2, le=1000)
    """Messages of the conversation that the model is shown at most, the latest."""
    actions: Texts = ("transfer", "hang_up", "send_digits", "gather_digits", "play", "note")
    """What the model may do with the call besides speaking; there are record_message and set, too."""
    transfer_targets: Texts = ()
    """Name=number pairs that the model may transfer to, such as sales=+15551234567; empty: it may not."""
    tools: Annotated[tuple[HttpTool, ...], BeforeValidator(json_list)] = ()
    """HTTP tools: tables with name, description, url, method, parameters, headers and timeout_seconds."""

    @field_validator("actions")
    @classmethod
    def _actions(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if unknown := [action for action in value if action not in MODEL_ACTIONS]:
            raise ValueError(f"{unknown[0]!r} is none: wanted some of {', '.join(MODEL_ACTIONS)}")
        return value

    @field_validator("transfer_targets")
    @classmethod
    def _targets(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        targets_by_name(value)
        return value
