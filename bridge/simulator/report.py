"""What a simulated call has shown: turns, latencies, interruptions and what went wrong. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from bridge.simulator.caller import SimulatedCall
from bridge.simulator.dialling import Transfer
from bridge.simulator.listening import EARLY_S, Listener
from bridge.simulator.phone import BYTES_PER_S
from bridge.simulator.record import Problem
from bridge.simulator.voice import Utterance


@dataclass(frozen=True, slots=True)
class Turn:
    """Something the caller said, and when the agent began to answer it. Call times in seconds."""

    said: str
    """Its label, such as the name of a file."""
    start_s: float
    """When the caller's voice began."""
    end_s: float
    """When the caller's voice ended."""
    answer_s: float | None
    """When the agent began to sound after it; None if it did not before the caller spoke again."""
    response_ms: int | None
    """From `end_s` to `answer_s`; below 0 for an agent that could not wait."""


@dataclass(frozen=True, slots=True)
class Interruption:
    """The caller spoke while the agent did."""

    said: str
    start_s: float
    """When the caller's voice began."""
    silent_s: float
    """When the agent fell silent."""
    cut_ms: int
    """From the one to the other."""
    cleared: bool
    """True if the bridge sent `clear`; False if the agent had just come to its end."""


@dataclass(frozen=True, slots=True)
class Report:
    """The result of a call."""

    call_sid: str
    outcome: str
    detail: str
    seconds: float
    """From the first stream's beginning to the end of the last."""
    heard_s: float
    """Sound of the agent, seconds."""
    turns: tuple[Turn, ...]
    interruptions: tuple[Interruption, ...]
    underruns: int
    """Gaps in the middle of the agent's speech."""
    underrun_ms: int
    """All of them together."""
    marks: int
    """That went back to the bridge."""
    marks_cleared: int
    """Of these, overtaken by a clear."""
    clears: int
    problems: tuple[Problem, ...]
    failures: tuple[str, ...] = field(default=())
    """Expectations that did not hold, one sentence each."""
    transfers: tuple[Transfer, ...] = field(default=())
    """How each `<Dial>` has gone."""

    @property
    def ok(self) -> bool:
        """Whether everything expected held and the bridge sent nothing that Twilio would refuse."""
        refused = [problem for problem in self.problems if problem.code != "not_acted"]
        return not self.failures and not refused and self.outcome != "failed"

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**asdict(self), "ok": self.ok}

    def __str__(self) -> str:
        """For people, some lines of text."""
        ending = f"{self.outcome} ({self.detail})" if self.detail else self.outcome
        lines = [f"call {self.call_sid}: {ending} after {self.seconds:.1f} s, {self.heard_s:.1f} s of agent heard"]
        lines += [_turn_line(number, turn) for number, turn in enumerate(self.turns, 1)]
        for one in self.interruptions:
            how = "cut" if one.cleared else "ended by itself"
            lines.append(f"  {one.said or 'speech'} at {one.start_s:.2f} s interrupts: {how} after {one.cut_ms} ms")
        lines += [f"  transfer to {one.to}: {one.status}" for one in self.transfers]
        lines.append(
            f"  marks {self.marks} ({self.marks_cleared} cleared), clears {self.clears},"
            f" under-runs {self.underruns} ({self.underrun_ms} ms)"
        )
        lines += [f"  problem {one.code}, {one.count}x: {one.text}" for one in self.problems]
        lines += [f"  FAILED {failure}" for failure in self.failures]
        return "\n".join(lines)


def make_report(call: SimulatedCall, failures: Sequence[str]) -> Report:
    """Measure a call that is over."""
    spoken = [one for one in call.said if not one.silent and one.speech_end_s is not None]
    marks = [mark for phone in call.phones for mark in phone.marks if mark.returned_s is not None]
    gaps = [gap for phone in call.phones for gap in phone.underruns]
    clears = [clearing.at_s for clearing in call.clears if clearing.dropped_bytes]
    return Report(
        call_sid=call.call_sid,
        outcome=call.outcome or "failed",
        detail=call.ending.detail if call.ending else "",
        seconds=round(call.now, 3),
        heard_s=round(sum(phone.sounded_bytes for phone in call.phones) / BYTES_PER_S, 3),
        turns=tuple(_turns(spoken, call.agent)),
        interruptions=tuple(_interruptions(spoken, call.agent, clears)),
        underruns=len(gaps),
        underrun_ms=_ms(sum(gap.seconds for gap in gaps)),
        marks=len(marks),
        marks_cleared=sum(not mark.heard for mark in marks),
        clears=len(call.clears),
        problems=tuple(call.problems),
        failures=tuple(failures),
        transfers=tuple(call.transfers),
    )


def _turns(spoken: Sequence[Utterance], agent: Listener) -> list[Turn]:
    turns = []
    for number, one in enumerate(spoken):
        start, end = one.speech_start_s or 0.0, one.speech_end_s or 0.0
        following = spoken[number + 1].speech_start_s if number + 1 < len(spoken) else None
        answer = agent.first_after(end - EARLY_S)
        if answer is not None and following is not None and answer >= following:
            answer = None
        response = None if answer is None else _ms(answer - end)
        turns.append(Turn(one.label, round(start, 3), round(end, 3), _rounded(answer), response))
    return turns


def _interruptions(spoken: Sequence[Utterance], agent: Listener, clears: Sequence[float]) -> list[Interruption]:
    found = []
    for one in spoken:
        start = one.speech_start_s or 0.0
        spurt = agent.at(start)
        if spurt is not None:
            cleared = any(start <= at <= spurt.end_s + agent.pause_s for at in clears)
            cut = _ms(max(0.0, spurt.end_s - start))
            found.append(Interruption(one.label, round(start, 3), round(spurt.end_s, 3), cut, cleared))
    return found


def _turn_line(number: int, turn: Turn) -> str:
    answer = "no answer" if turn.response_ms is None else f"answered after {turn.response_ms} ms"
    return f"  turn {number}: {turn.said or 'speech'} {turn.start_s:.2f}-{turn.end_s:.2f} s, {answer}"


def _ms(seconds: float) -> int:
    return round(seconds * 1000)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
