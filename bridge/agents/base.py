"""What an agent adapter must do. This is all you must write: an `Agent`.

An agent is asked once per event of a call and answers with actions (`bridge.conversation.actions`) as they come.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeAlias, runtime_checkable

from bridge.conversation.actions import Action
from bridge.conversation.commands import Interruption, Message, TransferResult

__all__ = [
    "ActingAgent",
    "Agent",
    "Attendant",
    "AttendingAgent",
    "CallInfo",
    "Interruption",
    "Message",
    "Occasion",
    "Question",
    "TransferResult",
]

Occasion: TypeAlias = Literal[
    "call.started",
    "turn.ended",
    "digits",
    "silence",
    "transfer.ended",
    "message",
    "volunteered",
    "call.resumed",
    "call.ended",
]
"""`silence`: the caller says nothing; an agent that answers nothing leaves it to the bridge. `message`: the caller
has left one (`RecordMessage`). `volunteered`: the agent wanted the floor (`AttendingAgent`), and has it.
`call.resumed`: the process that carried the call has died, and the caller is there again. Only an agent that has
remembered something (`Remember`) is asked so, where no other question is open: it may put its own again."""


@dataclass(frozen=True, slots=True)
class CallInfo:
    """Who is talking. The same for every question of a call that one process asks."""

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
    epoch: int = 1
    """Which process of the call's asks: higher with each that has gone on with it."""

    @property
    def number(self) -> str:
        """Our own number of the two, which says how the call is held."""
        return self.caller if self.direction == "outbound" else self.called


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
    over_speech: bool = False
    """The caller said it while the agent spoke on: over a text that is not to be interrupted."""
    transfer: TransferResult | None = None
    """How a transfer ended (`transfer.ended` only): the caller is back."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """What the agent has remembered of the call (`Remember`), also where another process was asked before."""
    repeats: int = 0
    """Number of the answer to the same question that a crash has broken off; 0: there was none."""
    outcome: Mapping[str, Any] = field(default_factory=dict)
    """How the call ended (`call.ended` only): `reason`, `duration_ms`, and `transfer` where there was one."""


class Agent(Protocol):
    """Answers the questions of every call of a process. Calls are told apart by `Question.call.id`."""

    def ask(self, question: Question) -> AsyncIterator[Action]:
        """Answer, piece by piece, as an async generator.

        Cancelling the task that iterates (the caller spoke on, the call ended) must stop the work and close its
        connection. Raises `bridge.errors.AgentError` when no (further) answer can be had.
        """

    async def close(self) -> None:
        """Release connections; calls are over by then."""


@runtime_checkable
class ActingAgent(Agent, Protocol):
    """What an `Agent` has besides, if its answers may change something elsewhere while they are made."""

    @property
    def acts_at_once(self) -> bool:
        """True: it is asked when the caller's turn is over for certain, and not when it may be."""


class Attendant(Protocol):
    """An agent's ear in one call: told at once of what an agent is otherwise told with its next question.

    Nothing here may wait or raise. While a secret is being gathered nothing of the caller is told, but for the end
    of a turn that had begun before.
    """

    def partial(self, transcript: str) -> None:
        """The caller speaks: all of the turn so far, verbatim."""

    def key(self, digit: str, *, over_speech: bool) -> None:
        """The caller pressed a key; `over_speech`: while the agent spoke on, which the key did not cut off."""

    def interrupted(self, heard: str, duration_ms: int) -> None:
        """The caller cut the agent off: what was heard of the answer, and for how long it had sounded."""

    def speaking(self, who: Literal["agent", "caller"], *, on: bool) -> None:
        """One side began, or ceased, to speak."""

    def played(self, text: str) -> None:
        """So much more of the agent's text was heard."""


@runtime_checkable
class AttendingAgent(Agent, Protocol):
    """What an agent has besides, if it holds a connection of its own per call or speaks unasked."""

    def attend(self, call: CallInfo, want_floor: Callable[[], None]) -> Attendant:
        """Begin to attend a call, before its first question; it is over with its `call.ended`.

        `want_floor` asks for a question about `volunteered`, to be answered with what the agent wants to say: it
        comes as soon as nobody else speaks, or at once where what is being said is preemptible.
        """
