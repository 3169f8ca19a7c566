"""How far ahead of the phone's clock the agent's audio should be sent: measured in virtual time.

The conversation that holds calls, with nothing changed but `Policy.lead_s`, speaks to the simulator's model of a
phone. Between them is a network with delay, jitter and stalls; the bridge itself stalls, too, and the speech comes
at the uneven pace of a service. A larger lead bridges longer stalls; what it costs is the audio that was sent in
vain when the caller cuts in. The same seed gives the same weather for every lead, and the same table every time.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Final

from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.actions import Say
from bridge.conversation.machine import Conversation
from bridge.conversation.policy import Policy
from bridge.simulator.phone import BYTES_PER_S, Phone

LEADS_S: Final = (0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 10.0)
NO_LIMIT_S: Final = 600.0
"""A lead at which everything is sent as it comes. What runs dry then is the service's fault, whatever the lead."""
STALLS_MS: Final = (100, 250, 500, 1000, 2000)
"""How long the bridge or the network stands still, one column of the table each."""

SPEECH_S: Final = 15.0
"""Length of one utterance."""
_STALL_EVERY_S: Final = 10.0
"""On average, by chance; one half of the stalls are the bridge's, the other half the network's."""
_DELAY_S: Final = 0.04
_JITTER_S: Final = 0.06
"""The network's delay each way, and what chance adds to it at most. Messages never overtake each other."""
_PACES: Final = (1.2, 5.0)
"""The speech of an utterance comes this many times faster than it sounds."""
_SERVICE_STALL_EVERY_S: Final = 5.0
_SERVICE_STALLS_S: Final = (0.1, 0.6)
_CHUNK_BYTES: Final = 1200
_LONGEST_S: Final = 10 * SPEECH_S


@dataclass(frozen=True, slots=True)
class PacingOptions:
    """What to measure."""

    leads_s: tuple[float, ...] = (*LEADS_S, NO_LIMIT_S)
    stalls_ms: tuple[int, ...] = STALLS_MS
    minutes: float = 10.0
    """Minutes of speech for each lead and length of stall."""
    seed: int = 1


@dataclass(frozen=True, slots=True)
class LeadFigures:
    """What one lead does."""

    lead_s: float
    underruns: Mapping[int, float]
    """By length of stall in ms: how often per minute of speech the phone ran dry inside an utterance."""
    silence_s: Mapping[int, float]
    """The same, in seconds of silence per minute of speech."""
    wasted_bytes: float
    """Audio sent in vain at a barge-in, on average."""
    most_wasted_bytes: int


def measure(options: PacingOptions) -> Iterator[LeadFigures]:
    """Measure one lead after the other."""
    runs = max(1, round(options.minutes * 60 / SPEECH_S))
    for lead in options.leads_s:
        underruns, silence = {}, {}
        for stall in options.stalls_ms:
            gaps = [gap for run in range(runs) for gap in _Line(lead, _Weather(options.seed, run, stall)).gaps()]
            minutes = runs * SPEECH_S / 60
            underruns[stall] = len(gaps) / minutes
            silence[stall] = sum(gaps) / minutes
        wasted = [_Line(lead, _Weather(options.seed, run, 0)).wasted() for run in range(runs)]
        yield LeadFigures(lead, underruns, silence, sum(wasted) / runs, max(wasted))


def table(rows: Iterable[LeadFigures], options: PacingOptions) -> str:
    """The figures as lines for people."""
    columns = "".join(f"{stall:>13} ms" for stall in options.stalls_ms)
    lines = [
        f"Under-runs per minute of speech (and seconds of silence), {options.minutes:g} minutes each, by the",
        "length of the stalls; and kilobytes sent in vain at a barge-in, on average and at most.",
        f"{'lead':>8}{columns}{'wasted':>8}{'most':>8} kB",
    ]
    for row in rows:
        name = "no limit" if row.lead_s >= NO_LIMIT_S else f"{row.lead_s:g} s"
        cells = "".join(
            f"{row.underruns[stall]:7.2f} {f'({row.silence_s[stall]:.2f})':>8}" for stall in options.stalls_ms
        )
        lines.append(f"{name:>8}{cells}{row.wasted_bytes / 1000:8.1f}{row.most_wasted_bytes / 1000:8.1f}")
    return "\n".join(lines)


def as_json(rows: Iterable[LeadFigures], options: PacingOptions) -> dict[str, Any]:
    """The same as JSON; stalls in ms, keyed as text."""
    return {"options": asdict(options), "leads": [asdict(row) for row in rows]}


class _Weather:
    """What chance brings to one run, the same for every lead."""

    def __init__(self, seed: int, run: int, stall_ms: int) -> None:
        chance = random.Random(f"{seed} {run}")  # noqa: S311  It stands for a network, and guards nothing.
        self.cut_s = chance.uniform(1.0, SPEECH_S - 1.0)
        self.chunks = [*_chunks(chance)]
        """When the service sends how many bytes, in seconds after it was asked."""
        self._bridge: list[tuple[float, float]] = []
        self._network: list[tuple[float, float]] = []
        at = chance.expovariate(1 / _STALL_EVERY_S)
        while stall_ms and at < _LONGEST_S:
            chance.choice((self._bridge, self._network)).append((at, at + stall_ms / 1000))
            at += stall_ms / 1000 + chance.expovariate(1 / _STALL_EVERY_S)
        self._jitter = chance

    def handled(self, at: float) -> float:
        """When the bridge comes to what happens at `at`."""
        return _after(self._bridge, at)

    def arrives(self, sent: float, last: float) -> float:
        """When the network delivers what was sent at `sent`; what went before it was delivered at `last`."""
        return max(last, _after(self._network, sent + _DELAY_S + self._jitter.uniform(0.0, _JITTER_S)))


class _Line:
    """One call in virtual time: conversation, network, phone, and a service that speaks one utterance."""

    def __init__(self, lead_s: float, weather: _Weather) -> None:
        self._weather = weather
        self._talk = Conversation(Policy(lead_s=lead_s, silence_s=_LONGEST_S))
        self._phone = Phone()
        self._ahead: list[tuple[float, int, on.Event | do.Command]] = []
        self._count = 0
        self._now = self._rang = self._down = self._up = 0.0
        self._speaking = False

    def gaps(self) -> list[float]:
        """Let the utterance be spoken to its end; returns the silences inside it, in seconds."""
        self._run()
        return [gap.seconds for gap in self._phone.gaps]

    def wasted(self) -> int:
        """Let the caller cut in; returns how many bytes the phone then throws away."""
        self._plan(self._weather.cut_s, on.TurnStarted())
        self._run()
        return sum(clearing.dropped_bytes for clearing in self._phone.clears)

    def _run(self) -> None:
        self._plan(0.0, on.StreamStarted())
        while not self._done() and self._step():
            pass

    def _done(self) -> bool:
        return self._phone.sounded_bytes >= round(SPEECH_S * BYTES_PER_S) or bool(self._phone.clears)

    def _step(self) -> bool:
        """Go on to what happens next. False: nothing does, or it takes too long."""
        ahead = self._ahead[0][0] if self._ahead else _LONGEST_S
        due = self._phone.due_s
        # A deadline that is due already rings a moment later, as a timer does.
        deadline = max(self._weather.handled(self._talk.deadline or _LONGEST_S), self._rang + 0.001)
        self._now = max(self._now, min(ahead, deadline, _LONGEST_S if due is None else due))
        if due is not None and due <= self._now:
            self._return_marks()
        elif self._ahead and ahead <= self._now:
            self._happen(heapq.heappop(self._ahead)[2])
        else:
            self._rang = self._now
            self._hand_in(on.DeadlineReached())
        return self._now < _LONGEST_S

    def _happen(self, what: on.Event | do.Command) -> None:
        match what:
            case do.SendAudio(_, audio):
                self._phone.media(self._now, audio)
            case do.SendMark(name):
                self._phone.mark(self._now, name)
            case do.ClearPlayout():
                self._phone.clear(self._now)
            case _ if (later := self._weather.handled(self._now)) > self._now:
                self._plan(later, what)
            case _:
                self._hand_in(what)  # type: ignore[arg-type]  # commands other than those above are never planned

    def _hand_in(self, event: on.Event) -> None:
        for command in self._talk.handle(event, self._now):
            match command:
                case do.SendAudio() | do.SendMark() | do.ClearPlayout():
                    self._down = self._weather.arrives(self._now, self._down)
                    self._plan(self._down, command)
                case do.AskAgent(reply=reply):
                    self._plan(self._now, on.AgentActed(reply, Say("And " * 40 + "so on.")))
                    self._plan(self._now, on.AgentFinished(reply))
                case do.Synthesize(utterance=utterance) if not self._speaking:
                    self._speaking = True
                    for after, size in self._weather.chunks:
                        self._plan(self._now + after, on.SpeechArrived(utterance, b"a" * size))
                    self._plan(self._now + self._weather.chunks[-1][0], on.SpeechFinished(utterance))
                case _:
                    pass  # Only what concerns the playout.

    def _return_marks(self) -> None:
        for mark in self._phone.advance(self._now):
            self._up = self._weather.arrives(self._now, self._up)
            self._plan(self._up, on.MarkReturned(mark.name))

    def _plan(self, at: float, what: on.Event | do.Command) -> None:
        self._count += 1  # What is planned for one moment happens in this order.
        heapq.heappush(self._ahead, (at, self._count, what))


def _chunks(chance: random.Random) -> Iterator[tuple[float, int]]:
    pace, at, left = chance.uniform(*_PACES), 0.2, round(SPEECH_S * BYTES_PER_S)
    stall = at + chance.expovariate(1 / _SERVICE_STALL_EVERY_S)
    while left:
        if at >= stall:
            at += chance.uniform(*_SERVICE_STALLS_S)
            stall = at + chance.expovariate(1 / _SERVICE_STALL_EVERY_S)
        size = min(left, _CHUNK_BYTES)
        left -= size
        yield at, size
        at += size / BYTES_PER_S / pace


def _after(stalls: list[tuple[float, float]], at: float) -> float:
    """`at`, or the end of the stall that it falls into."""
    return next((end for begin, end in stalls if begin <= at < end), at)
