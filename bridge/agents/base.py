"""What an agent adapter must do. This is all you must write: an `Agent`.

An agent is asked once per event of a call and answers with actions (`bridge.conversation.actions`) as they come.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias

from bridge.conversation.actions import Action
from bridge.conversation.commands import Interruption, Message

__all__ = ["Agent", "CallInfo", "Interruption", "Message", "Occasion", "Question"]

Occasion: TypeAlias = Literal["call.started", "turn.ended", "digits", "silence", "transfer.ended", "call.ended"]


@dataclass(frozen=True, slots=True)
class CallInfo:
    """Who is talking. The same for every question of a call."""

    id: str
    """The bridge's own id of the call."""
    sid: str
    """The carrier's id (`CA…`)."""
    caller: str
    """The caller's number as the carrier gave it (E.164, `client:…` or `sip:…`); `from` on the wire."""
    called: str
    """The number dialled; `to` on the wire."""
    direction: str = "inbound"
    parameters: Mapping[str, str] = field(default_factory=dict)
    """What the voice webhook handed along."""
    started_at: str = ""
    """Wall clock at the start, ISO 8601 in UTC."""


@dataclass(frozen=True, slots=True)
class Question:
    """One event of a call that the agent may answer."""

    occasion: Occasion
    call: CallInfo
    reply: int
    """Number of the answer within the call; ties late pieces to the question."""
    turn: int = 0
    """Number of the caller's turn, from 1; 0 when the caller said nothing yet."""
    transcript: str = ""
    """What the caller said, verbatim."""
    speculative: bool = False
    """True: the caller may go on speaking, and the answer may be thrown away unheard."""
    interrupted: Interruption | None = None
    messages: tuple[Message, ...] = ()
    """The conversation so far, this turn included."""
    digits: str = ""
    """The keys that the caller pressed, with `digits`, or beside the words of a turn."""
    outcome: Mapping[str, Any] = field(default_factory=dict)
    """How the call ended (`call.ended` only): `reason`, `duration_ms`, `notes`."""


class Agent(Protocol):
    """Answers the questions of every call of a process. Calls are told apart by `Question.call.id`."""

    def ask(self, question: Question) -> AsyncIterator[Action]:
        """Answer, piece by piece, as an async generator.

        Cancelling the task that iterates (the caller spoke on, the call ended) must stop the work and close its
        connection. Raises `bridge.errors.AgentError` when no (further) answer can be had.
        """

    async def close(self) -> None:
        """Release connections; calls are over by then."""
