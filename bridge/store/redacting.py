"""A store around another one: strikes out of everything that is written what must not be written down."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import structlog

from bridge.conversation.journal import Entry
from bridge.privacy.call import CallRedaction
from bridge.privacy.redactor import Redactor
from bridge.privacy.tracing import TraceMask
from bridge.store.around import RecordAround, StoreAround
from bridge.store.base import CallHeader, CallRecord, Store

_log = structlog.get_logger()


class RedactingStore(StoreAround):
    """Keeps calls in another store, without what a redactor strikes out.

    The call itself, its agent and who listens to it live have the real words: only what is kept goes through here.
    """

    def __init__(self, store: Store, redactor: Redactor) -> None:
        super().__init__(store)
        self._redactor = redactor
        self._mask = TraceMask(redactor)
        self._told: set[str] = set()

    def _around(self, record: CallRecord, header: CallHeader, entries: Sequence[Entry]) -> CallRecord:
        if not self._redactor.active:
            return record
        redacting = RedactingRecord(record, self, header.id)
        redacting.look_back(entries)
        return redacting

    def redaction(self) -> CallRedaction:
        """Return what redacts the entries of a new call."""
        return CallRedaction(self._redactor)

    def line(self, line: bytes) -> bytes:
        """Return a line of a trace as it may be written."""
        return self._mask.line(line)

    def tell_slow(self) -> None:
        """Log each own pattern that took too long, once: whatever text it was tried on is struck out as a whole."""
        for pattern in self._redactor.slow - self._told:
            self._told.add(pattern)
            _log.warning("redaction_too_slow", pattern=pattern)


class RedactingRecord(RecordAround):
    """The record of one call, redacted."""

    def __init__(self, record: CallRecord, store: RedactingStore, call: str) -> None:
        super().__init__(record)
        self._store = store
        self._redaction = store.redaction()
        self._call = call

    def look_back(self, entries: Iterable[Entry]) -> None:
        """Learn from what is kept already, so that a number goes on to be struck out that began in it."""
        for entry in entries:
            self._redaction.entry(entry)

    def append(self, entry: Entry) -> None:
        """Keep an entry of the journal, redacted. Never waits and never raises.

        An entry whose redaction fails is not kept: nothing may be written that was not looked through.
        """
        try:
            entry = self._redaction.entry(entry)
        except Exception as error:  # noqa: BLE001  A note may hold anything, and none of it may end the call.
            _log.error(
                "entry_not_redacted", call=self._call, entry=type(entry).__name__, error=type(error).__name__
            )
            return
        self._store.tell_slow()
        self._record.append(entry)

    def trace(self, line: bytes) -> None:
        """Keep a line of the call's trace, masked. Never waits and never raises."""
        try:
            line = self._store.line(line)
        except Exception as error:  # noqa: BLE001  As above.
            _log.error("trace_not_masked", call=self._call, error=type(error).__name__)
            return
        self._record.trace(line)
