"""The demo with the sample flow: its parts, and the whole call as a user runs it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest

from bridge.agents.flow.agent import load_flow
from bridge.agents.flow.model import HoursStep, TransferStep
from bridge.conversation.journal import (
    AgentSpoke,
    CallClosed,
    CallerSpoke,
    DigitsGathered,
    Entry,
    NoteTaken,
    ProblemMet,
    TransferTried,
)
from bridge.demo import reception
from bridge.simulator.dialling import Transfer
from bridge.simulator.report import Report
from tests.demo.running import Demo

REPORT = Report(
    call_sid="CA1",
    outcome="transferred",
    detail="",
    seconds=50.0,
    heard_s=20.0,
    turns=(),
    interruptions=(),
    underruns=0,
    underrun_ms=0,
    marks=0,
    marks_cleared=0,
    clears=0,
    problems=(),
    transfers=(Transfer("+1", "completed"),),
)
ENTRIES: list[Entry] = [
    *(CallerSpoke(turn, " Yes.", turn, turn + 1) for turn in (1, 2, 3)),
    AgentSpoke(1, 1, "turn.ended", "For", " sales", interrupted=True, asked_ms=1, ended_ms=2),
    DigitsGathered(5, "421356", 6),
    NoteTaken(6, {"customer": "421356"}),
    TransferTried(7, "+1", "busy"),
    TransferTried(8, "+1", "completed"),
    CallClosed(9, "transfer"),
]


def test_the_reception_of_the_demo_is_the_sample_open_around_the_clock(tmp_path: Path) -> None:
    flow = load_flow(str(reception.always_open(tmp_path)))
    hours, transfer = flow.steps["are-we-open"], flow.steps["to-support"]
    assert isinstance(hours, HoursStep) and len(hours.hours.lines) == 1
    assert isinstance(transfer, TransferStep)
    assert (
        transfer.to.fill({name: text.source for name, text in flow.variables.items()}) == reception.SUPPORT_NUMBER
    )


def test_a_call_that_ran_as_it_should_lacks_nothing() -> None:
    assert reception.missing(ENTRIES, REPORT) == []
    assert reception.summary(ENTRIES, REPORT)[1] == "transfers: busy (+1), then completed (+1)"


@pytest.mark.parametrize(
    ("kind", "complaint"),
    [
        (CallerSpoke, "the caller had 0 turns instead of 3"),
        (AgentSpoke, "the menu was not interrupted"),
        (DigitsGathered, "the customer number was not gathered ()"),
        (NoteTaken, "the customer number was not noted"),
        (TransferTried, "the transfers ended otherwise: there was none"),
        (CallClosed, "the call's record has no end"),
    ],
)
def test_what_did_not_happen_is_told(kind: type[Any], complaint: str) -> None:
    assert reception.missing([one for one in ENTRIES if not isinstance(one, kind)], REPORT) == [complaint]


def test_faults_are_told() -> None:
    problem = cast("Entry", ProblemMet(1, "tts", "speech_server", "away"))
    found = reception.missing([*ENTRIES, problem], replace(REPORT, transfers=()))
    assert found == ["tts failed (speech_server: away)", "nobody was connected with the caller"]


@pytest.mark.timeout(300)
def test_the_whole_call(demos: Mapping[str, Demo]) -> None:
    demo = demos["flow"]
    code, shown, complaints = demo.ended()
    assert (code, complaints) == (0, ""), shown
    assert "The call ran as it should." in shown
    assert "caller  presses 2" in shown
    (journal,) = demo.folder.glob("*/*/journal.jsonl")
    entries = [json.loads(line) for line in journal.read_text().splitlines()[1:]]
    assert [one["status"] for one in entries if one["entry"] == "transfer_tried"] == ["busy", "completed"]
