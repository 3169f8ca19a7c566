from __future__ import annotations

import dataclasses
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from bridge.conversation import journal as j
from bridge.store.sql.rows import Rows, call_row, clean, rows_of
from bridge.store.sql.schema import actions, calls, legs, notes, turns
from bridge.store.sql.spool import Line
from tests.store.samples import ENTRIES, HEADER


def lines(*entries: j.Entry, first: int = 1) -> list[Line]:
    return [Line(seq, j.to_dict(entry), entry, 0) for seq, entry in enumerate(entries, first)]


def rows(*entries: j.Entry) -> Rows:
    return rows_of("c", lines(*entries))


def test_every_kind_of_entry_makes_rows_with_the_columns_of_their_table() -> None:
    made = rows(*ENTRIES, j.PartySpoke("callee", 1, "Hm", 1, 2))

    for table, found in ((turns, made.turns), (actions, made.actions), (legs, made.legs), (notes, made.notes)):
        # The index finds the words of a turn by itself.
        wanted = {column.name for column in table.columns} - {"id", "words"}
        assert found
        assert all(row.keys() == wanted for row in found)
    assert call_row("c", HEADER, "2026-03-01/x").keys() <= {column.name for column in calls.columns}
    assert made.call.keys() <= {column.name for column in calls.columns}
    assert len(made.turns) + len(made.actions) + len(made.notes) == len(ENTRIES) + 1


def test_the_call_is_counted() -> None:
    made = rows(*ENTRIES)

    assert made.more == {"turns": 8, "interruptions": 1, "wasted": 1, "problems": 1}
    assert made.call == {"duration_ms": 17_000, "ended": "caller", "transfer_to": "", "under_runs": 1}


def test_a_caller_and_an_agent() -> None:
    made = rows(
        j.CallerSpoke(3, " Hi, when? ", 3000, 5000, eager_ms=4700, meaning="echo", incomplete=True, degraded=True),
        j.AgentSpoke(4, 3, "turn.ended", "We", " open", True, 5000, 7600, 1, 2, 3, 4, speculative=True),
    )

    caller, agent = made.turns
    assert (caller["speaker"], caller["number"], caller["reply"]) == ("caller", 3, None)
    assert (caller["text"], caller["meaning"], caller["eager_ms"]) == (" Hi, when? ", "echo", 4700)
    assert (caller["started_ms"], caller["ended_ms"]) == (3000, 5000)
    assert (caller["incomplete"], caller["degraded"], caller["interrupted"]) == (True, True, False)
    assert (agent["speaker"], agent["number"], agent["reply"], agent["occasion"]) == ("agent", 3, 4, "turn.ended")
    assert (agent["text"], agent["unheard"], agent["interrupted"]) == ("We", " open", True)
    assert (agent["started_ms"], agent["ended_ms"]) == (3, 7600)
    assert [agent[f"{step}_ms"] for step in ("asked", "text", "audio", "sent", "mark")] == [5000, 1, 2, 3, 4]
    assert agent["speculative"]


def test_a_reply_that_was_never_sent_begins_when_it_was_asked_for() -> None:
    (row,) = rows(j.AgentSpoke(4, 3, "prompt", "", "No", False, 5000, 7600)).turns
    assert row["started_ms"] == 5000


def test_two_people() -> None:
    made = rows(j.PartySpoke("caller", 1, "Hm ", 1, 2), j.PartySpoke("callee", 1, "", 3, 4, degraded=True))

    assert [(row["speaker"], row["text"], row["meaning"]) for row in made.turns] == [
        ("caller", "Hm ", "words"),
        ("callee", "", "empty"),
    ]


def test_legs_end_in_their_order() -> None:
    made = rows(j.CallOpened(), j.StreamBroke(10), j.StreamResumed(20), j.CallClosed(30, "caller"))

    assert [(leg["seq"], leg["started_ms"]) for leg in made.legs] == [(1, 0), (3, 20)]
    assert [(end.seq, end.at_ms, end.status) for end in made.leg_ends] == [(2, 10, "broken"), (4, 30, "")]


def test_a_transfer_that_was_tried_is_a_leg_and_an_action() -> None:
    made = rows(j.TransferTried(9000, "+15550100009", "completed", duration_s=4))

    (leg,) = made.legs
    assert (leg["kind"], leg["party"], leg["status"]) == ("transfer", "+15550100009", "completed")
    assert (leg["started_ms"], leg["ended_ms"]) == (5000, 9000)
    assert made.actions[0]["data"] == {
        "to": "+15550100009",
        "status": "completed",
        "warm": False,
        "duration_s": 4,
    }


def test_what_is_not_understood() -> None:
    data: dict[str, Any] = {"entry": "seen_in_a_dream", "at_ms": 7, "text": "\0", "deep": [{"a": "\ud800"}]}
    made = rows_of("c", [Line(5, data, None, 0), Line(6, None, None, 0), Line(7, {"at_ms": 3}, None, 0)])

    assert made.actions == [
        {
            "call_id": "c",
            "seq": 5,
            "kind": "seen_in_a_dream",
            "at_ms": 7,
            "data": {"text": "␀", "deep": [{"a": "�"}]},
        }
    ]
    assert made.more == {}


def test_numbers_and_words_that_no_column_holds() -> None:
    made = rows_of(
        "c",
        [
            *lines(j.CallerSpoke(10**30, "x", -(10**30), 10**30), j.CallClosed(1, "r" * 99, under_runs=10**30)),
            Line(3, {"entry": "k" * 99, "at_ms": True}, None, 0),
        ],
    )

    (turn,) = made.turns
    assert turn["number"] == 2**31 - 1
    assert (turn["started_ms"], turn["ended_ms"]) == (-(2**63 - 1), 2**63 - 1)
    assert made.call["ended"] == "r" * 64
    assert made.actions[-1]["kind"] == "k" * 32
    assert made.actions[-1]["at_ms"] == 0


def test_when_a_call_began() -> None:
    def began(moment: str, folder: str = "2026-03-01/123456-x") -> int:
        return int(call_row("c", dataclasses.replace(HEADER, started_at=moment), folder)["started_at"])

    assert began("1970-01-01T00:00:01.500+00:00") == 1500
    assert began("1970-01-01T01:00:01.500+01:00") == 1500
    assert began("1970-01-01T00:00:01") == 1000
    assert began("soon", "1970-01-02/x") == 86_400_000
    assert began("soon", "one day/x") == 0


@given(st.text(alphabet=st.characters(exclude_categories=(), exclude_characters="\0")))
def test_text_is_kept_as_it_is_where_it_is_text(text: str) -> None:
    cleaned = clean(text)

    cleaned.encode()
    if not any("\ud800" <= letter <= "\udfff" for letter in text):
        assert cleaned == text


@given(st.text())
def test_only_nul_is_written_otherwise(text: str) -> None:
    assert clean(text) == text.replace("\0", "␀")


def test_what_is_for_whoever_goes_on_with_a_call_makes_no_rows() -> None:
    made = rows(j.AgentHeard(1, 1, 1, "turn.ended", "Hello", 0), j.AgentRemembered(2, {"a": 1}))
    assert made == Rows()
