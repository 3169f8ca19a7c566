"""Opens what is kept of calls for a command: the database, brought up to what the folders hold, or the folders."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

from bridge.conversation.journal import Entry
from bridge.errors import BridgeError, StoreError
from bridge.settings import Settings
from bridge.store.base import CallHeader
from bridge.store.call_folders import CallFolders, folder_of
from bridge.store.folder import JOURNAL
from bridge.store.journal_file import read_journal
from bridge.store.sql.audit import Audit
from bridge.store.sql.call_filter import CallFilter
from bridge.store.sql.call_rows import CallDetail, CallRow, Hit, Page
from bridge.store.sql.calls import Calls
from bridge.store.sql.database import Database
from bridge.store.sql.keeper import Keeper

Tell: TypeAlias = Callable[[str], None]

_PATIENCE_S = 2.0
"""How long bringing the database up to date may take before that is told."""
_SHOWN = 5
"""Ids that are named where several could be meant."""


class Reads(Protocol):
    """What is asked of a record of calls: see `bridge.store.sql.calls.Calls`."""

    async def page(self, wanted: CallFilter | None, cursor: str | None, limit: int) -> Page[CallRow]:
        """Calls, newest first."""

    async def get(self, call: str) -> CallDetail | None:
        """One call."""

    async def ids(self, start: str, limit: int) -> list[str]:
        """Ids of calls whose id, or the carrier's, starts so."""

    async def search(self, query: str, wanted: CallFilter | None, cursor: str | None, limit: int) -> Page[Hit]:
        """Turns whose text fits the query."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The record of calls, open."""

    folder: Path
    calls: Reads
    audit: Audit
    """Who took what out of the record. Works without the database, too."""
    database: Database | None
    """None: it does not answer, or there is nothing that it could know."""

    async def one(self, given: str) -> CallDetail:
        """The call that is meant by its id, the beginning of it, the carrier's id, or `last`.

        Raises BridgeError: `call_unknown`, `call_ambiguous`.
        """
        ids = await self._ids(given)
        if len(ids) > 1 and given not in ids:
            named = ", ".join(ids[:_SHOWN]) + (" …" if len(ids) > _SHOWN else "")
            raise BridgeError(f"{given!r} could be any of {named}: give more of the id", code="call_ambiguous")
        detail = await self.calls.get(given if given in ids else ids[0]) if ids else None
        if detail is None:
            said = f"no call's id begins with {given!r}: see  phone-bridge calls list"
            if given == "last":
                said = f"no calls are kept in {self.folder} yet: place one with  phone-bridge demo"
            raise BridgeError(said, code="call_unknown")
        return detail

    async def journal(self, call: CallRow) -> tuple[CallHeader, list[Entry]]:
        """What the journal of a call holds. Raises BridgeError where its files are gone or cannot be read."""
        folder = folder_of(self.folder, call.folder)
        try:
            return await asyncio.to_thread(read_journal, folder / JOURNAL)
        except FileNotFoundError:
            raise gone(call, folder) from None

    async def all(self, wanted: CallFilter, most: int | None = None) -> AsyncIterator[CallRow]:
        """Every call that is wanted, newest first; `most` of them."""
        cursor, given = None, 0
        while most is None or given < most:
            page = await self.calls.page(wanted, cursor, 500 if most is None else min(500, most - given))
            for row in page.items:
                yield row
            given, cursor = given + len(page.items), page.next
            if cursor is None:
                return

    async def _ids(self, given: str) -> list[str]:
        if given == "last":
            return [row.id for row in (await self.calls.page(None, None, 1)).items]
        return await self.calls.ids(given, _SHOWN + 1) if given else []


def gone(call: CallRow, folder: Path) -> BridgeError:
    """What to say of a call whose files are not there any more."""
    return BridgeError(f"the files of call {call.id} are gone: there is no {folder}", code="call_files_gone")


@contextlib.asynccontextmanager
async def opened(settings: Settings, tell: Tell) -> AsyncIterator[Kept]:
    """Open the record of calls, and bring the database up to what the folders hold.

    Where the database does not answer, that is told, and the folders are read instead. Raises SettingsError where
    its driver is missing. Cancelling is clean: what was not put in yet is put in another time.
    """
    folder = settings.store.recordings
    database = Database(settings.store.url, folder)
    audit = Audit(database, folder)
    if await asyncio.to_thread(_nothing_yet, database, folder):
        yield Kept(folder, CallFolders(folder), audit, None)
        return
    try:
        try:
            await _caught_up(Keeper(database, folder), tell)
        except StoreError as error:
            tell(f"warning: {error.message}; reading the calls' folders instead, which takes longer")
            yield Kept(folder, CallFolders(folder), audit, None)
            return
        yield Kept(folder, Calls(database, folder), audit, database)
    finally:
        await database.close()


async def _caught_up(keeper: Keeper, tell: Tell) -> None:
    later = asyncio.get_running_loop().call_later(
        _PATIENCE_S, tell, "bringing the database up to what the folders hold …"
    )
    try:
        await keeper.catch_up()
    finally:
        later.cancel()


def _nothing_yet(database: Database, folder: Path) -> bool:
    """Whether there is neither a database nor a folder of calls. Blocks on the disk."""
    return database.file is not None and not database.file.exists() and not folder.exists()
