"""What a conformance test needs of a kind of agent: a driver that starts it and directs what stands behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, ClassVar, TypeAlias

import msgspec
from pydantic import SecretStr

from bridge.agents.base import Agent, Question
from bridge.agents.registry import open_agent
from bridge.conversation.actions import (
    Action,
    GatherDigits,
    HandOff,
    HangUp,
    Note,
    Play,
    RecordMessage,
    Remember,
    Say,
    SendDigits,
    Set,
    Transfer,
)
from tests.agents.asking import TURN

ACTIONS: Mapping[str, Action] = {
    "say": Say("Hello."),
    "play": Play("hold.wav", 2),
    "send_digits": SendDigits("12w3#"),
    "gather_digits": GatherDigits(4, masked=True),
    "record_message": RecordMessage(30),
    "transfer": Transfer("+15550100300", "Ann, about a bike."),
    "hang_up": HangUp("done"),
    "set": Set(language="es"),
    "note": Note({"name": "Ann"}),
    "remember": Remember({"asked": 2}),
    "hand_off": HandOff("data"),
}
"""An example of each action of the vocabulary."""

Part: TypeAlias = "Action | asyncio.Event"
"""Of an answer: an action, or something to wait for before it goes on."""


class Chosen:
    """The section `[agent]`, as the registry wants it."""

    def __init__(self, kind: str, url: str = "", timeout_seconds: float = 5.0) -> None:
        self.kind = kind
        self.url = url
        self.secret = SecretStr("")
        self.timeout_seconds = timeout_seconds


class Driver:
    """One kind of agent, and what stands behind it."""

    kind: ClassVar[str]
    expresses: ClassVar[tuple[str, ...]] = ()
    """Which of `ACTIONS` the far end can ask for."""
    streams: ClassVar[bool] = False
    """An answer has pieces that come one after the other, with `answer` and something to wait for."""
    faults: ClassVar[tuple[str, ...]] = ()
    """What can go wrong at the far end."""
    greets: ClassVar[bool] = True
    """The far end can greet a call that begins."""
    answers_turns: ClassVar[bool] = True
    directed_later: ClassVar[bool] = True
    """The far end can be told to answer otherwise while the agent runs."""
    answered: ClassVar[Question] = TURN
    """The question that is answered with what `answer` was given."""
    arrives: ClassVar[Mapping[str, Action]] = {}
    """Actions that arrive with values of the kind's own, in place of those of `ACTIONS`."""
    trailer: ClassVar[Action | None] = None
    """What comes behind an answer of its own accord."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.busy = asyncio.Event()
        """The far end has come to something that it waits for."""
        self.left = asyncio.Event()
        """The far end has noticed that nobody waits for its answer any more."""

    async def start(self) -> Agent:
        """Make the agent, through the registry."""
        return open_agent(Chosen(self.kind))

    def answer(self, *parts: Part) -> None:
        """Let the far end answer every question so from now on."""
        raise NotImplementedError

    def greet(self, *parts: Part) -> None:
        """Let the far end greet so from now on."""
        self.answer(*parts)

    def echo(self) -> None:
        """Let the far end answer every turn with the caller's words."""
        raise NotImplementedError

    def fail(self, fault: str) -> None:
        """Let the far end fail from now on, in one of the ways of `faults`."""
        raise NotImplementedError

    def connections(self) -> int:
        """How many connections the far end sees."""
        return 0

    async def stop(self) -> None:
        """Stop the far end."""


def named(parts: Iterable[Part]) -> list[tuple[str, Part]]:
    """The parts with their actions' names; what is to be waited for has none."""
    names = {type(example): name for name, example in ACTIONS.items()}
    return [("" if isinstance(part, asyncio.Event) else names[type(part)], part) for part in parts]


def wire(action: Action) -> dict[str, Any]:
    """An action as the author of a webhook writes it."""
    fields: dict[str, Any] = msgspec.to_builtins(action)
    if isinstance(action, Set):
        fields["stt"] = fields.pop("tuning")
    return {"type": named([action])[0][0], **fields}
