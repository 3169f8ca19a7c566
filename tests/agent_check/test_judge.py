"""Answers and what is said about them."""

from __future__ import annotations

import pytest

from bridge.agent_check.findings import Finding, Report, lines
from bridge.agent_check.judge import judge, well
from bridge.agent_check.probe import Answer
from bridge.conversation.actions import HangUp, Say


def answer(*texts: str) -> Answer:
    return Answer(200, "text/plain", body="".join(texts).encode(), pieces=[Say(text) for text in texts])


@pytest.mark.parametrize(
    "text", ["**Hours**", "<speak>Hello</speak>", "# Hours", "See [here](http://x)", "Hours:\n- nine", "```x```"]
)
def test_marks_that_are_made_for_eyes(text: str) -> None:
    (finding,) = judge("turn", answer(text))
    assert (finding.status, "made for eyes" in finding.message) == ("warning", True)


@pytest.mark.parametrize(
    "text", ["It costs 5 < 7 dollars.", "Nine-to-five, that's us!", "Gate #3", "2 * 3 is 6", "a - b", "x > y < z"]
)
def test_plain_sentences_are_fine(text: str) -> None:
    assert judge("turn", answer(text)) == []


def test_sentences_that_run_into_each_other() -> None:
    (finding,) = judge("turn", answer("We are open.", "Come in."))
    assert "“We are open.Come in.”" in finding.message
    assert judge("turn", answer("We are open.", " Come in.")) == []
    assert judge("turn", answer("It is 3.", "5 miles")) == []


def test_what_is_well_shows_what_came() -> None:
    reply = answer("Good-bye.")
    reply.pieces.append(HangUp())
    assert well("turn", reply).message == "“Good-bye.” · HangUp"
    assert well("turn", Answer(204)).message == "status 204, nothing to say"


FINDINGS = (
    Finding("turn", "ok", "“Hello.”", first_ms=12, whole_ms=300),
    Finding("digits", "failed", "it answered with status 500", "see its log", whole_ms=4),
    Finding("signatures", "skipped", "not looked at"),
)


def test_a_report_as_json() -> None:
    assert Report("http://x/", FINDINGS).as_dict() == {
        "url": "http://x/",
        "ok": False,
        "counts": {"ok": 1, "warning": 0, "failed": 1, "skipped": 1},
        "findings": [
            {"check": "turn", "status": "ok", "message": "“Hello.”", "first_ms": 12, "whole_ms": 300},
            {
                "check": "digits",
                "status": "failed",
                "message": "it answered with status 500",
                "remedy": "see its log",
                "whole_ms": 4,
            },
            {"check": "signatures", "status": "skipped", "message": "not looked at"},
        ],
    }


def test_a_report_in_a_sentence() -> None:
    warning = Finding("turn", "warning", "slow", "be quick")
    assert Report("", FINDINGS).summary() == "1 thing to mend. Callers will notice."
    assert Report("", (warning, warning)).summary() == "2 warnings. It can take calls."
    assert Report("", (FINDINGS[1], warning)).summary() == "1 thing to mend and 1 warning. Callers will notice."
    assert Report("", (warning,)).ok
    assert not Report("", FINDINGS).ok


def test_a_finding_as_lines() -> None:
    assert lines(FINDINGS[0], width=10) == [
        "ok       turn        “Hello.”  (first piece after 12 ms, 300 ms in all)"
    ]
    assert lines(FINDINGS[1], width=10) == [
        "failed   digits      it answered with status 500",
        "                     → see its log",
    ]
