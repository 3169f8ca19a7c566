"""A store around another one, which hands what is kept of calls to the outbox as well."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import structlog

from bridge.conversation.journal import CallClosed, Entry
from bridge.errors import BridgeError
from bridge.sinks.documents import document, document_id, type_of
from bridge.sinks.outbox import Outbox
from bridge.store.around import RecordAround, StoreAround
from bridge.store.base import CallHeader, CallRecord, Store
from bridge.store.folder import JOURNAL
from bridge.store.journal_file import read_journal

_log = structlog.get_logger()


class Feeder:
    """Hands entries to the outbox, those that are wanted."""

    def __init__(self, outbox: Outbox, events: Collection[str]) -> None:
        """`events` are the types of documents that are wanted."""
        self._outbox = outbox
        self._events = frozenset(events)

    def feed(self, header: CallHeader, number: int, entry: Entry) -> None:
        """Take the entry with this number of a call, counted from 0. Never waits and never raises."""
        if type_of(entry) in self._events:
            body = document(header, number, entry)
            id_ = document_id(header.id, number)
            self._outbox.put(header.id, id_, body, number + 1, last=isinstance(entry, CallClosed))

    def catch_up(self, folder: Path, left: dict[str, int]) -> None:
        """Hand over what a process that died had written and not handed over. Blocks on the disk; never raises.

        `left` is what `Outbox.open` has returned, `folder` that of the calls.
        """
        for call, entries in left.items():
            for journal in folder.glob(f"*/*-{call}/{JOURNAL}"):
                try:
                    header, found = read_journal(journal)
                except (OSError, BridgeError) as error:
                    _log.warning("call_not_sent", call=call, error=str(error))
                    continue
                for number, entry in enumerate(found):
                    if number >= entries:
                        self.feed(header, number, entry)


class FeedingStore(StoreAround):
    """Keeps calls in another store, and feeds the outbox with them."""

    def __init__(self, store: Store, feeder: Feeder) -> None:
        super().__init__(store)
        self._feeder = feeder

    def _around(self, record: CallRecord, header: CallHeader, entries: Sequence[Entry]) -> CallRecord:
        if entries:
            self._feeder.feed(header, len(entries) - 1, entries[-1])  # That it was taken over is news.
        return FeedingRecord(record, header, self._feeder, entries=len(entries))


class FeedingRecord(RecordAround):
    """The record of one call, whose entries are also sent."""

    def __init__(self, record: CallRecord, header: CallHeader, feeder: Feeder, *, entries: int) -> None:
        """`entries`: how many the journal holds already."""
        super().__init__(record)
        self._header = header
        self._feeder = feeder
        self._entries = entries

    def append(self, entry: Entry) -> None:
        """Keep an entry of the journal, and send it. Never waits and never raises."""
        self._record.append(entry)
        try:
            self._feeder.feed(self._header, self._entries, entry)
        except Exception as error:  # noqa: BLE001  A note may hold anything, and none of it may end the call.
            _log.error("entry_not_sent", call=self._header.id, error=type(error).__name__)
        self._entries += 1
