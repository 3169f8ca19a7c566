"""What is sent of the entries of a journal."""

from __future__ import annotations

import json
from typing import Any, get_args

from bridge.conversation import journal
from bridge.settings.record import SINK_EVENTS
from bridge.sinks.documents import document, type_of
from bridge.store.base import CallHeader

HEADER = CallHeader("c1", "CA1", "+15550100001", "+15550100002", "inbound", "2026-01-31T09:30:00+00:00", "echo")


def test_a_document_says_what_call_it_is_of_and_holds_the_entry() -> None:
    entry = journal.CallerSpoke(1, " Grüße", 1000, 2000)
    assert json.loads(document(HEADER, 3, entry)) == {
        "id": "c1-3",
        "type": "turn",
        "call": {
            "id": "c1",
            "sid": "CA1",
            "from": "+15550100001",
            "to": "+15550100002",
            "direction": "inbound",
            "agent": "echo",
            "started_at": "2026-01-31T09:30:00+00:00",
        },
        "entry": journal.to_dict(entry),
    }


def test_every_type_that_can_be_wanted_is_sent_for_some_entry_and_no_other() -> None:
    sent = {type_of(kind(*kind.__struct_fields__)) for kind in get_args(journal.Entry)}
    assert sent - {""} == set(SINK_EVENTS)


def test_what_json_cannot_hold_is_sent_as_far_as_it_can() -> None:
    data: dict[Any, Any] = {"half": "\ud800", "set": {1}}
    assert json.loads(document(HEADER, 0, journal.NoteTaken(0, data)))["entry"]["data"]["half"] == "?"
