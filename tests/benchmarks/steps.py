"""What one step of a call costs: `python -m tests.benchmarks.steps`.

A call of many turns is thought out once, in virtual time: a caller who speaks, listens and interrupts, an agent
whose text comes piece by piece, speech in chunks with the times of its words, marks of an independent phone. Its
events are then played to a session with all that looks at a step in a bridge: redacted record, metrics, live feed.
What is printed is the processor time of a step (each step's least over all rounds, so that other processes do not
count) and the number of function calls in it, Python's and C's, which is the same on every machine. The checksum is
that of the journal and the trace: a change that is to make things faster only must leave it alone.
"""

from __future__ import annotations

import asyncio
import gc
import hashlib
import logging
import sys
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import click
import structlog

from bridge.agents.base import Agent, CallInfo, Question
from bridge.call.meter import Meter
from bridge.call.session import Peers, Session
from bridge.conversation import commands as do
from bridge.conversation import events as on
from bridge.conversation.actions import Action, Say
from bridge.conversation.journal import Entry
from bridge.conversation.policy import Policy
from bridge.live.calls import LiveCall
from bridge.live.feed import Feed
from bridge.live.taps import Taps
from bridge.live.watch import Hide
from bridge.metrics import Metrics
from bridge.privacy.call import CallRedaction
from bridge.privacy.redactor import Redactor
from bridge.simulator.phone import PhoneTraits
from bridge.store.base import CallFiles, CallHeader, CallRecord, Store
from bridge.store.redacting import RedactingStore
from tests.call.peers import Recognizers, Voices
from tests.conversation.world import Habits, World

CHUNK_S = 0.25
"""Length of a piece of speech, which holds one word."""
PACE = 4.0
"""How many times faster than real time speech comes."""
FREQUENT = ("SpeechArrived", "WordsTimed", "MarkReturned", "TurnUpdated")
HEADER = CallHeader("c1", "CA1", "+15550100001", "+15550100002", "inbound", "2026-01-01T00:00:00Z", "webhook")


class _World(World):
    """Speech comes word by word, each with its time; marks come once."""

    def _marks(self) -> None:
        for mark in self.phone.advance(self.now):
            self._give(on.MarkReturned(mark.name))

    def _speak(self, piece: do.Synthesize) -> None:
        moment = max(self._pending_text.get(piece.utterance, 0.0), self.now + self.habits.speech_delay)
        begin_s = self._spoken_s.get(piece.utterance, 0.0)
        for text in piece.text.split():
            word = on.Word(text, begin_s, begin_s + CHUNK_S)
            audio = bytes([0x55]) * round(CHUNK_S * 8000)
            self.happen(on.SpeechArrived(piece.utterance, audio), after=moment - self.now)
            self.happen(on.WordsTimed(piece.utterance, (word,)), after=moment - self.now)
            begin_s += CHUNK_S
            moment += CHUNK_S / PACE
        if not piece.more:
            self.happen(on.SpeechFinished(piece.utterance), after=moment - self.now)
        self._pending_text[piece.utterance], self._spoken_s[piece.utterance] = moment, begin_s

    def __post_init__(self) -> None:
        self._spoken_s: dict[int, float] = {}
        super().__post_init__()


def script(turns: int) -> list[tuple[float, on.Event]]:
    """Return the steps of a call, each with its time. Every second answer is cut off after a second or two."""
    answer = tuple(
        Say(text)
        for text in (
            "We have number 4 and number 11 ",
            "in stock today, sir. ",
            "They cost twenty dollars each, and we are open ",
            "until six. ",
            "Shall I put one aside for you?",
        )
    )
    greeting = (Say("Hello, this is the shop. "), Say("How can I help you?"))
    habits = Habits(answers=(greeting, *[answer] * turns), answer_delay=0.3, piece_delay=0.1, speech_delay=0.1)
    world = _World(habits, Policy(), PhoneTraits(down_s=0.05, up_s=0.05))
    world.happen(on.StreamStarted())
    world.happen(on.RecognizerConnected())
    at = 4.0
    for turn in range(1, turns + 1):
        text = f" Question {turn}, what about the one in blue at five eleven Main Street?"
        world.happen(on.TurnStarted(), after=at)
        for part in range(1, 7):
            at += 0.2
            world.happen(on.TurnUpdated(text[: len(text) * part // 6]), after=at)
        if turn % 3 == 0:
            world.happen(on.TurnEagerlyEnded(text), after=at + 0.1)
        world.happen(on.TurnEnded(text), after=at + 0.3)
        at += 3.0 if turn % 2 else 8.0
    world.run_until(world.now + at)
    return [(moment, event) for moment, event, _ in world.steps]


# --- what stands around the session ------------------------------------------------------------------------------


class _Silent(Agent):
    """Its questions are never worked on: the answers are in the script."""

    async def ask(self, question: Question) -> AsyncIterator[Action]:
        await asyncio.Event().wait()
        yield Say("")

    async def close(self) -> None:
        pass


class _NoCarrier:
    """A media stream that leads nowhere."""

    def __getattr__(self, name: str) -> Any:
        return self._nothing

    def _nothing(self, *_: Any) -> None:
        pass


@dataclass
class _Record(CallRecord):
    """Keeps what is told of the call, as long as it is wanted."""

    lines: list[bytes] = field(default_factory=list)

    def append(self, entry: Entry) -> None:
        self.lines.append(repr(entry).encode())

    def trace(self, line: bytes) -> None:
        self.lines.append(line)

    def caller_audio(self, at_ms: int, audio: bytes) -> None:
        pass

    def callee_audio(self, at_ms: int, audio: bytes) -> None:
        pass

    def agent_audio(self, at_ms: float, audio: bytes) -> None:
        pass

    def agent_cleared(self, at_ms: float) -> None:
        pass

    def pause_audio(self, at_ms: float) -> None:
        pass

    def resume_audio(self, at_ms: float) -> None:
        pass

    async def settled(self) -> None:
        pass

    async def close(self) -> CallFiles:
        raise NotImplementedError


class _Records(Store):
    def __init__(self) -> None:
        self.record = _Record()

    def open(self, header: CallHeader) -> CallRecord:
        return self.record

    async def reopen(self, sid: str) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        pass


class _Ran:
    """A session with everything that looks at its steps, and a clock that stands where the script says."""

    def __init__(self) -> None:
        self.now = 0.0
        loop = asyncio.get_running_loop()
        loop.time = lambda: self.now  # type: ignore[method-assign]  # of this round's own loop
        self.store = _Records()
        redactor = Redactor()
        info = CallInfo("c1", "CA1", "+15550100001", "+15550100002")
        record = Taps(RedactingStore(self.store, redactor)).open(HEADER)
        peers = Peers(Recognizers(), Voices(), _Silent())
        self.session = Session(info, Policy(), peers, record, (Meter(Metrics(), info),))
        hide = Hide(entry=CallRedaction(redactor).entry, partial=redactor.log)
        self.session.watch(LiveCall(self.session, "webhook", Feed(), hide).look)
        self.session._carrier = _NoCarrier()  # type: ignore[assignment]
        self.session._began = 50.0

    def checksum(self) -> str:
        return hashlib.sha256(b"".join(self.store.record.lines)).hexdigest()[:16]


async def _timed(steps: list[tuple[float, on.Event]]) -> tuple[list[int], str]:
    """Return what each step took of the processor, in ns, and the checksum."""
    ran = _Ran()
    took = []
    clock, take = time.process_time_ns, ran.session.take
    gc.disable()
    for moment, event in steps:
        ran.now = moment
        began = clock()
        take(event)
        took.append(clock() - began)
    gc.enable()
    return took, ran.checksum()


async def _counted(steps: list[tuple[float, on.Event]]) -> list[tuple[int, int]]:
    """Return how many functions of Python, and of C, each step calls."""
    ran = _Ran()
    calls = {"call": 0, "c_call": 0}

    def count(_frame: Any, what: str, _arg: Any) -> None:
        if what in calls:
            calls[what] += 1

    counts = []
    for moment, event in steps:
        ran.now = moment
        calls["call"] = calls["c_call"] = 0
        sys.setprofile(count)
        ran.session.take(event)
        sys.setprofile(None)
        counts.append((calls["call"], calls["c_call"] - 1))
    return counts


def functions_per_step(turns: int) -> tuple[float, float]:
    """How many functions of Python, and of C, a step of such a call takes on average; the same every time."""
    steps = script(turns)
    asyncio.run(_counted(steps))  # what is only done once, such as the compilation of patterns, is done
    python, c = zip(*asyncio.run(_counted(steps)), strict=True)
    return sum(python) / len(steps), sum(c) / len(steps)


@click.command()
@click.option("--turns", type=click.IntRange(1), default=40, show_default=True, help="Turns of the call.")
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True, help="How often it is played.")
def main(turns: int, rounds: int) -> None:
    """Play a call of many turns, and print what a step costs, by the kind of its event."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.INFO))
    steps = script(turns)
    times = [asyncio.run(_timed(steps)) for _ in range(rounds)]
    least = [min(each) for each in zip(*(took for took, _ in times), strict=True)]
    counts = asyncio.run(_counted(steps))
    kinds: dict[str, list[tuple[int, int, int]]] = defaultdict(list)
    for (_, event), took, (python, c) in zip(steps, least, counts, strict=True):
        name = type(event).__name__
        for group in (name, "frequent" if name in FREQUENT else "others", "all"):
            kinds[group].append((took, python, c))
    click.echo(f"{'event':22} {'steps':>6} {'us/step':>9} {'python':>8} {'c':>8}   calls per step")
    for name, rows in sorted(kinds.items(), key=lambda item: -len(item[1])):
        took, python, c = (sum(column) / len(rows) for column in zip(*rows, strict=True))
        click.echo(f"{name:22} {len(rows):6} {took / 1000:9.1f} {python:8.1f} {c:8.1f}")
    click.echo(f"checksum {times[0][1]}")


if __name__ == "__main__":
    main()
