"""What an agent can do with a call: one vocabulary for every kind of agent.

An agent's answer is a sequence of these, carried out in order: `HangUp` and `Transfer` wait until the speech before
them was heard, so "Good-bye." before `HangUp` is never cut off. `Note` and `Set` take effect when the
answer is certain. Should the speech before it fail, a `HangUp` or `Transfer` is still carried out, behind a
sentence of the bridge's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias


def words_needed(barge_in: str) -> int | None:
    """Return how many words of the caller take the floor under a rule such as `words:2`; None: nothing does.

    Raises ValueError for a rule that is none.
    """
    match barge_in.partition(":"):
        case "speech", "", "":
            return 1
        case "never", "", "":
            return None
        case "words", ":", number if number.isdecimal() and int(number) > 0:
            return int(number)
        case _:
            raise ValueError(f"{barge_in!r} is no rule for barge-in: wanted speech, never, or words:N")


@dataclass(frozen=True, slots=True)
class Say:
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
    """What cuts this text off: `speech`, `words:N` or `never`; None is the rule of the number."""

    def __post_init__(self) -> None:
        if self.barge_in is not None:
            words_needed(self.barge_in)  # The author of an agent is told at the place of the mistake.


@dataclass(frozen=True, slots=True)
class HangUp:
    """End the call once everything said before this was heard."""

    reason: str = ""


@dataclass(frozen=True, slots=True)
class Transfer:
    """Connect the caller with somebody else (cold) once everything said before this was heard."""

    to: str
    """A phone number in E.164 form (`+15551234567`) or a SIP address (`sip:desk@example.com`)."""


@dataclass(frozen=True, slots=True)
class Note:
    """Keep data with the call's record; nothing is heard."""

    data: Mapping[str, Any] = field(default_factory=dict)
    """Anything JSON can hold, by key. A later note's keys are added to the earlier ones."""


@dataclass(frozen=True, slots=True)
class Tuning:
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


@dataclass(frozen=True, slots=True)
class Set:
    """Change how the call is held from here on. What is None stays as it is."""

    voice: str | None = None
    """Voice of what is said after this."""
    language: str | None = None
    """Language of what is said after this."""
    tuning: Tuning | None = None
    """Settings of speech to text."""


Action: TypeAlias = Say | HangUp | Transfer | Note | Set
