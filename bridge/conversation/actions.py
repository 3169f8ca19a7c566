"""What an agent can do with a call: one vocabulary for every kind of agent.

An agent's answer is a sequence of these, carried out in order: `HangUp` and `Transfer` wait until the speech before
them was heard, so "Good-bye." before `HangUp` is never cut off. `Note` and `Set` take effect when the
answer is certain, `Remember` when it is over. Should the speech before it fail, a `HangUp` or `Transfer` is still
carried out, behind a sentence of the bridge's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct, field


def words_needed(barge_in: str) -> int | None:
    """Return how many words of the caller take the floor under a rule such as `words:2`; None: no words do.

    Raises ValueError for a rule that is none.
    """
    match barge_in.partition(":"):
        case "speech" | "voice", "", "":
            return 1
        case "never" | "keys", "", "":
            return None
        case "words", ":", number if number.isdecimal() and int(number) > 0:
            return int(number)
        case _:
            raise ValueError(f"{barge_in!r} is no rule for barge-in: wanted speech, voice, keys, never, or words:N")


def keys_cut(barge_in: str) -> bool:
    """Tell whether a key of the caller takes the floor under a rule."""
    return barge_in not in {"voice", "never"}


class Say(Struct, frozen=True):
    """Speak `text` to the caller. Raises ValueError for a `barge_in` that is no rule.

    Pieces of one answer are joined exactly as they come: spaces and punctuation are the agent's.
    """

    text: str
    interruptible: bool = True
    """False: the caller's voice does not cut this text off (a legal notice)."""
    voice: str | None = None
    """Voice id of the speech service; None is the voice of the settings."""
    language: str | None = None
    """Language tag such as `en`; None is the language of the settings."""
    barge_in: str | None = None
    """What cuts this text off: `speech` (words or keys), `words:N` (N words, or keys), `voice` (only words), `keys`
    (only keys) or `never`; None is the rule of the number."""
    preemptible: bool = False
    """True: what the agent says later of its own accord takes the place of this."""

    def __post_init__(self) -> None:
        if self.barge_in is not None:
            words_needed(self.barge_in)  # The author of an agent is told at the place of the mistake.


class HangUp(Struct, frozen=True):
    """End the call once everything said before this was heard."""

    reason: str = ""


class Transfer(Struct, frozen=True):
    """Connect the caller with somebody else once everything said before this was heard.

    Cold: the caller leaves the agent, and comes back when nobody answers. Warm, if there is a `summary`: the caller
    stays with the agent until the other side has heard it and pressed a key to take the call.
    The agent learns of a transfer that does not come about by a question about `transfer.ended`. Raises ValueError
    for a time or for digits that cannot be.
    """

    to: str
    """A phone number in E.164 form (`+15551234567`) or a SIP address (`sip:desk@example.com`)."""
    summary: str = ""
    """What the other side is told before it takes the call."""
    timeout_s: float | None = None
    """How long the other phone may ring, in seconds; None is the setting."""
    caller_id: str = ""
    """The number that is shown to the other side; empty is the setting."""
    digits: str = ""
    """Keys that are pressed when the other side has answered, such as an extension; `w` waits half a second."""

    def __post_init__(self) -> None:
        if self.timeout_s is not None and not 5 <= self.timeout_s <= 600:
            raise ValueError("a phone may ring for 5 to 600 seconds")
        if not set(self.digits) <= set("0123456789*#ABCDwW"):
            raise ValueError("digits can be 0-9 * # A-D, w and W")


class HandOff(Struct, frozen=True):
    """End the agent's part once everything said before this was heard, and let its hand-off webhook go on.

    Twilio: `end` of ConversationRelay. Without such a webhook the call ends.
    """

    data: str = ""
    """Handed to the webhook verbatim, as `HandoffData`."""


class Note(Struct, frozen=True):
    """Keep data with the call's record; nothing is heard."""

    data: Mapping[str, Any] = field(default_factory=dict)
    """Anything JSON can hold, by key. A later note's keys are added to the earlier ones."""


class Remember(Struct, frozen=True):
    """Keep what the agent wants to know of this call: it is given back with every further question.

    It is kept with the call, so another process that goes on with it after a crash gives it back as well. It counts
    once the answer is over: of an answer that was thrown away, or of which nothing was heard, so that its question
    is asked again, nothing is remembered. What is struck out of the journal is struck out of it after a crash. The
    last one of an answer counts; it takes the place of what was remembered before.
    """

    state: Mapping[str, Any] = field(default_factory=dict)
    """Anything JSON can hold, by key: 16 KB at most. Empty: nothing is remembered any more."""
    at_once: bool = False
    """True: it counts as soon as the answer is certain, whatever becomes of that: before something is done that
    must not be done twice."""


class Tuning(Struct, frozen=True):
    """Settings of the speech-to-text service to be changed in mid-call. What is None stays as it is."""

    model: str | None = None
    language: str | None = None
    keyterms: tuple[str, ...] | None = None
    """Words and names to listen for; they replace the earlier ones."""
    start_threshold: float | None = None
    """Score of speech above which a turn starts: 0.5 to 0.9."""
    eager_end_threshold: float | None = None
    """Score below which a turn may be over: 0.3 to 0.6."""
    end_threshold: float | None = None
    """Score below which a turn is over: 0.05 to 0.5. Always end < eager end < start."""
    end_timeout_ms: int | None = None
    """Longest wait after the caller's last word, in ms: 640 to 11200."""

    def changed_by(self, later: Tuning) -> Tuning:
        """Return what both come to, one after the other."""
        changes = msgspec.structs.asdict(later)
        return msgspec.structs.replace(
            self, **{name: value for name, value in changes.items() if value is not None}
        )


class Set(Struct, frozen=True):
    """Change how the call is held from here on. What is None stays as it is."""

    voice: str | None = None
    """Voice of what is said after this."""
    language: str | None = None
    """Language of what is said after this."""
    tuning: Tuning | None = None
    """Settings of speech to text."""
    recording: Literal["on", "paused"] | None = None
    """`paused`: from now on both sides of the recording are silence, until it is `on` again."""


class Play(Struct, frozen=True):
    """Play a sound, in sequence with what is said. Raises ValueError for what cannot be."""

    source: str
    """An http(s) URL of a WAV file, a path below the folder of sounds, or `beep:`, the tone before a message."""
    loop: int = 1
    """How often; 0: again and again, up to ten minutes."""
    interruptible: bool = True
    barge_in: str | None = None
    """As `Say.barge_in`."""
    preemptible: bool = False
    """As `Say.preemptible`."""

    def __post_init__(self) -> None:
        if not self.source or self.loop < 0:
            raise ValueError("a sound needs a source, and a loop of 0 or more")
        if self.barge_in is not None:
            words_needed(self.barge_in)


class SendDigits(Struct, frozen=True):
    """Send tones into the call, in sequence with what is said. They are never cut. Raises ValueError for no key."""

    digits: str
    """`0-9 * # A-D`; `w` is half a second of silence, `W` a second."""
    by_carrier: bool = False
    """True: the call leaves the media stream for it, and the carrier itself sends real keys (TwiML `<Play digits>`)
    once everything said before was heard; then the call comes back."""

    def __post_init__(self) -> None:
        if not self.digits or not set(self.digits) <= set("0123456789*#ABCDwW"):
            raise ValueError("digits can be 0-9 * # A-D, w and W")


class GatherDigits(Struct, frozen=True):
    """Collect keys once what is said was heard; a key pressed before that cuts the speech and counts as well.

    They come as a question about `digits`. What the caller says instead is an ordinary turn that ends the
    collecting, except where it is `masked`. Raises ValueError for a length or a terminator that is none.
    """

    length: int | None = None
    """Done at so many keys; None: as many as come, up to the terminator or a pause."""
    terminator: str = "#"
    """The key that ends the number and is no part of it; empty: none."""
    first_s: float = 10.0
    """Longest wait for the first key, in seconds from the end of what is said."""
    next_s: float = 4.0
    """Longest wait for each further key."""
    masked: bool = False
    """A secret, such as a card number: while it lasts neither keys nor speech are kept, shown or recognised."""

    def __post_init__(self) -> None:
        if self.length is not None and not 1 <= self.length <= 100:
            raise ValueError("the length of a number can be 1 to 100")
        if self.terminator not in set("0123456789*#ABCD") | {""}:
            raise ValueError("the terminator is one key, or empty")
        if not (0 < self.first_s <= 600 and 0 < self.next_s <= 600):
            raise ValueError("the waits for keys can be up to 600 seconds")


class RecordMessage(Struct, frozen=True):
    """Let the caller leave a message once what is said was heard: voicemail.

    It lasts until the caller is silent for a while, presses the terminator, or hangs up; nothing is answered
    meanwhile. Its transcript comes as a question about `message`, and its audio is kept as a file of its own beside
    the call's recording. It is the last of an answer: what else stands behind the words is not done. What the
    caller says over the words before it is the beginning of the message; a key skips them, where they may be cut.
    Raises ValueError for a time that cannot be.
    """

    max_s: float = 120.0
    """Longest message, in seconds."""
    silence_s: float = 4.0
    """Silence of the caller that ends it, also before the first word."""
    terminator: str = "#"
    """The key that ends it; empty: none."""

    def __post_init__(self) -> None:
        if not (0 < self.max_s <= 3600 and 0 < self.silence_s <= 60):
            raise ValueError("a message may last 3600 seconds, and wait for the caller for 60")
        if self.terminator not in set("0123456789*#ABCD") | {""}:
            raise ValueError("the terminator is one key, or empty")


Action: TypeAlias = (
    Say | Play | SendDigits | GatherDigits | RecordMessage | HangUp | Transfer | HandOff | Note | Remember | Set
)
