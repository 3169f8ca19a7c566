"""How a node gets a call that another held: from that one, if it is there, else out of the database.

A node that is asked for a call gives it away: it lets go of it without a word, and hands over the call's journal.
Of one that has died the database has the journal, as far as its keeper had come.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Final, TypeAlias

import structlog

from bridge.bus.asking import GIVE, NOT_WHOLE
from bridge.bus.connection import Bus, BusError
from bridge.errors import StoreError
from bridge.store.around import RecordAround
from bridge.store.base import CallHeader, CallRecord, Reopened, Store
from bridge.store.bringing import bring
from bridge.store.sql.owning import Claimed, Owner, Owners

_GIVEN_WITHIN_S: Final = 3.0
_STORE_WITHIN_S: Final = 3.0

PutIn: TypeAlias = Callable[[str], Awaitable[None]]
"""Waits until what is kept of a call, by its id, is where other nodes find it; not for long, and never raises."""

log = structlog.get_logger()


class Taking:
    """Gets calls."""

    def __init__(
        self,
        bus: Bus,
        subject_of: Callable[[str], str],
        owners: Callable[[], Owners | None],
        folder: Path,
        name: Callable[[], str],
    ) -> None:
        """`subject_of` tells where the holder of a call listens, `name` what this node is called.

        `owners` returns None where nodes share no database; then a call moves only if its node gives it away.
        """
        self._bus = bus
        self._subject_of = subject_of
        self._owners_of = owners
        self._folder = folder
        self._name = name

    async def reopen(self, store: Store, sid: str) -> Reopened | None:
        """Take over a call from this node's earlier life, or from another node. Never raises; as `Store.reopen`."""
        journal, refused = await self._given(sid)
        if refused:
            return None
        owner = await self._owner(sid)
        if not journal and (owner is None or owner.node == self._name()):
            if owner is None and await self._is_over_elsewhere(sid):
                return None
            found = await store.reopen(sid)
            if found is not None or owner is None:
                return found
        claimed = None if owner is None else await self._claim(owner, given=bool(journal))
        if claimed is None and (owner is not None and not journal):
            return None
        text = max(journal, b"" if claimed is None else claimed.journal, key=len)
        if not text or not await self._bring(sid, text, "" if claimed is None else claimed.folder):
            return None
        return await store.reopen(sid)

    async def _is_over_elsewhere(self, sid: str) -> bool:
        """Tell whether a call that belongs to nobody went from here to another node, where it has come to its end.

        What this node's disk has of it looks like that of a call whose process has died.
        """
        if self._owners is None or not self._owners.up:
            return False
        return await self.node_of(sid) not in {None, self._name()}

    async def owner(self, sid: str) -> str | None:
        """Return the node to which the database says that a call belongs; None: to none, or it cannot tell."""
        owner = await self._owner(sid)
        return None if owner is None else owner.node

    async def node_of(self, name: str) -> str | None:
        """Return the node that holds or held a call, by either of its ids: what is kept of it is there."""
        if self._owners is None:
            return None
        try:
            async with asyncio.timeout(_STORE_WITHIN_S):
                return await self._owners.node_of(name)
        except (StoreError, TimeoutError):
            return None  # Whoever asks is told by the database itself.

    @property
    def _owners(self) -> Owners | None:
        return self._owners_of()

    async def _given(self, sid: str) -> tuple[bytes, bool]:
        """Return the journal of a call that was given away, and whether somebody keeps it for themselves."""
        try:
            journal = await self._bus.ask(self._subject_of(sid), GIVE, _GIVEN_WITHIN_S)
        except BusError as error:
            if error.code == "bus_late":
                log.warning("call_not_given", sid=sid, error=error.message)
            return b"", False
        return journal.removeprefix(NOT_WHOLE), not journal

    async def _owner(self, sid: str) -> Owner | None:
        if self._owners is None:
            return None
        try:
            async with asyncio.timeout(_STORE_WITHIN_S):
                return await self._owners.of(sid)
        except (StoreError, TimeoutError) as error:
            log.warning("owner_not_known", sid=sid, error=str(error) or "the database does not answer")
            return None

    async def _claim(self, owner: Owner, *, given: bool) -> Claimed | None:
        assert self._owners is not None  # noqa: S101  It told of the owner.
        try:
            async with asyncio.timeout(_STORE_WITHIN_S):
                return await self._owners.claim(owner, self._name(), given=given)
        except (StoreError, TimeoutError) as error:
            log.error("call_not_claimed", call=owner.call_id, error=str(error) or "the database does not answer")
            return None

    async def _bring(self, sid: str, journal: bytes, folder: str) -> bool:
        try:
            header = await asyncio.to_thread(bring, self._folder, journal, folder)
        except (OSError, ValueError, KeyError, TypeError) as error:
            log.error("call_not_brought", sid=sid, error=str(error))
            return False
        log.info("call_brought", call=header.id, sid=sid, bytes=len(journal))
        return True


class HeldStore:
    """A store around another one; a `bridge.store.base.Store`."""

    def __init__(
        self, store: Store, hold: Callable[[str], None], taking: Taking | None, put_in: PutIn | None
    ) -> None:
        """`taking`: None where no call is taken over.

        `put_in` waits until what is kept of a call is where other nodes find it; None: nobody looks there.
        """
        self._store = store
        self._hold = hold
        self._taking = taking
        self._put_in = put_in

    def open(self, header: CallHeader) -> CallRecord:
        """Begin the record of a call. Returns at once; never raises."""
        self._hold(header.id)
        self._hold(header.sid)
        return self._seen(self._store.open(header), header.id)

    async def reopen(self, sid: str) -> Reopened | None:
        """Take over a call, wherever it was held. See `Store`."""
        found = None if self._taking is None else await self._taking.reopen(self._store, sid)
        if found is None:
            return None
        self._hold(found.header.id)
        self._hold(found.header.sid)
        return replace(found, record=self._seen(found.record, found.header.id))

    def _seen(self, record: CallRecord, call_id: str) -> CallRecord:
        return record if self._put_in is None else SeenRecord(record, call_id, self._put_in)

    async def close(self) -> None:
        """As the store around which this is."""
        await self._store.close()


class SeenRecord(RecordAround):
    """The record of one call, which has settled when other nodes find it."""

    def __init__(self, record: CallRecord, call_id: str, put_in: PutIn) -> None:
        super().__init__(record)
        self._call_id = call_id
        self._put_in = put_in

    async def settled(self) -> None:
        """Wait until the entries so far have left the process, and are in the database if that is quick."""
        await self._record.settled()
        await self._put_in(self._call_id)
