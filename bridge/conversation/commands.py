"""What is to be done: everything a conversation asks of the shell. Names are in the imperative.

The shell carries the commands of one event out in their order, and before it looks at the next event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, Literal, TypeAlias

from msgspec import Struct, field

from bridge.conversation.actions import Transfer, Tuning
from bridge.conversation.journal import Entry

Occasion: TypeAlias = Literal[
    "call.started", "turn.ended", "digits", "silence", "transfer.ended", "message", "volunteered", "call.resumed"
]
"""What an agent is asked about. `volunteered`: the agent itself has asked for the floor, and has it now.
`call.resumed`: the call goes on after a crash, nothing else is open, and the agent has remembered something."""
Role: TypeAlias = Literal["user", "assistant"]


class Message(Struct, frozen=True):
    """One entry of the conversation so far, as OpenAI's chat messages have it. Holds only what was heard."""

    role: Role
    content: str
    """Trimmed: a copy for language models. The verbatim text is in the journal."""


class TransferResult(Struct, frozen=True):
    """How a transfer ended that the agent asked for."""

    to: str
    status: str
    """`busy`, `no-answer`, `failed`, `canceled` or `declined`: the caller is back; `completed`: they talked."""
    duration_s: int = 0
    """How long they talked, in seconds."""


class Interruption(Struct, frozen=True):
    """The caller cut the agent off: what was heard of the answer that was cut, and what was not."""

    heard: str
    unheard: str


# --- towards the carrier -----------------------------------------------------------------------------------


class SendAudio(Struct, frozen=True):
    """Hand audio to the phone, which plays it after all it still holds."""

    utterance: int
    audio: bytes
    """mu-law, 8000 Hz, mono."""


class SendMark(Struct, frozen=True):
    """Ask the phone to tell when it has played all audio sent before this."""

    name: str


class ClearPlayout(Struct, frozen=True):
    """Make the phone drop what it has not played yet: the agent falls silent at once."""


LONGEST_TALK_S: Final = 4 * 3600.0 + 120
"""How long the two may talk whom a transfer has connected, in seconds: the carrier ends that after four hours
(Twilio: `<Dial>`, `timeLimit`), and has two minutes to tell of it."""


class LeaveCall(Struct, frozen=True):
    """Give up the media stream: hang up, or pass the caller on."""

    reason: str
    """`agent`, `operator`, `transfer`, `digits`, `handoff`, `silence`, `limit`, `agent_failed` or `speech_failed`;
    where a machine answered a call of ours `voicemail`, `machine` or `fax`."""
    transfer: Transfer | None = None
    """Whom to connect the caller with."""
    conference: str = ""
    """The conference in which the other side waits who has accepted a warm transfer; empty: it is cold."""
    farewell: str = ""
    """A sentence for the carrier to speak with its own voice, because ours has failed."""
    digits: str = ""
    """Keys that the carrier sends before the call comes back (`digits` only)."""
    handoff: str | None = None
    """Data for the agent's hand-off webhook, which says what comes next; None: nobody is asked."""
    voicemail: bool = False
    """The caller leaves a message with the carrier, and the call ends behind it (`MessageRecorded`)."""

    @property
    def for_a_while(self) -> bool:
        """Tell whether the call goes on without its stream, and perhaps comes back (a message: it does not)."""
        return self.transfer is not None or bool(self.digits) or self.voicemail

    @property
    def transfer_to(self) -> str:
        """Whom to connect the caller with; empty: nobody."""
        return "" if self.transfer is None else self.transfer.to


class CallOther(Struct, frozen=True):
    """Call somebody, tell them the summary, and let them take the call with a key, while the caller waits."""

    transfer: Transfer


class CancelOther(Struct, frozen=True):
    """The caller waits no longer, or does not come: hang up on who was called by `CallOther`, if they are there."""


# --- towards the agent -------------------------------------------------------------------------------------


class AskAgent(Struct, frozen=True):
    """Ask the agent for reply number `reply`."""

    reply: int
    occasion: Occasion
    turn: int
    """Number of the caller's turn that is to be answered; 0 before the first."""
    transcript: str
    """What the caller said, verbatim. Turns that were not answered yet stand joined."""
    speculative: bool
    """The caller may still go on; the answer is held until it is certain."""
    interrupted: Interruption | None
    messages: tuple[Message, ...]
    digits: str = ""
    """The keys that the caller pressed (`digits` only); empty: none came in time."""
    over_speech: bool = False
    """The caller said it while the agent spoke on: over a text that is not to be interrupted."""
    transfer: TransferResult | None = None
    """How a transfer ended (`transfer.ended` only)."""
    masked: bool = False
    """The keys are a secret: for the agent alone."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """What the agent has remembered of the call (`Remember`)."""
    repeats: int = 0
    """The reply to the same question that a crash has broken off; 0: there was none."""


class CancelReply(Struct, frozen=True):
    """Stop asking: nothing more of this reply is wanted."""

    reply: int


class TellAgentEnded(Struct, frozen=True):
    """Tell the agent that the call is over; no answer is expected."""

    reply: int
    reason: str
    duration_ms: int
    messages: tuple[Message, ...]
    transfer: TransferResult | None = None
    """How the transfer ended with which the agent's part did; None: there was none, or nobody has told."""
    state: Mapping[str, Any] = field(default_factory=dict)
    """As in `AskAgent`."""


# --- towards speech ----------------------------------------------------------------------------------------


class Synthesize(Struct, frozen=True):
    """Speak a piece of an utterance. Pieces of one utterance are joined verbatim."""

    utterance: int
    text: str
    more: bool
    """False: this piece is the last of its utterance (its text may be empty)."""
    voice: str | None
    language: str | None


class PlaySound(Struct, frozen=True):
    """Get a sound and hand it in as the audio of an utterance."""

    utterance: int
    source: str
    loop: int


class SendTones(Struct, frozen=True):
    """Make the tones of keys and hand them in as the audio of an utterance."""

    utterance: int
    digits: str


class CancelSpeech(Struct, frozen=True):
    """Stop synthesising, or getting, an utterance."""

    utterance: int


class ForgetTurn(Struct, frozen=True):
    """Drop the caller's audio that waits for the speech-to-text service: the turn it belongs to was given up."""


class TuneRecognizer(Struct, frozen=True):
    """Change settings of the speech-to-text session."""

    tuning: Tuning


class FinishRecognizer(Struct, frozen=True):
    """No more of the caller's audio comes: drain the speech-to-text session for the last words."""


class OpenRecognizer(Struct, frozen=True):
    """The caller is back after the speech-to-text session was finished: open another."""


# --- towards the record ------------------------------------------------------------------------------------


class Record(Struct, frozen=True):
    """Keep an entry of the call's journal."""

    entry: Entry


class PauseRecording(Struct, frozen=True):
    """From then on both sides of the call's recording are silence, also what the phone still plays."""

    at_ms: int
    """Time of the call."""


class ResumeRecording(Struct, frozen=True):
    """From then on the call's recording holds again what is heard."""

    at_ms: int


class Close(Struct, frozen=True):
    """The conversation is over and everything is recorded: let everything go."""


Command: TypeAlias = (
    SendAudio
    | SendMark
    | ClearPlayout
    | LeaveCall
    | CallOther
    | CancelOther
    | AskAgent
    | CancelReply
    | TellAgentEnded
    | Synthesize
    | PlaySound
    | SendTones
    | CancelSpeech
    | ForgetTurn
    | TuneRecognizer
    | FinishRecognizer
    | OpenRecognizer
    | Record
    | PauseRecording
    | ResumeRecording
    | Close
)
