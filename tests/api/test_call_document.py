"""One call as programs see it."""

from __future__ import annotations

from typing import Any

from bridge.api.call_document import call_answer
from bridge.conversation import journal as j
from bridge.store.sql.call_rows import CallDetail, CallRow
from bridge.store.sql.rows import call_row, rows_of
from bridge.store.sql.spool import Line
from tests.store.samples import HEADER

COUNTS = dict.fromkeys(("turns", "interruptions", "wasted", "problems", "under_runs"), 0)


def told(*entries: j.Entry) -> list[tuple[str, int]]:
    """Name what happened, and where it stands in the journal."""
    rows = rows_of("c", [Line(seq, j.to_dict(entry), entry, 0) for seq, entry in enumerate(entries, 1)])
    live: dict[str, Any] = {"duration_ms": None, "ended": None, "transfer_to": "", "state": "live", **COUNTS}
    call = CallRow(**live, **call_row("c", HEADER, "2026-03-01/c"))
    answer = call_answer(None, CallDetail(call, (), tuple(rows.actions), (), (), ()))
    return [(row["kind"], row["seq"]) for row in answer.actions]


def test_who_takes_a_call_over_is_told_and_what_it_was_left_for_that_is_not() -> None:
    entries = (j.CallArranged(0, {"a": "b"}), j.CallOpened(), j.Standing(5, voice="v"), j.CallTakenOver(9, 2))
    assert told(*entries) == [("call_opened", 2), ("call_taken_over", 4)]
