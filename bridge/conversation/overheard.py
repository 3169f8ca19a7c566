"""Two people talk, and the bridge listens: what both recognisers tell becomes the journal of their call.

Nothing is said and nobody is asked, so there is no floor to be given. What is left to decide is when a turn is over
that nobody ends, when the call is, and what both are called in its record.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from msgspec import Struct

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.conversation.actions import Action, Note, Set
from bridge.conversation.caller import CallerTurn
from bridge.conversation.journal import Party
from bridge.conversation.outage import Outage
from bridge.conversation.recording import Recording, State


@dataclass(frozen=True, slots=True)
class ListenPolicy:
    """The rules of one such call. Times are in seconds."""

    to: str = ""
    """Whom the caller is connected with: number, address or conference."""
    ended: str = "caller"
    """Why the call is over when the carrier does not say more: `caller`, or `over` where it began elsewhere."""
    outage_s: float = 20.0
    """How long a turn waits for a speech-to-text service that broke off: as long as adapters keep the audio."""
    turn_stall_s: float = 15.0
    """A turn of which nothing was heard for this long is ended by us."""
    max_call_s: float = 4 * 3600.0
    """No call is listened to for longer."""
    reattach_s: float = 10.0
    """How long a stream that broke may take to come back."""
    drain_s: float = 10.0
    """Longest wait for the last words after the end."""
    recording: Literal["on", "paused", "off"] = "on"
    """Whether the call's sound is recorded: `paused` begins without, until an operator resumes it."""


class PartyJoined(Struct, frozen=True):
    """Sound of this side came for the first time, and its speech-to-text session is open."""

    party: Party


class PartyTold(Struct, frozen=True):
    """The speech-to-text session of one side told something."""

    party: Party
    event: on.RecognizerEvent


Happening: TypeAlias = (
    on.StreamStarted
    | on.StreamLost
    | on.StreamStopped
    | on.TransferEnded
    | on.DeadlineReached
    | on.OperatorActed
    | PartyJoined
    | PartyTold
)
Order: TypeAlias = (
    do.Record | do.PauseRecording | do.ResumeRecording | do.LeaveCall | do.FinishRecognizer | do.Close
)
"""`FinishRecognizer` is about all sessions that are open."""


@dataclass(slots=True)
class _Side:
    """One of the two, as their session tells of them."""

    turn: CallerTurn
    outage: Outage
    closed: bool = False


class Overheard:
    """One call between two people, driven by both recognisers, the carrier and the clock.

    `handle` and `deadline` are as those of `Conversation`: while the call lasts there always is a deadline, and the
    same events at the same times give the same commands.
    """

    def __init__(self, policy: ListenPolicy) -> None:
        self._policy = policy
        self._state: Literal["waiting", "live", "broken", "draining", "over"] = "waiting"
        self._sides: dict[Party, _Side] = {}
        self._now = self._began = self._until = 0.0
        self._reason = ""
        self._dialled = ""
        self._recording = Recording(policy.recording)
        self._out: list[Order] = []

    def handle(self, event: Happening, now: float) -> list[Order]:
        """Take what happened and return what is to be done, in order."""
        self._now = max(now, self._now)
        if self._state != "over":
            self._take(event)
            while self._settle():
                pass
        orders, self._out = self._out, []
        return orders

    @property
    def deadline(self) -> float | None:
        """When `DeadlineReached` is due; None before the stream started and after the end."""
        if self._state in {"waiting", "over"}:
            return None
        return max(min(self._moments()), self._now)

    @property
    def ending(self) -> bool:
        """Tell whether no stream can carry the call any more."""
        return self._state in {"draining", "over"}

    @property
    def recording(self) -> State:
        """Whether the call's sound is recorded now."""
        return self._recording.state

    # --- events --------------------------------------------------------------------------------------------

    def _take(self, event: Happening) -> None:
        match event:
            case PartyJoined(party):
                self._side(party)
            case PartyTold(party, told):
                self._take_told(party, self._side(party), told)
            case on.TransferEnded(status, duration_s) if not self._dialled:
                self._dialled = status
                self._record(journal.TransferTried(self._ms(), self._policy.to, status, duration_s=duration_s))
            case on.StreamStarted() | on.StreamLost() | on.StreamStopped():
                self._take_stream(event)
            case on.OperatorActed(actions):
                self._take_acts(actions)
            case _:
                pass  # A second callback changes nothing, and the clock is looked at anyway.

    def _take_acts(self, actions: tuple[Action, ...]) -> None:
        """Nothing can be said to the two: something may be noted, and the recording paused, or go on."""
        for action in actions:
            match action:
                case Note(data):
                    self._record(journal.NoteTaken(self._ms(), data))
                case Set(recording=("on" | "paused") as state) if self._state != "waiting":
                    self._out += self._recording.want(state, self._ms())
                case _:
                    pass

    def _take_stream(self, event: on.StreamStarted | on.StreamLost | on.StreamStopped) -> None:
        match event:
            case on.StreamStarted() if self._state == "waiting":
                self._state, self._began = "live", self._now
                self._record(journal.CallOpened())
                self._out += self._recording.begin()
            case on.StreamStarted() if self._state == "broken":
                self._state = "live"
                self._record(journal.StreamResumed(self._ms()))
            case on.StreamLost() if self._state == "live":
                self._state, self._until = "broken", self._now + self._policy.reattach_s
                self._record(journal.StreamBroke(self._ms()))
            case on.StreamStopped(reason) if self._state in {"waiting", "live", "broken"}:
                self._began = self._now if self._state == "waiting" else self._began
                self._drain(self._ending(reason))
            case _:
                pass  # A stream that starts or stops twice changes nothing.

    def _ending(self, reason: str) -> str:
        """Name what ended the call: the carrier's `stop` has no reason, but how the dialling ended may tell."""
        if reason != "caller":
            return reason
        if not self._dialled:
            return self._policy.ended
        return "callee" if self._dialled in {"completed", "answered"} else "not_reached"

    def _take_told(self, party: Party, side: _Side, event: on.RecognizerEvent) -> None:
        match event:
            case on.RecognizerConnected(_, standby):
                side.outage.back(self._now, standby=standby)
            case on.RecognizerLost(code, message):
                self._record(journal.ProblemMet(self._ms(), "stt", code, f"{party}: {message}"))
                side.outage.lost(self._now)
            case on.RecognizerFailed(code, message):
                self._record(journal.ProblemMet(self._ms(), "stt", code, f"{party}: {message}"))
                side.outage.failed(self._now)
            case on.RecognizerClosed():
                side.closed = True
            case _:
                if side.outage.over(self._now, told=True):
                    side.turn.touched_at = self._now
                self._take_turn(party, side.turn, event)

    def _take_turn(self, party: Party, turn: CallerTurn, event: on.RecognizerEvent) -> None:
        match event:
            case on.TurnStarted():
                if turn.speaking:
                    self._close_turn(party, incomplete=True)  # The service forgot to end it.
                turn.begin(self._now)
            case on.TurnUpdated(transcript) | on.TurnEagerlyEnded(transcript) | on.TurnEnded(transcript):
                if turn.repeats(transcript, self._now, end=isinstance(event, on.TurnEnded)):
                    return
                if not turn.speaking:
                    late = turn.given_up or ""
                    turn.begin(self._now, known=late if transcript.startswith(late) else "")
                turn.hear(transcript, self._now)
                if isinstance(event, on.TurnEnded):
                    self._close_turn(party, incomplete=False)
            case on.TurnResumed():
                turn.touched_at = self._now
            case _:
                pass

    # --- the clock -----------------------------------------------------------------------------------------

    def _settle(self) -> bool:
        """Do the first thing that is due. False: nothing is."""
        match self._state:
            case "live":
                return self._call_too_long() or any(self._turn_too_long(party) for party in self._sides)
            case "broken" if self._now >= self._until:
                self._drain("lost")
                return True
            case "draining" if self._now >= self._until or all(side.closed for side in self._sides.values()):
                self._end()
                return True
            case _:
                return False

    def _call_too_long(self) -> bool:
        if self._now < self._began + self._policy.max_call_s:
            return False
        self._out.append(do.LeaveCall("limit"))
        self._drain("limit")
        return True

    def _turn_too_long(self, party: Party) -> bool:
        """End a turn whose end is not told: the service is away for too long, or has forgotten it."""
        side = self._sides[party]
        if side.outage.over(self._now, told=False):
            side.turn.touched_at = self._now
        due, degraded = self._turn_due(side)
        if due is None or self._now < due:
            return False
        self._close_turn(party, incomplete=True, degraded=degraded)
        side.turn.given_up = side.turn.transcript
        return True

    def _turn_due(self, side: _Side) -> tuple[float | None, bool]:
        """When an open turn is to be ended by us, and whether an outage is the reason."""
        if not side.turn.speaking:
            return None, False
        if side.outage.since is not None:
            return side.outage.too_long_at(self._policy.outage_s), True
        return side.turn.touched_at + self._policy.turn_stall_s, False

    def _moments(self) -> list[float]:
        if self._state != "live":
            return [self._until]
        due = [self._began + self._policy.max_call_s]
        for side in self._sides.values():
            turn_due, _ = self._turn_due(side)
            due += [] if turn_due is None else [turn_due]
            if side.outage.since is not None and side.outage.steady_at is not None:
                due.append(side.outage.steady_at)
        return due

    # --- the record ----------------------------------------------------------------------------------------

    def _side(self, party: Party) -> _Side:
        if party not in self._sides:
            self._sides[party] = _Side(CallerTurn(), Outage())
        return self._sides[party]

    def _close_turn(self, party: Party, *, incomplete: bool, degraded: bool = False) -> None:
        side = self._sides[party]
        turn, standby = side.turn, side.outage.standby
        turn.speaking, turn.ended_at = False, self._now
        ended_ms = self._ms(turn.touched_at if incomplete else self._now)
        entry = journal.PartySpoke(
            party, turn.number, turn.transcript, self._ms(turn.started_at), ended_ms, incomplete, degraded, standby
        )
        self._record(entry)

    def _drain(self, reason: str) -> None:
        """Nobody is listened to any more: wait for the last words."""
        self._state, self._reason, self._until = "draining", reason, self._now + self._policy.drain_s
        self._out.append(do.FinishRecognizer())

    def _end(self) -> None:
        for party, side in self._sides.items():
            if side.turn.speaking:
                self._close_turn(party, incomplete=True)
        self._record(journal.CallClosed(self._ms(), self._reason))
        self._out.append(do.Close())
        self._state = "over"

    def _record(self, entry: journal.Entry) -> None:
        self._out.append(do.Record(entry))

    def _ms(self, moment: float | None = None) -> int:
        """Return the time of the call in milliseconds: now, or at `moment`."""
        return max(0, round(((self._now if moment is None else moment) - self._began) * 1000))
