"""The transcript to read."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from bridge.conversation.journal import AgentSpoke, CallClosed, CallerSpoke, DigitsGathered
from bridge.store.texts import clock, ending, started, transcript_json, transcript_text
from tests.store.samples import ENTRIES, HEADER, TROUBLED

EXPECTED = """\
Call 5f0c2a7be1d9 (CA0123456789abcdef0123456789abcdef), inbound, from +15551234567 to +15557654321
2026-03-01 12:34:56 UTC; agent: webhook; ended: the caller hung up

[ 0:00.2] Agent   Hello, Blue Door.
[ 0:03.0] Caller   Hi, when do you open? 
[ 0:05.7] Agent   We open at — cut off; not heard: " eight."
[ 0:07.1] Caller  And on Sunday?
[ 0:08.9] Agent   Closed.
[ 0:11.5] Caller  (pressed 4#)
[ 0:11.9] Caller  (left message 1)
[ 0:11.9] Agent   (warm transfer to +15550100009: busy)
[ 0:12.6]         (recording paused)
[ 0:12.9]         (recording resumed)
[ 0:15.5] Caller  uh-huh
[ 0:16.0] Caller  Bye
"""  # noqa: W291 - the caller's words are kept as they came, spaces included


def test_the_transcript_of_a_call() -> None:
    assert transcript_text(HEADER, ENTRIES) == EXPECTED


def test_what_was_not_heard_without_being_cut_off() -> None:
    spoke = AgentSpoke(1, 1, "turn.ended", "", "Never.", False, 10, 20)
    assert '[ 0:00.0] Agent   — not heard: "Never."' in transcript_text(HEADER, [spoke])


def test_of_masked_keys_only_their_number_is_told() -> None:
    text = transcript_text(HEADER, [DigitsGathered(6500, "", 4, masked=True)])
    assert text.splitlines()[-1] == "[ 0:06.5] Caller  (pressed 4 keys, which are not kept)"


def test_turns_with_missing_words_say_so() -> None:
    lines = transcript_text(HEADER, TROUBLED).splitlines()
    assert "[ 0:17.0] Caller  And could you — (the speech service was away: words are missing)" in lines
    assert "[ 0:29.5] Caller  (the speech service was away: words are missing)" in lines, "even without a word"
    assert sum("missing" in line for line in lines) == 2


def test_the_transcript_for_programs() -> None:
    document = json.loads(transcript_json(HEADER, TROUBLED))
    assert document["header"]["id"] == HEADER.id
    assert document["ended"]["reason"] == "agent"
    lines = document["lines"]
    assert [line["started_ms"] for line in lines] == sorted(line["started_ms"] for line in lines)
    assert [line["text"] for line in lines if line["degraded"]] == ["And could you", ""], "verbatim, without a note"
    assert lines[2] == {
        "speaker": "agent",
        "text": "We do.",
        "started_ms": 6800,
        "ended_ms": 8600,
        "interrupted": True,
        "unheard": " At what time would",
        "degraded": False,
    }


def test_a_text_of_several_lines_stays_one_entry() -> None:
    lines = transcript_text(HEADER, [CallerSpoke(1, "one\ntwo", 0, 5)]).splitlines()
    assert lines[-2:] == ["[ 0:00.0] Caller  one", "                  two"]


@pytest.mark.parametrize(
    ("ms", "text"),
    [(0, "0:00.0"), (59_999, "0:59.9"), (60_000, "1:00.0"), (3_661_234, "1:01:01.2"), (-5, "0:00.0")],
)
def test_times(ms: int, text: str) -> None:
    assert clock(ms) == text


def test_whom_we_called_ourselves_is_not_named_the_caller() -> None:
    text = transcript_text(
        replace(HEADER, direction="outbound"), [CallerSpoke(1, "Yes?", 0, 5), CallClosed(9, "caller")]
    )
    assert "; ended: the called person hung up" in text
    assert text.endswith("[ 0:00.0] Called  Yes?\n")


def test_endings() -> None:
    assert ending([CallClosed(1, "transfer", transfer_to="+1555")]) == "the caller was transferred to +1555"
    assert ending([CallClosed(1, "a new reason")]) == "a new reason"
    assert ending([]) == "the record breaks off"


def test_the_start_in_utc() -> None:
    assert started(replace(HEADER, started_at="2026-03-01T01:00:00+02:00")) == "2026-02-28 23:00:00 UTC"
    assert started(replace(HEADER, started_at="?")) == "?"
