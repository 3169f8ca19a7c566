"""A record around another one."""

from __future__ import annotations

from typing import Any
from unittest.mock import Mock

from bridge.conversation.journal import CallOpened, Entry
from bridge.store.around import RecordAround
from bridge.store.base import CallRecord


class Twice(RecordAround):
    """Keeps each entry twice."""

    def append(self, entry: Entry) -> None:
        self._record.append(entry)
        self._record.append(entry)


def kept() -> Any:
    return Mock(spec=CallRecord)


def test_what_a_record_does_itself_is_not_passed_by() -> None:
    record = kept()
    Twice(Twice(record)).append(CallOpened())
    assert record.append.call_count == 4


def test_what_it_does_not_do_is_the_other_records_own_method() -> None:
    record = kept()
    around = Twice(Twice(record))
    names = {name for name in vars(CallRecord) if not name.startswith("_")} - {"append"}
    assert {"caller_audio", "agent_audio", "settled", "close"} <= names
    assert [name for name in names if getattr(around, name) is not getattr(record, name)] == []
