from __future__ import annotations

import dataclasses

import pytest

from bridge.conversation.journal import (
    AgentResumed,
    AgentSpoke,
    CallClosed,
    CallerSpoke,
    Entry,
    NoteTaken,
    ProblemMet,
)
from bridge.demo import verdict
from bridge.demo.lines import COUGH, INTERRUPTION, TURNS
from bridge.simulator.report import Interruption, Report, Turn


def reply(number: int, heard: str, unheard: str = "", *, interrupted: bool = False) -> AgentSpoke:
    return AgentSpoke(number, 1, "turn.ended", heard, unheard, interrupted, asked_ms=0, ended_ms=0)


ENTRIES: tuple[Entry, ...] = (
    CallerSpoke(1, "", 0, 0, meaning="empty"),
    AgentResumed(0, 1, 1),
    reply(1, "Hello."),
    *(CallerSpoke(number, line.text, 0, 0) for number, line in enumerate(TURNS, 2)),
    reply(2, "We are", " open.", interrupted=True),
    NoteTaken(0, {"message": "x"}),
    reply(3, "Good-bye."),
    CallClosed(0, "agent"),
)
REPORT = Report(
    call_sid="CA1",
    outcome="bridge_hung_up",
    detail="",
    seconds=70.2,
    heard_s=40,
    turns=tuple(Turn("", 0, 0, 0, response) for response in (900, 1100, 700)),
    interruptions=(
        Interruption(COUGH.text, 0, 0, cut_ms=230, cleared=True),
        Interruption(INTERRUPTION.text, 0, 0, cut_ms=150, cleared=True),
    ),
    underruns=0,
    underrun_ms=0,
    marks=0,
    marks_cleared=0,
    clears=2,
    problems=(),
)


def test_a_call_that_ran_as_it_should() -> None:
    assert verdict.missing(ENTRIES, REPORT) == []
    assert verdict.summary(ENTRIES, REPORT) == [
        "6 turns of the caller, 70 s, the agent hung up",
        "barge-in: silence 150 ms after the caller's first sound",
        "false alarm: silence 230 ms after the cough began, then the rest was spoken",
        "silence before an answer: 900 ms in the middle, 1100 ms at most",
    ]


@pytest.mark.parametrize(
    ("without", "sentence"),
    [
        (CallerSpoke, "the caller had 0 turns instead of 6"),
        (AgentResumed, "the agent did not speak on to its end after the false alarm"),
        (NoteTaken, "the message was not noted"),
        (CallClosed, "the call's record has no end"),
    ],
)
def test_what_is_missing_is_told(without: type[Entry], sentence: str) -> None:
    assert verdict.missing([one for one in ENTRIES if not isinstance(one, without)], REPORT) == [sentence]


def test_a_reply_that_was_cut_after_all_of_it_was_heard_is_no_barge_in() -> None:
    entries = [one for one in ENTRIES if not (isinstance(one, AgentSpoke) and one.interrupted)]
    assert verdict.missing(entries, REPORT) == ["the agent was not interrupted"]
    assert verdict.barge_ins([reply(1, "All of it.", interrupted=True)]) == 0


def test_a_resumed_reply_must_be_heard_to_its_end() -> None:
    entries = [reply(1, "Hello.", " Rest.") if one == reply(1, "Hello.") else one for one in ENTRIES]
    assert verdict.missing(entries, REPORT) == ["the agent did not speak on to its end after the false alarm"]


def test_a_goodbye_must_be_the_last_that_was_heard() -> None:
    assert verdict.missing([*ENTRIES, reply(4, "Hello?")], REPORT) == ["the agent's good-bye was not heard"]


def test_who_hung_up_counts_and_problems_come_first() -> None:
    report = dataclasses.replace(REPORT, outcome="caller_hung_up")
    found = verdict.missing([*ENTRIES, ProblemMet(0, "stt", "speech_server", "gone")], report)
    assert found == ["stt failed (speech_server: gone)", "it was not the agent who hung up (caller_hung_up)"]
