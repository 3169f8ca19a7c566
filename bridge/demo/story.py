"""The call as it is told: from a conversation's events and commands to rows for people. Pure.

All moments are seconds of the event loop's clock; rows are given in seconds since the call began.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation import journal
from bridge.demo.heard import HeardSpeech
from bridge.demo.lines import Line

Tone: TypeAlias = Literal["said", "cut", "alarm", "time"]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the tale."""

    at_s: float
    """Since the call began."""
    who: Literal["caller", "agent", ""]
    """Who speaks; empty for a remark."""
    text: str
    aside: str = ""
    """Something to add in a low voice."""
    tone: Tone = "said"


@dataclass(slots=True)
class _Answer:
    """When the stages of an answer were reached."""

    turn_over: float | None = None
    text: float | None = None
    audio: float | None = None
    dropped: int = 0
    """Answers that were prepared too early for this turn, and thrown away unheard."""


class Story:
    """Follows one call and tells it, row by row, while it goes on."""

    def __init__(self, tell: Callable[[Row], None]) -> None:
        self.entries: list[journal.Entry] = []
        """The journal so far."""
        self.caller_words = ""
        """The caller's turn so far; empty between turns."""
        self.caller_speaks = False
        self._tell = tell
        self._speech = HeardSpeech()
        self._began = 0.0
        self._line: Line | None = None
        self._said_until: float | None = None
        self._answer = _Answer()
        self._shown = 0
        self._sounds_since: float | None = None

    # --- what happens --------------------------------------------------------------------------------------

    def step(self, now: float, event: on.Event, commands: Sequence[do.Command]) -> None:
        """Take one step of the conversation: an observer of the call."""
        match event:
            case on.TurnStarted():
                self.caller_speaks, self.caller_words = True, ""
            case on.TurnUpdated(transcript) | on.TurnEagerlyEnded(transcript):
                self.caller_speaks, self.caller_words = True, transcript
            case on.TurnEnded():
                self.caller_speaks, self.caller_words = False, ""
            case on.AgentActed():
                self._answer.text = self._answer.text or now
            case _:
                pass
        self._speech.happened(event)
        for command in commands:
            self._look_at(now, command)
            self._speech.done(now, command)

    def saying(self, line: Line) -> None:
        """The caller is about to say this."""
        self._line = line

    def said(self, until: float) -> None:
        """The caller's last word ended at this moment."""
        self._said_until = until

    def agent_heard(self, at: float) -> None:
        """The caller began to hear the agent at this moment. If it is an answer, its latencies are told."""
        until, answer = self._said_until, self._answer
        if until is None or answer.turn_over is None:
            return
        self._said_until, self._answer, self._sounds_since = None, _Answer(), at
        parts = [f"turn over after {answer.turn_over - until:.2f} s"]
        parts += [
            f"{what} {moment - answer.turn_over:+.2f} s"
            for what, moment in (("agent's text", answer.text), ("first audio", answer.audio))
            if moment is not None
        ]
        if answer.dropped:
            parts.append(f"{answer.dropped} too early, dropped unheard")
        self._row(at, "", f"{at - until:.2f} s of silence", ", ".join(parts), tone="time")

    # --- what there is to see ------------------------------------------------------------------------------

    def seconds(self, now: float) -> float:
        """How long the call has lasted."""
        return max(0.0, now - self._began) if self._began else 0.0

    def agent_words(self, now: float) -> str:
        """What has sounded of the agent's speech and no row has told yet."""
        return self._speech.heard(now)[self._shown :].strip()

    def agent_sounds(self, now: float) -> bool:
        """Whether the agent is to be heard."""
        return self._speech.sounding(now)

    # --- rows ----------------------------------------------------------------------------------------------

    def _row(
        self, at: float, who: Literal["caller", "agent", ""], text: str, aside: str = "", *, tone: Tone = "said"
    ) -> None:
        self._tell(Row(self.seconds(at), who, text, aside, tone))

    def _look_at(self, now: float, command: do.Command) -> None:
        match command:
            case do.AskAgent():
                self._answer.text = self._answer.audio = None
            case do.SendAudio():
                self._answer.audio = self._answer.audio or now
                if self._sounds_since is None:
                    self._sounds_since = now
            case do.LeaveCall(transfer=transfer) if transfer is not None:
                self._row(now, "", f"the caller is passed on to {transfer.to}", tone="alarm")
            case do.Record(entry):
                self.entries.append(entry)
                self._take(now, entry)
            case _:
                pass

    def _take(self, now: float, entry: journal.Entry) -> None:
        match entry:
            case journal.CallOpened():
                self._began = now
            case journal.CallerSpoke():
                self._take_turn(now, entry)
            case journal.AgentSpoke():
                self._take_reply(now, entry)
            case journal.AgentSilenced():
                self._show_so_far(now)
                self._row(now, "", "the caller makes a sound: the agent falls silent", tone="alarm")
            case journal.AgentResumed():
                self._row(now, "", "false alarm, no words: the agent speaks on where it stopped", tone="alarm")
                self._sounds_since = None
            case journal.SpeculationDropped():
                self._answer.dropped += 1
            case journal.NoteTaken(data=data):
                kept = ", ".join(f"{key.replace('_', ' ')} {_short(str(value))}" for key, value in data.items())
                self._row(now, "", f"the agent notes: {kept}", tone="time")
            case journal.ProblemMet(source=source, code=code, message=message):
                self._row(now, "", f"problem ({source}, {code}): {message}", tone="cut")
            case _:
                self._take_passing(now, entry)

    def _take_passing(self, now: float, entry: journal.Entry) -> None:
        match entry:
            case journal.KeyPressed(digit=digit):
                self._show_so_far(now)
                self._row(now, "caller", f"presses {digit}")
            case journal.TransferTried(to=to, status=status):
                self._row(now, "", f"the transfer to {to} has ended: {status}", tone="alarm")
            case _:
                pass

    def _take_turn(self, now: float, entry: journal.CallerSpoke) -> None:
        voice = self._line.voice if self._line is not None else ""
        at = self._began + entry.started_ms / 1000
        if entry.meaning == "empty":
            what = self._line.text if self._line is not None else "a sound"
            self._row(at, "caller", f"({what})", voice)
            return
        self._row(at, "caller", entry.transcript.strip(), voice)
        self._answer.turn_over = now

    def _take_reply(self, now: float, entry: journal.AgentSpoke) -> None:
        rest = entry.heard[self._shown :].strip()
        began = now if self._sounds_since is None else self._sounds_since
        if rest:
            self._row(began, "agent", f"... {rest}" if self._shown else rest)
        if entry.interrupted and entry.heard.strip():
            self._row(now, "", "barge-in: the caller has words, the agent gives way", tone="cut")
            self._row(now, "", f"not heard: {_short(entry.unheard.strip())}", tone="time")
        self._shown, self._sounds_since = 0, None

    def _show_so_far(self, now: float) -> None:
        """Tell what was heard of the reply up to now, because something else comes in between."""
        heard = self._speech.heard(now)
        if text := heard[self._shown :].strip():
            began = now if self._sounds_since is None else self._sounds_since
            self._row(began, "agent", f"... {text} ..." if self._shown else f"{text} ...")
            self._shown = len(heard)


def _short(text: str, most: int = 60) -> str:
    """The text, or its beginning: the whole of it is in the transcript."""
    return text if len(text) <= most else f"{text[:most].rsplit(' ', 1)[0]} ..."
