"""Follows the journal of one call at a time: what it holds behind the place where the database stands goes in."""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import structlog

from bridge.errors import BridgeError, StoreError
from bridge.store.base import CallHeader
from bridge.store.folder import JOURNAL, folder_name
from bridge.store.sql import failures, spool
from bridge.store.sql.database import Database
from bridge.store.sql.rows import Rows, call_row, rows_of

if TYPE_CHECKING:
    from bridge.store.sql.putting import Place

_log = structlog.get_logger()

_KNOWN: Final = 4096
"""Of how many calls it is remembered how far they are in, so that it need not be asked before each step."""
_LONGEST_ID: Final = 64


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that is followed."""

    id: str
    """As its row has it."""
    header: CallHeader
    beginning: int
    """The byte behind the header."""
    place: Place | None
    """How far it is in; None: its row is still to be made."""


class Follower:
    """Puts calls' entries in, step by step. Everything here runs on the event loop, one step at a time."""

    def __init__(self, database: Database, folder: Path) -> None:
        self.entries = 0
        """How many entries were put in."""
        self._database = database
        self._folder = folder
        self._known: OrderedDict[Path, _Call] = OrderedDict()
        self._told: set[Path] = set()

    async def step(self, folder: Path) -> bool:
        """Put in the next entries of the call in `folder`; True: there are more.

        Raises StoreError when the database is at fault; nothing of the step is in then. What is wrong with the
        folder is logged.
        """
        try:
            call = self._known.get(folder) or await self._find(folder)
            if call is None:
                return False
            place = call.place or _beginning(call, self._name(folder))
            stretch = await asyncio.to_thread(spool.read_on, folder, place.position, place.entries)
        except FileNotFoundError:
            self._known.pop(folder, None)
            return False  # it was erased
        except (OSError, BridgeError) as error:
            if isinstance(error, StoreError):
                raise
            self._known.pop(folder, None)
            self._tell(folder, "journal_not_followed", error=str(error))
            return False
        if stretch.amiss:
            self._tell(folder, "journal_changed", how=stretch.amiss, position=place.position)
        return await self._put(folder, call, stretch) or stretch.more

    async def behind(self, day: Path) -> list[Path]:
        """The folders of this day whose journals are longer than the database knows. Raises StoreError."""
        from bridge.store.sql import putting  # noqa: PLC0415  (SQLAlchemy is slow to import)

        journals = await asyncio.to_thread(spool.journals_of_day, day)
        async with self._database.reading() as connection:
            positions = await putting.positions_of_day(connection, day.name)
        return [folder for folder, size in journals if size > positions.get(self._name(folder), 0)]

    async def _find(self, folder: Path) -> _Call | None:
        """Read whose call it is, and ask how far it is in. None: it is a copy of another."""
        from bridge.store.sql import putting  # noqa: PLC0415

        header, beginning = await asyncio.to_thread(spool.read_beginning, folder)
        call_id = row_id(folder.name, header)
        async with self._database.reading() as connection:
            place = await putting.place_of(connection, call_id)
            if place is None and await putting.was_erased(connection, call_id):
                self._tell(folder, "journal_of_an_erased_call")
                return None
        if place is not None and place.folder != self._name(folder):
            other = self._folder / place.folder / JOURNAL
            if await asyncio.to_thread(other.exists):
                self._tell(folder, "journal_is_a_copy", of=place.folder)
                return None
        return self._remember(folder, _Call(call_id, header, beginning, place))

    async def _put(self, folder: Path, call: _Call, stretch: spool.Stretch) -> bool:
        """Put a stretch in; True: it must be tried again, from where somebody else has brought the call to."""
        if call.place is not None and stretch.position == call.place.position:
            return False
        try:
            rows = rows_of(call.id, stretch.lines)
            done = await self._transact(folder, call, stretch, rows)
        except StoreError:
            raise
        except Exception as error:
            if not failures.is_of_data(error):
                said = f"the database of calls at {self._database.where} has not the tables it should have: {error}"
                raise StoreError(said, code="store_damaged") from error
            if len(stretch.lines) > 1:
                return await self._put_singly(folder, call, stretch)
            if not stretch.lines:
                raise
            # No fault that is known of can bring us here. One entry must not keep back all that follow.
            seq = stretch.lines[0].seq
            _log.error("entry_not_kept", call=call.id, entry=seq, error=type(error).__name__)
            done = await self._transact(folder, call, stretch, Rows())
        if not done:
            self._known.pop(folder, None)
            return True
        self.entries += len(stretch.lines)
        return False

    async def _put_singly(self, folder: Path, call: _Call, stretch: spool.Stretch) -> bool:
        """Put a stretch in entry by entry, as there is one in it that the database does not take."""
        for line in stretch.lines:
            single = spool.Stretch((line,), line.ends, line.seq, more=False)
            if await self._put(folder, self._known.get(folder, call), single):
                return True
        return False

    async def _transact(self, folder: Path, call: _Call, stretch: spool.Stretch, rows: Rows) -> bool:
        from bridge.store.sql import putting  # noqa: PLC0415

        name = self._name(folder)
        old, new = call.place, putting.Place(name, stretch.position, stretch.entries)
        async with self._database.writing() as connection:
            if old is None:
                old = _beginning(call, name)
                if not await putting.begin(connection, call_row(call.id, call.header, name), old.position):
                    return False
                there = await asyncio.to_thread((folder / JOURNAL).exists)
                if not there or await putting.was_erased(connection, call.id):
                    await connection.rollback()  # it was erased since it was read
                    return False
            if not await putting.move(connection, call.id, name, old, new, rows):
                return False
        self._remember(folder, _Call(call.id, call.header, call.beginning, new))
        return True

    def _remember(self, folder: Path, call: _Call) -> _Call:
        self._known[folder] = call
        self._known.move_to_end(folder)
        if len(self._known) > _KNOWN:
            self._known.popitem(last=False)
        return call

    def _name(self, folder: Path) -> str:
        """The folder as its call's row has it."""
        return folder.relative_to(self._folder).as_posix()

    def _tell(self, folder: Path, event: str, **more: object) -> None:
        """Log what is wrong with a folder, once."""
        if folder not in self._told and len(self._told) < _KNOWN:
            self._told.add(folder)
            _log.warning(event, folder=str(folder), **more)


def _beginning(call: _Call, name: str) -> Place:
    """Where a call stands of which nothing is in but its row."""
    from bridge.store.sql.putting import Place  # noqa: PLC0415

    return Place(name, call.beginning, 0)


def row_id(name: str, header: CallHeader) -> str:
    """What a call's row is called: by its id, a second one of the same id by the number of its folder, too."""
    again = re.fullmatch(re.escape(folder_name(header)) + r"(-\d+)", name)
    full = header.id + (again[1] if again else "")
    if len(full) <= _LONGEST_ID:
        return full
    return f"{full[:47]}-{hashlib.sha256(full.encode()).hexdigest()[:16]}"
