"""Eager ends, resumes and ends in every order: what the agent does is done once for each turn that was committed.

The speech service is scripted, so that every order comes about; the agent counts its requests and the
actions it asked for, and the journal and the carrier's documents tell which of them were carried out.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bridge.simulator.caller import SimulatedCall
from tests.scripted_speech import Peer, ScriptedSpeech
from tests.turn_taking.stage import Asked, Journal, Stage, show, stage

PAUSE_S = 0.15
"""Between two events: time enough for the agent to be asked."""


@dataclass(frozen=True)
class Case:
    """A turn's events behind `turn.start`, and what they say."""

    events: tuple[tuple[str, str], ...]
    slow: bool
    """The agent takes so long that it is still thinking when it is dropped."""
    barge_in: bool = False
    """The turn begins while the agent speaks."""

    def __str__(self) -> str:
        events = " ".join(f"{kind}({len(text.split())})" if text else kind for kind, text in self.events)
        return f"{'slow ' if self.slow else ''}{'barge-in ' if self.barge_in else ''}{events}"


ONE, TWO, THREE = " Book it", " Book it for Monday", " Book it for Monday at nine."
ORDERS: Sequence[Sequence[tuple[str, str]]] = [
    *itertools.permutations([("eager_end", ONE), ("resume", ""), ("end", ONE)]),  # half of them break the rules
    [("eager_end", ONE), ("end", ONE)],
    [("eager_end", " Book it."), ("end", " book it")],
    [("eager_end", ONE), ("end", TWO)],
    [("eager_end", ONE), ("update", TWO), ("end", TWO)],
    [("eager_end", ONE), ("resume", ""), ("update", TWO), ("end", TWO)],
    [("eager_end", ONE), ("resume", ""), ("eager_end", TWO), ("resume", ""), ("eager_end", THREE), ("end", THREE)],
    [("eager_end", ONE), ("resume", ""), ("eager_end", ONE), ("end", ONE)],
    [("eager_end", ONE), ("eager_end", TWO), ("end", TWO)],
    [("eager_end", ONE), ("eager_end", ONE), ("end", ONE)],
    [("resume", ""), ("resume", ""), ("eager_end", ONE), ("resume", ""), ("resume", ""), ("end", ONE)],
    [("eager_end", ONE), ("end", ONE), ("end", ONE)],
]
CASES = [
    *(Case(tuple(order), slow) for order in ORDERS for slow in (False, True)),
    *(Case(tuple(order), slow=False, barge_in=True) for order in ORDERS[:8]),
]
END = ("end", ONE)
"""Sent behind an order that leaves the turn open."""


@pytest.fixture
async def speech() -> AsyncIterator[ScriptedSpeech]:
    async with ScriptedSpeech().running() as service:
        yield service


class Agent:
    """Notes every question, and says so; thinks for a while where the case wants it."""

    def __init__(self, final: dict[str, Any] | None = None) -> None:
        self.slow: dict[str, asyncio.Event] = {}
        """Until when an agent thinks that is slow, by the call's sid."""
        self.greeting: dict[str, str] = {}
        self._numbers = itertools.count(1)
        self._final = final

    async def __call__(self, body: dict[str, Any]) -> dict[str, Any] | None:
        sid = body["call"]["sid"]
        if body["type"] != "turn.ended":
            return {"say": " ".join(f"long{number}" for number in range(40))} if sid in self.greeting else None
        if sid in self.slow:
            await self.slow[sid].wait()
        heard = body["turn"]["transcript"]
        note = {"type": "note", "data": {f"request{next(self._numbers)}": heard}}
        actions = [note, {"type": "say", "text": "Done."}]
        return {"actions": [*actions, *([self._final] if self._final else [])]}


async def listener_of(speech: ScriptedSpeech, opening: asyncio.Lock, call: SimulatedCall) -> Peer:
    """Place the call, and return its speech-to-text socket: calls are placed one at a time, so it is the newest."""
    async with opening:
        number = len(speech.stt)
        await call.place()
        return await speech.listener(number)


def thinking(there: Stage, call: SimulatedCall) -> list[str]:
    """Return what the agent is asked and still thinks about."""
    return [one.transcript for one in there.agent.turns(call) if not (one.cancelled or one.answered)]


def thinks_of_last(there: Stage, call: SimulatedCall, text: str) -> bool:
    """Tell whether there is one question left, and it is the one that ends with `text`."""
    left = thinking(there, call)
    return len(left) == 1 and plain(left[0]).endswith(plain(text))


async def came_about(there: Stage, check: Callable[[], bool]) -> None:
    """Wait until the agent knows what it is to be told, on a busy machine too. If it never does, it is judged."""
    with contextlib.suppress(TimeoutError):
        await there.agent.until(check)


async def turn_of(case: Case, there: Stage, agent: Agent, speech: ScriptedSpeech, opening: asyncio.Lock) -> Judged:
    call = SimulatedCall(there.line())
    if case.slow:
        agent.slow[call.call_sid] = asyncio.Event()
    if case.barge_in:
        agent.greeting[call.call_sid] = "yes"
    peer = await listener_of(speech, opening, call)
    try:
        if case.barge_in:
            began = await call.wait_agent_speaking(10)
            assert began is not None
            await call.pause(1.0)
        await peer.turn("start")
        await peer.turn("update", case.events[0][1] or ONE)
        events = [*case.events, *([] if case.events[-1][0] == "end" else [END])]
        for number, (kind, text) in enumerate(events):
            await peer.turn(kind, text if kind != "resume" else None)
            await call.pause(PAUSE_S)
            if case.slow and kind == "resume" and "end" not in dict(events[:number]):
                await came_about(there, lambda: not thinking(there, call))
        if case.slow:
            await came_about(there, lambda: thinks_of_last(there, call, events[-1][1]))
            agent.slow[call.call_sid].set()
        answered = call.now
        await call.wait_for_agent(8, silence_s=0.5, after=answered)
        await call.pause(0.5)
    finally:
        await call.hang_up()
    journal = await there.journal(call)
    assert call.problems == []
    return Judged(case, there.agent.turns(call), journal)


@dataclass(frozen=True)
class Judged:
    """What came of a case."""

    case: Case
    asked: list[Asked]
    journal: Journal

    @property
    def notes(self) -> list[str]:
        """What the notes that were carried out say that they answer, in order."""
        return [text for entry in self.journal.all("note_taken") for text in entry["data"].values()]

    @property
    def dropped(self) -> int:
        return len(self.journal.all("speculation_dropped"))

    def check(self) -> None:
        turns = [plain(turn["transcript"]) for turn in self.journal.turns]
        notes = [plain(text) for text in self.notes]
        assert not any(turn["incomplete"] for turn in self.journal.turns)
        # Who was asked and not used was told so, if there was still somebody to tell.
        cancelled = sum(one.cancelled for one in self.asked)
        assert cancelled + sum(one.answered for one in self.asked) == len(self.asked)
        if [kind for kind, _ in self.case.events].index("end") == len(self.case.events) - 1:
            assert len(turns) == 1, turns
            assert notes == turns, (notes, turns)
            # A question that is dropped at once may never reach the agent.
            assert 1 <= len(self.asked) <= self.dropped + 1, "every question but one was dropped, and counted"
            left = not self.case.slow or cancelled == len(self.asked) - 1
            assert left, "a dropped request was left to think on"
        else:
            # What comes behind an end, without a start, is another turn. If the answer to the first was not yet
            # heard, both are asked as one.
            joined = {" ".join(turns[begin:end]) for begin in range(3) for end in range(begin + 1, 4)}
            assert set(notes) <= joined, (notes, turns)
            assert notes and notes[-1].endswith(turns[-1]), (notes, turns)
            assert len(notes) <= len(turns), (notes, turns)


def plain(text: str) -> str:
    return text.lower().strip(" .")


@pytest.mark.timeout(90)
async def test_what_an_agent_does_is_done_once_for_each_committed_turn(
    speech: ScriptedSpeech, tmp_path: Path
) -> None:
    agent, opening = Agent(), asyncio.Lock()
    async with stage(tmp_path, speech.url, agent) as there:
        judged = await asyncio.gather(*(turn_of(case, there, agent, speech, opening) for case in CASES))
    wrong: list[str] = []
    for one in judged:
        try:
            one.check()
        except AssertionError as error:
            wrong.append(f"{one.case}: {str(error).splitlines()[0]} ({one.journal.folder})")
    asked, turns = sum(len(one.asked) for one in judged), sum(len(one.journal.turns) for one in judged)
    show(
        f"{len(judged)} orders: {asked} questions for {turns} committed turns, {sum(one.dropped for one in judged)}"
        f" dropped, {sum(asked.cancelled for one in judged for asked in one.asked)} of them by closing the"
        f" connection; notes carried out {sum(len(one.notes) for one in judged)}"
    )
    assert not wrong, "\n".join(wrong)


def asked_about(there: Stage, call: SimulatedCall, text: str) -> bool:
    return any(one.transcript == text for one in there.agent.turns(call))


@pytest.mark.parametrize(
    ("final", "mark"),
    [({"type": "hang_up"}, "<Hangup"), ({"type": "transfer", "to": "+15550100300"}, "+15550100300")],
    ids=["hang_up", "transfer"],
)
@pytest.mark.timeout(60)
async def test_a_call_is_not_left_before_the_turn_is_committed(
    speech: ScriptedSpeech, tmp_path: Path, final: dict[str, Any], mark: str
) -> None:
    agent = Agent(final)
    async with stage(tmp_path, speech.url, agent) as there:
        call = SimulatedCall(there.line())
        await call.place()
        peer = await speech.listener()
        await peer.turn("start")
        for text in (ONE, TWO):
            await peer.turn("eager_end", text)
            await there.agent.until(partial(asked_about, there, call, text))
            await call.pause(1.0)
            assert call.live, "the call was left while the caller may go on"
            assert not call.heard
            await peer.turn("resume")
        await peer.turn("eager_end", THREE)
        await call.pause(0.5)
        assert call.live
        await peer.turn("end", THREE)
        async with asyncio.timeout(10):
            assert await call.ended() in {"bridge_hung_up", "transferred"}
        journal = await there.journal(call)
    assert mark in call.twiml[1].text
    assert sum(mark in document.text for document in call.twiml) == 1
    assert [text for entry in journal.all("note_taken") for text in entry["data"].values()] == [THREE]
    assert len(there.agent.turns(call)) == 3
