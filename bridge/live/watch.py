"""One step of a call, told as events for people. Pure: what is kept of the call is decided elsewhere.

A watch is shown every step and says what there is to tell of it; it costs a look at the step's kind where that is
nothing. The words of a turn that goes on, and how far the agent's text has sounded, are told only where somebody
wants the fine grain.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

from msgspec import Struct

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import Transfer
from bridge.conversation.outlook import Floor, Saying
from bridge.conversation.overheard import Happening, PartyTold
from bridge.live.events import News

_Callers: TypeAlias = on.TurnStarted | on.TurnUpdated | on.TurnEagerlyEnded | PartyTold
_CALLERS: Final = (on.TurnStarted, on.TurnUpdated, on.TurnEagerlyEnded, PartyTold)
_SPEAKING: Final = (on.MarkReturned, on.AgentActed)
"""After these more may have been heard, or there may be more to be said."""
_OF_SOUND: Final = frozenset({on.SpeechArrived, on.WordsTimed})
"""Half of all steps: nothing of them is told to people, unless something is done about them."""


def _as_it_is(entry: journal.Entry) -> journal.Entry:
    return entry


class Hide(Struct, frozen=True):
    """Strikes out of one call's words what must not be seen."""

    entry: Callable[[journal.Entry], journal.Entry] = _as_it_is
    """Strikes it out of an entry of the journal; called with all of a call's, in order."""
    partial: Callable[[str], str] = str
    """Strikes out of a text that goes on what may be the beginning of it, too."""


class Look(Protocol):
    """What a watch sees of its call beside the steps; a `bridge.call.session.Session` has it."""

    @property
    def floor(self) -> Floor:
        """Who has the floor."""

    @property
    def saying(self) -> Saying | None:
        """What is being said to the caller."""


class Watch:
    """Tells of one call."""

    def __init__(self, call: str, facts: Mapping[str, Any], look: Look | None, hide: Hide) -> None:
        """`facts` is what `call.started` tells; `look` is None where two people talk and nobody else does."""
        self._call = call
        self._facts = facts
        self._look = look
        self._hide = hide
        self._began: float | None = None
        self._now_ms = 0
        self._floor: Floor | None = None
        self._told = ("", -1)
        """How far the open reply was told of: its text, and how much of it was heard."""
        self._answer_ms: int | None = None
        self._answered_turn = (0, 0)
        """The caller's last turn, and when it ended."""
        self._secret = False

    def step(
        self,
        now: float,
        event: on.Event | Happening,
        commands: Sequence[do.Command],
        *,
        secret: bool = False,
        fine: bool = True,
    ) -> list[News]:
        """Return what there is to tell of a step: what happened, and what was done about it.

        `secret`: what the caller says and presses in it is to be hidden. `fine`: every word is wanted.
        """
        self._began = now if self._began is None else self._began
        self._now_ms = round((now - self._began) * 1000)
        self._secret = secret
        if not commands and type(event) in _OF_SOUND:
            return self._standing([])
        told: list[News] = self._event(event, fine=fine) if isinstance(event, _CALLERS) else []
        speaks = False
        for command in commands:
            told += self._command(command)
            speaks = speaks or isinstance(command, do.SendAudio)
        if isinstance(event, on.DigitPressed) and not any(one.type == "key" for one in told):
            told.append(self._news("key", digit="", masked=True))
        if speaks or (fine and isinstance(event, _SPEAKING)):
            told += self._speaking(first=speaks, fine=fine)
        return self._standing(told)

    def _standing(self, told: list[News]) -> list[News]:
        """Add who has the floor, if that is another than before."""
        floor = self._floor if self._look is None else self._look.floor
        if floor is not None and floor != self._floor:
            self._floor = floor
            told.append(self._news("state", state=floor))
        return told

    def _event(self, event: _Callers, *, fine: bool) -> list[News]:
        if isinstance(event, PartyTold):
            return self._caller(event.event, event.party, fine=fine)
        return self._caller(event, "caller", fine=fine)

    def _command(self, command: do.Command) -> list[News]:
        match command:
            case do.Record(entry):
                return self._entry(self._hide.entry(entry))
            case do.AskAgent():
                return [self._thinking(command)]
            case do.CallOther(transfer):
                return [self._news("transfer", to=transfer.to, status="calling", warm=True)]
            case do.LeaveCall(transfer=Transfer() as transfer):
                warm = bool(command.conference)
                return [self._news("transfer", to=transfer.to, status="leaving", warm=warm)]
            case _:
                return []

    # --- the caller ----------------------------------------------------------------------------------------

    def _caller(self, event: on.RecognizerEvent, speaker: journal.Party, *, fine: bool) -> list[News]:
        if self._secret:
            return []
        match event:
            case on.TurnStarted():
                return [self._news("turn.started", speaker=speaker)]
            case on.TurnUpdated(text) | on.TurnEagerlyEnded(text) if fine:
                eager = isinstance(event, on.TurnEagerlyEnded)
                return [self._news("turn.words", speaker=speaker, text=self._hide.partial(text), eager=eager)]
            case _:
                return []

    # --- the agent -----------------------------------------------------------------------------------------

    def _thinking(self, ask: do.AskAgent) -> News:
        return self._news(
            "agent.thinking",
            reply=ask.reply,
            turn=ask.turn,
            occasion=ask.occasion,
            speculative=ask.speculative,
        )

    def _speaking(self, *, first: bool, fine: bool) -> list[News]:
        """Tell how much has been said and heard, if that is more than before."""
        if not fine and self._answer_ms is not None:
            return []
        saying = None if self._look is None else self._look.saying
        if saying is None:
            return []
        if first and self._answer_ms is None:
            turn, ended_ms = self._answered_turn
            self._answer_ms = self._now_ms - ended_ms if turn == saying.turn and turn else -1
        if (saying.text, saying.heard) == self._told:
            return []
        self._told = (saying.text, saying.heard)
        return [self._news("agent.speaking", **self.as_data(saying))]

    def as_data(self, saying: Saying) -> dict[str, Any]:
        """Return what is being said as people see it."""
        took = self._answer_ms
        return {
            "reply": saying.reply,
            "turn": saying.turn,
            "occasion": saying.occasion,
            "text": self._hide.partial(saying.text),
            "heard": self._hide.partial(saying.text[: saying.heard]),
            "answer_ms": took if took is not None and took >= 0 else None,
        }

    # --- the record ----------------------------------------------------------------------------------------

    def _entry(self, entry: journal.Entry) -> list[News]:
        match entry:
            case journal.CallOpened():
                return [self._news("call.started", **self._facts)]
            case journal.CallerSpoke() | journal.PartySpoke():
                return [self._turn_ended(entry)]
            case journal.AgentSpoke():
                return [self._spoke(entry)]
            case journal.AgentSilenced(_, turn, reply):
                return [self._news("agent.silenced", turn=turn, reply=reply)]
            case journal.AgentResumed(_, turn, reply):
                return [self._news("agent.resumed", turn=turn, reply=reply)]
            case journal.CallClosed(_, reason):
                return [self._news("call.ended", reason=reason)]
            case _:
                return self._incident(entry)

    def _incident(self, entry: journal.Entry) -> list[News]:
        match entry:
            case journal.KeyPressed(_, digit):
                hidden = not digit.isalnum() and digit not in "*#"
                return [self._news("key", digit="" if hidden else digit, masked=hidden)]
            case journal.MessageLeft(number, text):
                return [self._news("message", number=number, text=text)]
            case journal.NoteTaken(_, data):
                return [self._news("note", data=data)]
            case journal.TransferTried(_, to, status, warm, duration_s):
                return [self._news("transfer", to=to, status=status, warm=warm, duration_s=duration_s)]
            case journal.ProblemMet(_, source, code, message):
                return [self._news("problem", source=source, code=code, message=message)]
            case _:
                return self._change(entry)

    def _change(self, entry: journal.Entry) -> list[News]:
        match entry:
            case journal.RecordingPaused():
                return [self._news("recording", state="paused")]
            case journal.RecordingResumed():
                return [self._news("recording", state="on")]
            case journal.StreamBroke() if self._look is None:
                return [self._news("state", state="away")]
            case journal.StreamResumed() if self._look is None:
                return [self._news("state", state="listening")]
            case _:
                return []

    def _turn_ended(self, entry: journal.CallerSpoke | journal.PartySpoke) -> News:
        text = "" if self._secret else entry.transcript
        speaker: journal.Party = "caller"
        meaning: journal.Meaning = "words" if entry.transcript.strip() else "empty"
        if isinstance(entry, journal.PartySpoke):
            speaker = entry.party
        else:
            meaning = entry.meaning
            self._answered_turn = (entry.turn, entry.ended_ms)
        return self._news(
            "turn.ended",
            speaker=speaker,
            turn=entry.turn,
            text=text,
            meaning=meaning,
            started_ms=entry.started_ms,
            ended_ms=entry.ended_ms,
            incomplete=entry.incomplete,
            degraded=entry.degraded,
            masked=self._secret,
        )

    def _spoke(self, entry: journal.AgentSpoke) -> News:
        self._told, self._answer_ms = ("", -1), None
        turn, ended_ms = self._answered_turn
        since = ended_ms if turn == entry.turn and turn and entry.occasion == "turn.ended" else entry.asked_ms
        moments = {"text": entry.text_ms, "audio": entry.audio_ms, "sent": entry.sent_ms, "heard": entry.mark_ms}
        return self._news(
            "agent.spoke",
            reply=entry.reply,
            turn=entry.turn,
            occasion=entry.occasion,
            heard=entry.heard,
            unheard=entry.unheard,
            interrupted=entry.interrupted,
            speculative=entry.speculative,
            started_ms=entry.sent_ms if entry.sent_ms is not None else entry.asked_ms,
            ended_ms=entry.ended_ms,
            latencies={f"{name}_ms": None if ms is None else ms - since for name, ms in moments.items()},
        )

    def _news(self, kind: str, **data: Any) -> News:
        return News(kind, self._call, {"at_ms": self._now_ms, **data})
