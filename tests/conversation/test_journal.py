"""The journal: entries as JSON, and the transcript that is folded from them."""

from __future__ import annotations

import json

import pytest

from bridge.conversation import journal
from bridge.conversation.journal import AgentSpoke, CallerSpoke, Line, from_dict, to_dict, transcript

HELLO = CallerSpoke(1, " Hello", 100, 900)
ANSWER = AgentSpoke(2, 1, "turn.ended", "Hi, how", " are you?", True, 910, 2000, sent_ms=1000)


ENTRIES: tuple[journal.Entry, ...] = (
    journal.CallOpened(),
    HELLO,
    ANSWER,
    journal.AgentSilenced(1, 2, 3),
    journal.AgentResumed(1, 2, 3),
    journal.SpeculationDropped(1, 2, 3),
    journal.KeyPressed(4, "#"),
    journal.NoteTaken(5, {"name": "Ann"}),
    journal.ProblemMet(6, "tts", "speech_server", "500"),
    journal.StreamBroke(7),
    journal.StreamResumed(8),
    journal.CallClosed(9, "transfer", 1, 2, "+15550100"),
)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: type(entry).__name__)
def test_an_entry_of_any_kind_survives_json(entry: journal.Entry) -> None:
    assert from_dict(json.loads(json.dumps(to_dict(entry)))) == entry


def test_what_a_newer_version_wrote_is_passed_over() -> None:
    assert from_dict({"entry": "tea_made", "at_ms": 1}) is None
    assert from_dict({**to_dict(HELLO), "mood": "good"}) == HELLO


def test_the_transcript_has_the_words_verbatim_in_the_order_in_which_they_began() -> None:
    noise = CallerSpoke(2, " ", 1500, 1600, meaning="empty")
    okay = CallerSpoke(3, " Okay", 1200, 1300, meaning="backchannel")
    assert transcript([HELLO, noise, okay, ANSWER]) == [
        Line("caller", " Hello", 100, 900),
        Line("agent", "Hi, how", 1000, 2000, interrupted=True, unheard=" are you?"),
        Line("caller", " Okay", 1200, 1300),
    ]


def test_what_nobody_heard_is_there_as_unheard() -> None:
    cut_at_once = AgentSpoke(2, 1, "turn.ended", "", "Hi, how are you?", True, 910, 2000)
    assert transcript([cut_at_once]) == [Line("agent", "", 910, 2000, True, "Hi, how are you?")]


def test_an_answer_of_nothing_is_no_line() -> None:
    assert transcript([AgentSpoke(1, 0, "turn.ended", "", "", False, 0, 1)]) == []
