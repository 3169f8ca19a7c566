"""What an app of ConversationRelay says in one call, in order, until the bridge takes it. Pure; time is handed in.

An app writes whenever it likes, in talk cycles that end with `last`. The bridge takes what was written piece by
piece: as the answer to a prompt, or of the app's own accord. Here it is decided how a text may be interrupted,
what a cut-off talk cycle takes with it, and what the app may change in mid-call.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

import msgspec

from bridge.agents.relay import wire
from bridge.conversation.actions import Action, HandOff, Play, Say, SendDigits, Set, Tuning

Input: TypeAlias = Literal["any", "speech", "dtmf", "none"]
"""Which input of the caller something is about."""

QUIET_S = 0.7
"""An app that writes nothing for this long has paused: what it says after that is something new."""
BREAK_S = 0.3
"""Text that comes so long after the text before it, and after a prompt, does not go on with a cut-off cycle: no
model pauses in mid-sentence for so long, and no caller says something in less."""
MAX_CHARACTERS = 40_000
"""Text that may wait to be taken: more than half an hour of speech. What is beyond it is dropped."""
MAX_PIECES = 1000
"""The same for pieces."""
MAX_LOOPS = 1000

_BARGE_IN: Mapping[str, str | None] = {"any": None, "speech": "voice", "dtmf": "keys", "none": "never"}
"""`any` is the rule of the called number, which may want several words."""
_INPUTS: Mapping[str | bool, Input] = {
    "any": "any",
    "speech": "speech",
    "dtmf": "dtmf",
    "none": "none",
    "true": "any",
    "false": "none",
    True: "any",
    False: "none",
}


def barge_in(value: Input) -> str | None:
    """Return the bridge's rule for what may cut a text off; None: the rule of the called number."""
    return _BARGE_IN[value]


@dataclass(frozen=True, slots=True)
class Manners:
    """How the session is held, as the attributes of `<ConversationRelay>` have it. An app may change it."""

    interruptible: Input = "any"
    preemptible: bool = False
    report: Input = "none"
    """`reportInputDuringAgentSpeech`."""
    dtmf: bool = True
    """`dtmfDetection`."""
    partials: bool = False
    """`partialPrompts`."""

    def changed(self, changes: Mapping[str, Any]) -> Manners:
        """Return these with an app's `config`; what is not known, or makes no sense, changes nothing."""
        flags = {"preemptible": "preemptible", "dtmfDetection": "dtmf", "partialPrompts": "partials"}
        inputs = {"interruptible": "interruptible", "reportInputDuringAgentSpeech": "report"}
        new: dict[str, Any] = {}
        for name, value in changes.items():
            if not isinstance(value, str | bool):
                continue
            if name in flags and value in {True, False, "true", "false"}:
                new[flags[name]] = value in {True, "true"}
            elif name in inputs and value in _INPUTS:
                new[inputs[name]] = _INPUTS[value]
        return replace(self, **new)


@dataclass(frozen=True, slots=True)
class Piece:
    """One thing that the app wants done, in its order."""

    number: int
    """Counts what came from the app; rises."""
    cycle: int
    """The talk cycle it belongs to. A sound is one of its own, within or between those of texts."""
    action: Action | None
    """None: the talk cycle ends here."""


class AppTalk:
    """What came from an app and was not taken yet."""

    def __init__(self, manners: Manners = Manners(), *, language: str = "") -> None:
        """`language`: the tag that prompts are labelled with."""
        self.manners = manners
        self.language = language
        self.ending: HandOff | None = None
        """The app has ended its session: this is all that is left to do, however often it is not come to."""
        self.received = 0
        """Number of the last piece."""
        self.dropped = 0
        """Pieces that were too many to be kept."""
        self._waiting: deque[Piece] = deque()
        self._characters = 0
        self._cycle = 1
        self._within = False
        """Text of a talk cycle came, and not its last."""
        self._stale = False
        """What comes belongs to a talk cycle that the caller has cut off."""
        self._stale_at = 0.0
        self._prompted = False
        """The app was told something to answer since then."""
        self._streaming = False
        """Text came since the last prompt, and not the last of its cycle."""
        self._closes = False
        """The app has once ended what it streamed, so that it can be expected to do so again."""

    # --- from the app --------------------------------------------------------------------------------------

    def take(self, message: wire.FromApp, now: float) -> None:
        """Take a message of the app. After `end` there is nothing more to be said."""
        if self.ending is not None:
            return
        match message:
            case wire.Text():
                self._take_text(message, now)
            case wire.PlayMedia(source, loop, preemptible, interruptible):
                rule = self._rule(interruptible)
                sound = Play(source, min(loop, MAX_LOOPS), barge_in=rule, preemptible=preemptible)
                self._add(sound, apart=True)
            case wire.SendDigits(digits):
                self._add(SendDigits(digits))
            case wire.Language(tts, transcription):
                self.language = transcription or self.language
                tuning = Tuning(language=_subtag(transcription)) if transcription else None
                self._add(Set(language=_subtag(tts) if tts else None, tuning=tuning))
            case wire.Hints(words) if words:
                self._add(Set(tuning=Tuning(keyterms=words)))
            case wire.Config(changes):
                self.manners = self.manners.changed(changes)
            case wire.Interrupt():
                self._drop_speech()
            case wire.End(data):
                self.ending = HandOff(data or "")
                self._add(self.ending)
            case _:
                pass

    def _take_text(self, text: wire.Text, now: float) -> None:
        if self._stale and self._prompted and now - self._stale_at >= BREAK_S:
            self._begin_cycle()  # It gave the old one up without a `last`, and this is the answer to the prompt.
        if self._stale:
            self._stale_at = now
        elif text.token:
            preemptible = text.preemptible if isinstance(text.preemptible, bool) else self.manners.preemptible
            self._add(
                Say(
                    text.token,
                    language=_subtag(text.lang) if text.lang else None,
                    barge_in=self._rule(text.interruptible),
                    preemptible=preemptible,
                )
            )
        self._closes = self._closes or (text.last and self._streaming)
        self._within = self._streaming = not text.last
        if text.last:
            if not self._stale:
                self._add(None)
            self._begin_cycle()

    def _begin_cycle(self) -> None:
        self._stale = False
        self._cycle += 1

    def _rule(self, interruptible: wire.Flag) -> str | None:
        """Return what may cut a piece off that says this about it."""
        own = self.manners.interruptible
        if interruptible is False:
            return "never"
        if interruptible is True and own != "any":
            return "speech"
        return barge_in(own)

    def _add(self, action: Action | None, *, apart: bool = False) -> None:
        size = len(action.text) if isinstance(action, Say) else 0
        full = len(self._waiting) >= MAX_PIECES or self._characters + size > MAX_CHARACTERS
        if full and not isinstance(action, HandOff):
            self.dropped += 1
            return
        self.received += 1
        self._characters += size
        before = self._waiting[-1] if self._waiting else None
        if isinstance(action, Say) and before is not None and before.cycle == self._cycle:
            said = before.action
            if isinstance(said, Say) and msgspec.structs.replace(said, text=action.text) == action:
                joined = msgspec.structs.replace(said, text=said.text + action.text)
                self._waiting[-1] = Piece(self.received, self._cycle, joined)
                return
        self._waiting.append(Piece(self.received, -self.received if apart else self._cycle, action))

    # --- to the call ---------------------------------------------------------------------------------------

    def __bool__(self) -> bool:
        """Tell whether anything waits to be said or done. The bare end of a talk cycle is nothing to do."""
        return any(piece.action is not None for piece in self._waiting)

    def peek(self) -> Piece | None:
        """Return what comes next, and leave it there."""
        return self._waiting[0] if self._waiting else None

    def pop(self) -> Piece:
        """Take what comes next. There must be something."""
        piece = self._waiting.popleft()
        if isinstance(piece.action, Say):
            self._characters -= len(piece.action.text)
        return piece

    # --- from the call -------------------------------------------------------------------------------------

    def prompted(self) -> None:
        """The app was told something that it may answer."""
        self._prompted, self._streaming = True, False
        if self._stale and not self._closes:
            self._begin_cycle()  # It never ends what it streams: what comes now can only be the answer.

    def interrupted(self, now: float) -> None:
        """The caller has cut off what was being said: the rest of it is gone, and so is what else waits.

        So is text that still comes, up to the `last` of its talk cycle. An app that gives a cycle up without one is
        noticed by its break before the next; for one that never sends any, a cycle ends at the next prompt.
        """
        self._drop_speech()
        if self._within:
            self._stale, self._stale_at, self._prompted = True, now, False

    def reconnected(self) -> None:
        """The app's connection is a new one: nobody will go on with what was begun on the old one."""
        if self._within:
            self._add(None)
            self._within = self._streaming = False
            self._begin_cycle()

    def _drop_speech(self) -> None:
        """Drop what is to be heard; what changes the session, keys, and its end stay."""
        kept = [piece for piece in self._waiting if isinstance(piece.action, Set | SendDigits | HandOff)]
        self._waiting = deque(kept)
        self._characters = 0


def _subtag(tag: str | msgspec.UnsetType | None) -> str:
    """Return the language of a tag such as `es-ES`: speech services are told no regions."""
    return str(tag).partition("-")[0].partition("_")[0].lower()
