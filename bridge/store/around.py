"""What stands around another store, or the record of a call, and changes a part of what is kept."""

# ruff: noqa: D102  What each method means stands in the contract.

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from bridge.conversation.journal import Entry
from bridge.store.base import CallFiles, CallHeader, CallRecord, Reopened, Store

_METHODS: Final = tuple(name for name in vars(CallRecord) if not name.startswith("_"))


class StoreAround(ABC):
    """Keeps calls in another store, with a record of its own around each of that; a `bridge.store.base.Store`."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def open(self, header: CallHeader) -> CallRecord:
        return self._around(self._store.open(header), header, ())

    async def reopen(self, sid: str) -> Reopened | None:
        found = await self._store.reopen(sid)
        if found is None:
            return None
        return replace(found, record=self._around(found.record, found.header, found.entries))

    async def close(self) -> None:
        await self._store.close()

    @abstractmethod
    def _around(self, record: CallRecord, header: CallHeader, entries: Sequence[Entry]) -> CallRecord:
        """Return the record that the call gets. `entries` are those that it holds already: none when it begins."""


class RecordAround:
    """Hands on to another record what a subclass does not do itself; a `bridge.store.base.CallRecord`."""

    def __init__(self, record: CallRecord) -> None:
        self._record = record
        # The audio of every frame goes by here: what is only handed on is the other's own method, and no step more.
        for name in _METHODS:
            if getattr(type(self), name) is getattr(RecordAround, name):
                setattr(self, name, getattr(record, name))

    def append(self, entry: Entry) -> None:
        self._record.append(entry)

    def trace(self, line: bytes) -> None:
        self._record.trace(line)

    def caller_audio(self, at_ms: int, audio: bytes) -> None:
        self._record.caller_audio(at_ms, audio)

    def callee_audio(self, at_ms: int, audio: bytes) -> None:
        self._record.callee_audio(at_ms, audio)

    def agent_audio(self, at_ms: float, audio: bytes) -> None:
        self._record.agent_audio(at_ms, audio)

    def agent_cleared(self, at_ms: float) -> None:
        self._record.agent_cleared(at_ms)

    async def settled(self) -> None:
        await self._record.settled()

    def pause_audio(self, at_ms: float) -> None:
        self._record.pause_audio(at_ms)

    def resume_audio(self, at_ms: float) -> None:
        self._record.resume_audio(at_ms)

    async def close(self) -> CallFiles:
        return await self._record.close()
