"""Whether the demo's call ran as it should, and what it came to. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from bridge.conversation.journal import (
    AgentResumed,
    AgentSpoke,
    CallClosed,
    CallerSpoke,
    Entry,
    NoteTaken,
    ProblemMet,
)
from bridge.demo.lines import COUGH, INTERRUPTION, TURNS
from bridge.simulator.report import Report


def missing(entries: Sequence[Entry], report: Report) -> list[str]:
    """What should have happened and did not, in words; empty when all went well."""
    found = turns(entries)
    problems = [
        f"{one.source} failed ({one.code}: {one.message})" for one in entries if isinstance(one, ProblemMet)
    ]
    checks = (
        (found >= len(TURNS), f"the caller had {found} turns instead of {len(TURNS)}"),
        (barge_ins(entries) >= 1, "the agent was not interrupted"),
        (_resumed(entries), "the agent did not speak on to its end after the false alarm"),
        (any(isinstance(one, NoteTaken) for one in entries), "the message was not noted"),
        (_said_goodbye(entries), "the agent's good-bye was not heard"),
        (report.outcome == "bridge_hung_up", f"it was not the agent who hung up ({report.outcome})"),
        (any(isinstance(one, CallClosed) for one in entries), "the call's record has no end"),
    )
    return problems + [sentence for held, sentence in checks if not held]


def turns(entries: Sequence[Entry]) -> int:
    """How many turns of the caller had words to answer."""
    return sum(isinstance(one, CallerSpoke) and one.meaning == "words" for one in entries)


def barge_ins(entries: Sequence[Entry]) -> int:
    """How often the caller cut the agent off after some of it had been heard, and before all of it had."""
    return sum(
        isinstance(one, AgentSpoke) and one.interrupted and bool(one.heard.strip()) and bool(one.unheard.strip())
        for one in entries
    )


def _resumed(entries: Sequence[Entry]) -> bool:
    """Whether a reply that was silenced by noise was then heard whole."""
    replies = {one.reply for one in entries if isinstance(one, AgentResumed)}
    return any(
        isinstance(one, AgentSpoke) and one.reply in replies and not one.interrupted and not one.unheard.strip()
        for one in entries
    )


def _said_goodbye(entries: Sequence[Entry]) -> bool:
    last = next((one for one in reversed(entries) if isinstance(one, AgentSpoke)), None)
    return last is not None and "good-bye" in last.heard.lower() and not last.unheard.strip()


def summary(entries: Sequence[Entry], report: Report) -> list[str]:
    """What the call came to, some lines for people."""
    cuts = {one.said: one.cut_ms for one in report.interruptions if one.cleared}
    answers = sorted(turn.response_ms for turn in report.turns if turn.response_ms is not None)
    lines = [f"{turns(entries)} turns of the caller, {report.seconds:.0f} s, {ended(report)}"]
    if INTERRUPTION.text in cuts:
        lines.append(f"barge-in: silence {cuts[INTERRUPTION.text]} ms after the caller's first sound")
    if COUGH.text in cuts:
        lines.append(f"false alarm: silence {cuts[COUGH.text]} ms after the cough began, then the rest was spoken")
    if answers:
        middle = answers[len(answers) // 2]
        lines.append(f"silence before an answer: {middle} ms in the middle, {answers[-1]} ms at most")
    return lines


def ended(report: Report) -> str:
    """How the call ended, in words."""
    endings = {"bridge_hung_up": "the agent hung up", "caller_hung_up": "the caller hung up"}
    return endings.get(report.outcome, report.outcome)
