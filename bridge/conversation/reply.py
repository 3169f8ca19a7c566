"""One reply of the agent on its way: from the question to the last heard word."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from bridge.conversation.actions import Action, GatherDigits, HandOff, HangUp, Note, RecordMessage, Set, Transfer
from bridge.conversation.commands import TransferResult
from bridge.conversation.sentences import take_sentences


@dataclass(slots=True)
class Style:
    """What must be the same in all of an utterance."""

    words_needed: int | None = 1
    """How many words of the caller cut it off; None: no words do."""
    keys: bool = True
    """Whether a key cuts it off."""
    preemptible: bool = False
    """Whether what the agent says of its own accord takes its place."""
    voice: str | None = None
    language: str | None = None


@dataclass(slots=True)
class Reply:
    """What is known of the open reply. Plain data: the rules are the conversation's."""

    number: int
    occasion: str
    turn: int
    """The caller's turn that it answers."""
    transcript: str
    """What was asked, so that it can be asked again with what the caller adds."""
    asked_at: float
    speculative: bool
    """It is held: nothing of it may be heard or done yet."""
    certain_at: float = 0.0
    """When a reply that was held was released."""
    done: bool = False
    """The agent has nothing more to add."""
    was_speculative: bool = False
    """It was asked for at an eager end."""
    heard_from_at: float = 0.0
    """When the agent last sent a piece (or was asked)."""
    text: str = ""
    """All the agent said, joined."""
    waiting: str = ""
    """Text that is no whole sentence yet."""
    style: Style = field(default_factory=Style)
    utterance: int | None = None
    """The utterance that takes more text."""
    synthesized_at: float = 0.0
    """When text last went to the speech service."""
    audio_at: float = 0.0
    """When audio last came from it."""
    notes: list[Note] = field(default_factory=list)
    """Data to be kept as soon as the reply is certain."""
    changes: list[Set] = field(default_factory=list)
    """Settings to be changed for the rest of the call, as soon as the reply is certain."""
    remembers: Mapping[str, Any] | None = None
    """What the agent knows of the call from then on that it is over; None: what it knew before."""
    remembers_now: Mapping[str, Any] | None = None
    """The same, from then on that it is certain."""
    repeats: int = 0
    """The reply to the same question that a crash has broken off; 0: none."""
    taken_up: bool = False
    """What is to be done behind it is what the call was doing before a crash, unless the agent says what else."""
    voice: str | None = None
    """Voice of what follows, where it names none."""
    language: str | None = None
    filler: int = 0
    """Characters at the beginning of `text` that are not the agent's: what covered its slowness."""
    digits: str = ""
    """The keys that it answers, so that they can be asked about again with those that follow."""
    fallback: str = ""
    """What the bridge itself says if the agent says and does nothing."""
    gathered: bool = False
    """They were asked for, and are complete."""
    secret: bool = False
    """They are for the agent alone."""
    standby: bool = False
    """Some of it is spoken by the service that stands by."""
    transfer: TransferResult | None = None
    """The result of a transfer that it is about."""
    new_starts: int = 0
    """How often the rest of its speech was asked for again, because the connection was lost."""
    new_start_at: float = -1.0
    """When that was last."""
    false_alarms: int = 0
    """How often in a row it was silenced without a word sounding in between."""
    heard_at_alarm: int = -1
    """Characters that had been heard at the last of them."""
    actions: list[Action] = field(default_factory=list)
    """What is to be done once everything said was heard."""
    paused: bool = False
    """The agent is silent because the caller makes a sound."""
    failed: bool = False
    """The rest of it will not come: an apology is due."""
    text_first: float | None = None
    audio_first: float | None = None
    sent_first: float | None = None
    mark_first: float | None = None
    told_at: float | None = None
    """When what was heard of it so far was last kept."""

    def __post_init__(self) -> None:
        self.was_speculative = self.speculative
        self.heard_from_at = self.synthesized_at = self.audio_at = self.asked_at

    @property
    def answer(self) -> str:
        """What the agent said, without what covered its slowness."""
        return self.text[self.filler :]

    def greeted(self, heard: str, unheard: str) -> bool:
        """Tell whether it was the number's greeting, heard to its end, to which the agent has added nothing yet."""
        return self.text_first is None and bool(heard[self.filler :].strip()) and not unheard

    @property
    def gathers(self) -> GatherDigits | None:
        """What is to be gathered behind what it says."""
        return next((action for action in self.actions if isinstance(action, GatherDigits)), None)

    @property
    def records(self) -> RecordMessage | None:
        """The message that is to be taken behind what it says."""
        return next((action for action in self.actions if isinstance(action, RecordMessage)), None)

    @property
    def ends_call(self) -> bool:
        """Tell whether the agent wants to hang up, or to pass the caller on, behind what it said."""
        return any(isinstance(action, HangUp | Transfer | HandOff) for action in self.actions)

    @property
    def silent(self) -> bool:
        """Tell whether the agent has answered with nothing at all."""
        return not (self.text.strip() or self.actions or self.failed)

    @property
    def pausing(self) -> bool:
        """Tell whether there is text or an utterance that must not wait long for the agent's next piece."""
        return self.utterance is not None or bool(self.waiting.strip())

    def text_due(self, pause_s: float) -> float:
        """Return when an agent that sends nothing more has its unfinished sentence spoken."""
        return max(self.heard_from_at, self.synthesized_at) + pause_s

    def take_text(self, *, everything: bool) -> str:
        """Take out what can be spoken now: whole sentences, or all that waits."""
        if everything:
            ready, self.waiting = self.waiting, ""
        else:
            ready, self.waiting = take_sentences(self.waiting)
        return ready
