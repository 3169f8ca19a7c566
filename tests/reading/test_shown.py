"""Calls and what was found, as a terminal shows them."""

from __future__ import annotations

import json
from dataclasses import replace

import click
import pytest

from bridge.reading.shown import call_json, call_table, counted, detail_json, ended, found_lines, printable
from bridge.store.sql.call_rows import CallDetail, CallRow, Hit, Snippet, TurnRow

CALL = CallRow(
    *("c1", "CA1", "inbound", "+15551234567", "+15557654321", "", "webhook", 1_772_366_400_000, 62_500, "caller"),
    *("", "2026-03-01/120000-c1", 4, 1, 0, 0, 0, "ended"),
)
TURN = TurnRow(
    *(3, "caller", 2, None, "When do you open?", "", 3000, 3900, False, False, False, "words", "", False),
    *(None,) * 6,
)


def test_the_list() -> None:
    log = replace(CALL, id="call-two", other="sip:x@y", ended=None, duration_ms=None, state="live")
    head, first, second = map(click.unstyle, call_table([CALL, log]))
    assert head == "started (UTC)        id        from          to                      length  turns  ended"
    assert (
        first
        == "2026-03-01 12:00:00  c1        +15551234567  +15557654321            1:02.5  4      the caller hung up"
    )
    assert second == "2026-03-01 12:00:00  call-two  +15551234567  +15557654321 (sip:x@y)          4      goes on"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({}, "the caller hung up"),
        ({"direction": "outbound"}, "the called person hung up"),
        ({"ended": "transfer", "transfer_to": "+1"}, "the caller was transferred to +1"),
        ({"ended": "a new reason"}, "a new reason"),
        ({"ended": None, "state": "broken_off"}, "the record breaks off"),
    ],
)
def test_how_it_ended(more: dict[str, str], words: str) -> None:
    assert ended(replace(CALL, **more)) == words  # type: ignore[arg-type]  # mypy does not look into the table


def test_what_was_found_stands_below_its_call() -> None:
    hit = Hit(CALL, TURN, Snippet("When do\nyou open?", ((12, 16),), cut_before=True))
    lines = list(found_lines([hit, hit]))
    assert [click.unstyle(line) for line in lines] == [
        "c1  2026-03-01 12:00:00  +15551234567 → +15557654321",
        "  [ 0:03.0] Caller  … When do you open?",
        "  [ 0:03.0] Caller  … When do you open?",
    ]
    assert click.style("open", fg="yellow", bold=True) in lines[1]


def test_nobody_steers_the_terminal() -> None:
    evil = "\x1b]0;title\x07\x1b[31m\r\u202ereversed\x9b"
    row = replace(CALL, caller=evil)
    hit = Hit(row, replace(TURN, text=evil), Snippet(evil, ((0, 5),)))
    for line in (*map(click.unstyle, call_table([row])), *map(click.unstyle, found_lines([hit]))):
        assert not set(line) & set("\x1b\x07\r\u202e\x9b")
    assert printable("tab\tand\nline, 東京 😀") == "tab\tand\nline, 東京 😀"


def test_for_programs() -> None:
    assert call_json(CALL)["started_at"] == "2026-03-01T12:00:00.000Z"
    json.dumps(detail_json(CallDetail(CALL, (TURN,), ({"data": {}},), (), (), ())))


def test_counts() -> None:
    assert [counted(n, "call") for n in (0, 1, 2)] == ["0 calls", "1 call", "2 calls"]
    assert counted(2, "day off", "days off") == "2 days off"
