"""A transcript as rows: JSON lines and CSV."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bridge.conversation.journal import AgentSpoke, CallerSpoke, PartySpoke
from bridge.store.export.csv import body, head, write_csv
from bridge.store.export.formats import FORMATS
from bridge.store.export.jsonl import write_jsonl
from bridge.store.export.lines import COLUMNS
from bridge.store.texts import transcript_json
from tests.store.samples import ENTRIES, HEADER, LOG_ENTRIES, LOG_HEADER, TROUBLED

ANY_TEXT = st.text(st.characters(codec="utf-8"), min_size=1).filter(lambda text: text.strip())


def objects(content: bytes) -> list[dict[str, Any]]:
    return [json.loads(line) for line in content.decode().split("\n") if line]


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline=""), strict=True))


def test_every_line_is_an_object_with_the_same_fields() -> None:
    found = objects(write_jsonl(HEADER, TROUBLED))
    assert all(tuple(one) == COLUMNS for one in found)
    assert found[2] == {
        "call": HEADER.id,
        "line": 3,
        "at": "2026-03-01T12:35:03.589Z",
        "start_ms": 6800,
        "end_ms": 8600,
        "speaker": "agent",
        "name": "Agent",
        "text": "We do.",
        "unheard": " At what time would",
        "interrupted": True,
        "degraded": False,
    }
    same = json.loads(transcript_json(HEADER, TROUBLED))["lines"]
    assert [(one["text"], one["start_ms"], one["degraded"]) for one in found] == [
        (one["text"], one["started_ms"], one["degraded"]) for one in same
    ]


def test_both_people_are_told_apart() -> None:
    assert {(one["speaker"], one["name"]) for one in objects(write_jsonl(LOG_HEADER, LOG_ENTRIES))} == {
        ("caller", "Caller +15551234567"),
        ("callee", "Callee sip:desk@pbx.example.com"),
    }


def test_whom_we_called_is_named_so() -> None:
    (one,) = objects(write_jsonl(replace(HEADER, direction="outbound"), [CallerSpoke(1, "Yes?", 0, 5)]))
    assert (one["speaker"], one["name"]) == ("caller", "Called")


@pytest.mark.parametrize("started_at", ["", "yesterday", "9999-12-31T23:59:59+00:00"])
def test_a_start_that_is_no_date_leaves_the_clock_out(started_at: str) -> None:
    (one,) = objects(write_jsonl(replace(HEADER, started_at=started_at), [CallerSpoke(1, "Hi", 2000, 2500)]))
    assert (one["at"], one["start_ms"]) == ("", 2000)


def test_a_silent_call() -> None:
    assert write_jsonl(HEADER, []) == b""
    assert write_csv(HEADER, []) == head()
    for one in FORMATS.values():
        assert isinstance(one.write(HEADER, []), bytes)


def test_the_table_says_the_same_as_the_lines() -> None:
    rows = table(write_csv(HEADER, ENTRIES))
    assert list(rows[0]) == list(COLUMNS)
    for row, line in zip(rows, objects(write_jsonl(HEADER, ENTRIES)), strict=True):
        assert row == {name: value if isinstance(value, str) else json.dumps(value) for name, value in line.items()}


def test_tables_of_several_calls_follow_each_other() -> None:
    content = head() + body(HEADER, ENTRIES) + body(LOG_HEADER, LOG_ENTRIES)
    assert {row["call"] for row in table(content)} == {HEADER.id, LOG_HEADER.id}


@pytest.mark.parametrize(
    ("said", "cell"),
    [
        ("=HYPERLINK(1)", "'=HYPERLINK(1)"),
        ("+1+cmd|' /C calc'!A0", "'+1+cmd|' /C calc'!A0"),
        ("-2+3", "'-2+3"),
        ("@SUM(A1)", "'@SUM(A1)"),
        (" =1", "' =1"),
        ("\t=1", "'\t=1"),
        ("\r=1", "'\r=1"),
        ("\uff1d1+1", "'\uff1d1+1"),
        ("+15551234567", "+15551234567"),
        ("-5", "-5"),
        ("1 = 1", "1 = 1"),
        ('say "hi", then\nleave', 'say "hi", then\nleave'),
        ("nul\0l", "nul\ufffdl"),
        ("half \ud83d", "half ?"),
    ],
)
def test_no_cell_is_a_formula(said: str, cell: str) -> None:
    (row,) = table(write_csv(HEADER, [CallerSpoke(1, said, 0, 5)]))
    assert row["text"] == cell


def test_names_and_what_was_not_heard_are_no_formulas_either() -> None:
    evil = replace(LOG_HEADER, caller="=1+1", id="@x", other="-1-1")
    (row,) = table(write_csv(evil, [PartySpoke("caller", 1, "Hi", 0, 5)]))
    assert (row["call"], row["name"]) == ("'@x", "Caller =1+1")
    (row,) = table(write_csv(HEADER, [AgentSpoke(1, 1, "turn.ended", "", "=1", False, 0, 5)]))
    assert row["unheard"] == "'=1"


@given(ANY_TEXT)
def test_any_text_comes_back_from_the_lines(text: str) -> None:
    (one,) = objects(write_jsonl(HEADER, [CallerSpoke(1, text, 0, 5)]))
    assert one["text"] == text


@given(ANY_TEXT)
def test_any_text_comes_back_from_the_table(text: str) -> None:
    (row,) = table(write_csv(HEADER, [CallerSpoke(1, text, 0, 5)]))
    plain = text.replace("\0", "\ufffd")
    assert row["text"] in {plain, f"'{plain}"}
    assert row["text"] == plain or not plain[0].isalnum()


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_takes_every_entry(name: str) -> None:
    one = FORMATS[name]
    for header, entries in ((HEADER, ENTRIES), (HEADER, TROUBLED), (LOG_HEADER, LOG_ENTRIES)):
        content = one.write(header, entries).decode()
        assert "Bye" in content or "Tom" in content
    assert one.suffix.startswith(".") and "/" in one.media_type
