"""What happened: everything that can drive a conversation. Names are in the past tense.

Events come from four sides: the carrier (Twilio's stream), the speech-to-text service, the agent and the
text-to-speech service; the clock is the fifth. They carry no time of their own: the shell hands `now` to
`Conversation.handle` beside the event.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeAlias

from msgspec import Struct, field

from bridge.conversation.actions import Action

# --- the carrier -------------------------------------------------------------------------------------------


class StreamStarted(Struct, frozen=True):
    """The media stream is up: audio flows both ways. A second one resumes a call whose stream was lost."""


class StreamLost(Struct, frozen=True):
    """The carrier's socket broke without a `stop`: the call may come back on a new stream."""


class StreamStopped(Struct, frozen=True):
    """The call is over for the carrier: the caller hung up, or we did, or the server is going down."""

    reason: str
    """`caller` (the far end hung up), `agent` (we did), `shutdown`, `limit` or `error`."""


class MarkReturned(Struct, frozen=True):
    """The carrier echoed one of our marks: its audio was played, or dropped by a `clear`."""

    name: str


class DigitPressed(Struct, frozen=True):
    """The caller pressed a key: one of `0-9`, `*`, `#` (`A-D` are possible)."""

    digit: str


class OtherAccepted(Struct, frozen=True):
    """Who was called for a warm transfer has heard the summary and takes the call."""

    conference: str
    """The conference in which they wait for the caller."""


class TransferEnded(Struct, frozen=True):
    """A transfer is over, or did not come about."""

    status: str
    """`completed`, `busy`, `no-answer`, `failed`, `canceled` or `declined`."""
    duration_s: int = 0
    """How long they talked, in seconds."""


class MessageRecorded(Struct, frozen=True):
    """The caller has left a message with the carrier, or has said nothing (Twilio: `<Record>`)."""

    url: str
    """Where the carrier has it; empty: nothing was said."""
    duration_s: int = 0


class AnswererKnown(Struct, frozen=True):
    """The carrier has found out who answered a call of ours (Twilio: answering-machine detection)."""

    kind: str
    """`human`, `machine_start`, `machine_end_beep`, `_silence` or `_other`, `fax` or `unknown`."""


# --- speech to text ----------------------------------------------------------------------------------------


class RecognizerConnected(Struct, frozen=True):
    """The speech-to-text session is ready. Comes again after each reconnection."""

    request_id: str = ""
    """The service's id of the connection, for asking its support."""
    standby: bool = False
    """It is the service that stands by for the one of the settings."""


class RecognizerLost(Struct, frozen=True):
    """The connection of the speech-to-text session broke, and is being restored.

    A turn that was open stays open: the audio since then is kept and sent again, and the turn's next text goes on
    from the text it had.
    """

    code: str
    """A stable code of `bridge.errors`, such as `speech_unreachable`."""
    message: str


class TurnStarted(Struct, frozen=True):
    """The caller began to speak (`turn.start`). There are no words yet."""


class TurnUpdated(Struct, frozen=True):
    """More words of the caller's turn (`turn.update`)."""

    transcript: str
    """All of the turn so far, verbatim: it replaces the earlier text and only ever grows."""


class TurnEagerlyEnded(Struct, frozen=True):
    """The caller may be done (`turn.eager_end`): worth preparing an answer, not yet saying it."""

    transcript: str


class TurnResumed(Struct, frozen=True):
    """The eager end was wrong (`turn.resume`): the caller goes on."""


class TurnEnded(Struct, frozen=True):
    """The caller is done (`turn.end`)."""

    transcript: str
    """The final text, verbatim; empty when the sound was no speech."""


class RecognizerFailed(Struct, frozen=True):
    """The speech-to-text service reported an error or could not be reached."""

    code: str
    """A stable code of `bridge.errors`, such as `speech_auth`."""
    message: str
    final: bool
    """True: it will not come back (wrong key, plan, setting). False: it is being tried again."""
    details: Mapping[str, str] = field(default_factory=dict)
    """What else the service said: `title`, `status_code`, `error_code`, `doc_url`, `request_id`, where it did."""
    helped: bool = False
    """Another service stands by, and has not failed: this speaker is heard by that, if it goes on so."""


class RecognizerClosed(Struct, frozen=True):
    """The speech-to-text session is drained and closed: no more words will come."""


# --- the agent ---------------------------------------------------------------------------------------------


class AgentActed(Struct, frozen=True):
    """A piece of the agent's answer arrived."""

    reply: int
    action: Action


class AgentFinished(Struct, frozen=True):
    """The agent's answer is complete."""

    reply: int


class AgentFailed(Struct, frozen=True):
    """The agent could not answer."""

    reply: int
    code: str
    message: str


class FloorWanted(Struct, frozen=True):
    """The agent has something to say that nobody has asked for."""


# --- who looks after the call -----------------------------------------------------------------------------


class OperatorActed(Struct, frozen=True):
    """Somebody who looks after the call wants this said or done, in the agent's place.

    What is said, transfers and hanging up take the floor from the agent at once; they wait for words of the caller.
    Notes and settings disturb nothing.
    """

    actions: tuple[Action, ...]
    """All kinds but `GatherDigits`, `RecordMessage` and `HandOff`, whose results nobody would be told."""


# --- text to speech ----------------------------------------------------------------------------------------


class Word(Struct, frozen=True):
    """One spoken word and when it sounds, in seconds from the start of its utterance's audio."""

    text: str
    start: float
    end: float


class SpeechArrived(Struct, frozen=True):
    """Audio of an utterance came from the text-to-speech service, in order."""

    utterance: int
    audio: bytes
    """mu-law, 8000 Hz, mono: 8 bytes are 1 ms."""


class WordsTimed(Struct, frozen=True):
    """The service told when words of an utterance sound. May come before or after their audio."""

    utterance: int
    words: tuple[Word, ...]


class SpokenByStandby(Struct, frozen=True):
    """The utterance comes from the service that stands by for the one of the settings. Told before its audio."""

    utterance: int


class SpeechFinished(Struct, frozen=True):
    """All audio of the utterance has arrived."""

    utterance: int


class SpeechFailed(Struct, frozen=True):
    """The utterance, or the rest of it, will not come."""

    utterance: int
    code: str
    message: str
    final: bool = True
    """False: it was the connection that failed, so the rest can be asked for again."""


# --- the clock ---------------------------------------------------------------------------------------------


class DeadlineReached(Struct, frozen=True):
    """The moment named by `Conversation.deadline` has come."""


RecognizerEvent: TypeAlias = (
    RecognizerConnected
    | RecognizerLost
    | TurnStarted
    | TurnUpdated
    | TurnEagerlyEnded
    | TurnResumed
    | TurnEnded
    | RecognizerFailed
    | RecognizerClosed
)
SpeechEvent: TypeAlias = SpeechArrived | WordsTimed | SpokenByStandby | SpeechFinished | SpeechFailed
CarrierEvent: TypeAlias = (
    StreamStarted
    | StreamLost
    | StreamStopped
    | MarkReturned
    | DigitPressed
    | OtherAccepted
    | TransferEnded
    | MessageRecorded
    | AnswererKnown
)
AgentEvent: TypeAlias = AgentActed | AgentFinished | AgentFailed
Event: TypeAlias = (
    CarrierEvent | RecognizerEvent | AgentEvent | FloorWanted | OperatorActed | SpeechEvent | DeadlineReached
)
