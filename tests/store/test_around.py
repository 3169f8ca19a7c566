"""A store around another one, and a record around its record."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from unittest.mock import AsyncMock, Mock

from bridge.conversation.journal import CallOpened, CallTakenOver, Entry
from bridge.store.around import RecordAround, StoreAround
from bridge.store.base import CallHeader, CallRecord, Reopened, Store
from tests.store.samples import HEADER


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


class TwiceStore(StoreAround):
    """Remembers of which calls it was handed the records."""

    def __init__(self, store: Store) -> None:
        super().__init__(store)
        self.seen: list[tuple[str, int]] = []

    def _around(self, record: CallRecord, header: CallHeader, entries: Sequence[Entry]) -> CallRecord:
        self.seen.append((header.id, len(entries)))
        return Twice(record)


async def test_calls_that_begin_and_calls_that_are_taken_over_get_a_record_around_theirs() -> None:
    record = kept()
    past = Reopened(HEADER, (CallOpened(), CallTakenOver(9, 2)), 2, 9, record)
    inner: Any = Mock(spec=Store, open=Mock(return_value=record), reopen=AsyncMock(side_effect=[past, None]))
    store = TwiceStore(inner)
    store.open(HEADER).append(CallOpened())
    found = await store.reopen(HEADER.sid)
    assert found is not None
    found.record.append(CallOpened())
    assert record.append.call_count == 4
    assert store.seen == [(HEADER.id, 0), (HEADER.id, 2)]
    assert (found.header, found.entries, found.epoch) == (past.header, past.entries, 2)
    assert await store.reopen("CA0") is None
    await store.close()
    inner.close.assert_awaited_once_with()
