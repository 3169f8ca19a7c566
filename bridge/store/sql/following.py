"""Follows the journals of calls: what they hold behind the place where the database stands goes in.

Many calls go in together, in one transaction: what a step costs is mostly the same for one as for a hundred. The
journals are read, and their rows made ready, on a thread that lets the event loop have its turn every few calls.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

import structlog

from bridge.conversation.journal import CallClosed
from bridge.errors import BridgeError, StoreError
from bridge.store.base import CallHeader
from bridge.store.folder import JOURNAL, folder_name
from bridge.store.sql import failures, spool
from bridge.store.sql.database import Database
from bridge.store.sql.rows import Rows, call_row, rows_of

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

    from bridge.store.sql.putting import Move, Place, Ready

T = TypeVar("T")

_log = structlog.get_logger()

AT_ONCE: Final = 200
"""How many calls go in together at most."""
_ENTRIES: Final = 1000
"""How many entries do, about: SQLite lets nobody else write meanwhile."""
_BREATH: Final = (8, 0.0005)
"""After so many calls the thread waits for so many seconds, or it would keep the event loop from going on."""
_KNOWN: Final = 4096
"""Of how many calls it is remembered how far they are in, so that it need not be asked before each step."""
_LONGEST_ID: Final = 64


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that is followed."""

    id: str
    """As its row has it."""
    header: CallHeader
    head: bytes
    """The line of the header, as it stands in the journal."""
    place: Place | None
    """How far it is in; None: its row is still to be made."""

    @property
    def beginning(self) -> int:
        """The byte behind the header."""
        return len(self.head)


@dataclass(frozen=True, slots=True)
class _Gain:
    """What was read of a call's journal."""

    folder: Path
    call: _Call
    stretch: spool.Stretch
    rows: Rows | None
    """None: no rows could be made of it as a whole."""


class Follower:
    """Puts calls' entries in, step by step. Everything here is called on the event loop, one step at a time."""

    def __init__(self, database: Database, folder: Path, node: Callable[[], str] = str) -> None:
        """`node` returns this one's name among many; empty: there is one, whose calls are nobody else's."""
        self.entries = 0
        """How many entries were put in."""
        self.lost: Callable[[str], None] = lambda _: None
        """Is told of a call, by its id, that another node holds by now."""
        self._name_of_node = node
        self._database = database
        self._folder = folder
        self._known: OrderedDict[Path, _Call] = OrderedDict()
        self._told: set[Path] = set()

    @property
    def _node(self) -> str:
        return self._name_of_node()

    async def step(self, folders: Sequence[Path]) -> set[Path]:
        """Put in the next entries of the calls in `folders`, 200 at most; returns those that have more.

        Raises StoreError when the database is at fault; some of the calls may be in then. What is wrong with a
        folder is logged.
        """
        known = {folder: call for folder in folders if (call := self._known.get(folder)) is not None}
        if unknown := [folder for folder in folders if folder not in known]:
            known |= await self._find(unknown)
        gains, more = await asyncio.to_thread(self._read, known)
        for folder in known.keys() - more - {gain.folder for gain in gains}:
            # It is told of once more at its end, when all is in. If it is not over, it is asked for again.
            self._known.pop(folder, None)
        whole = [gain for gain in gains if gain.rows is not None]
        more |= await self._put(whole)
        for gain in gains:
            if gain.rows is None and await self._put_singly(gain):
                more.add(gain.folder)
        return more

    async def behind(self, day: Path) -> list[Path]:
        """The folders of this day whose journals are longer than the database knows. Raises StoreError."""
        from bridge.store.sql import putting  # noqa: PLC0415  (SQLAlchemy is slow to import)

        journals = await asyncio.to_thread(spool.journals_of_day, day)
        async with self._database.reading() as connection:
            positions = await putting.positions_of_day(connection, day.name)
        return [folder for folder, size in journals if size > positions.get(self._name(folder), 0)]

    async def merge_left(self, call_id: str = "") -> None:
        """Put in what this node had alone of a call that another has taken from it; of all, if none is named.

        Raises StoreError.
        """
        if self._node:
            await asyncio.to_thread(importlib.import_module, "bridge.store.sql.leaving")  # it imports SQLAlchemy
            from bridge.store.sql import leaving  # noqa: PLC0415

            await leaving.merge(self._database, self._folder, self._node, call_id)

    # --- reading: on a thread ------------------------------------------------------------------------------------

    def _read(self, known: dict[Path, _Call]) -> tuple[list[_Gain], set[Path]]:
        """Read on in the journals of calls. Returns what was gained, and the folders in which there is more."""
        gains: list[_Gain] = []
        more: set[Path] = set()
        entries = 0
        for folder, call in _breathing(known.items()):
            if entries >= _ENTRIES:
                more.add(folder)
                continue
            place = call.place or _beginning(call, self._name(folder))
            try:
                stretch = spool.read_on(folder, place.position, place.entries)
            except (OSError, BridgeError) as error:
                self._unread(folder, error)
                continue
            if stretch.amiss:
                self._tell(folder, "journal_changed", how=stretch.amiss, position=place.position)
            if stretch.more:
                more.add(folder)
            if call.place is None or stretch.position != call.place.position:
                entries += len(stretch.lines)
                gains.append(_Gain(folder, call, stretch, _rows(call, stretch)))
        return gains, more

    def _begun(self, folders: Sequence[Path]) -> dict[Path, _Call]:
        """Read whose calls they are."""
        found: dict[Path, _Call] = {}
        for folder in _breathing(folders):
            try:
                header, head = spool.read_head(folder)
            except (OSError, BridgeError) as error:
                self._unread(folder, error)
                continue
            found[folder] = _Call(row_id(folder.name, header), header, head, None)
        return found

    def _unread(self, folder: Path, error: Exception) -> None:
        self._known.pop(folder, None)
        if not isinstance(error, FileNotFoundError):  # then it was erased
            self._tell(folder, "journal_not_followed", error=str(error))

    # --- asking and putting in -----------------------------------------------------------------------------------

    async def _find(self, folders: Sequence[Path]) -> dict[Path, _Call]:
        """Read whose calls they are, and ask how far those are in. A copy of another is none, nor an erased one."""
        from bridge.store.sql import putting  # noqa: PLC0415

        begun = await asyncio.to_thread(self._begun, folders)
        ids = {call.id for call in begun.values()}
        if not ids:
            return {}
        async with self._database.reading() as connection:
            places = await putting.places_of(connection, ids)
            nodes = await putting.nodes_of(connection, ids) if self._node else {}
            new = ids - places.keys()
            erased = await putting.erased_among(connection, new) if new else set()
        found: dict[Path, _Call] = {}
        for folder, call in begun.items():
            place = places.get(call.id)
            if call.id in erased:
                self._tell(folder, "journal_of_an_erased_call")
                continue
            if nodes.get(call.id, self._node) != self._node:
                self._tell(folder, "call_held_elsewhere", node=nodes[call.id])
                self.lost(call.header.id)
                await self.merge_left(call.id)
                continue
            if place is not None and place.folder != self._name(folder):
                other = self._folder / place.folder / JOURNAL
                if await asyncio.to_thread(other.exists):
                    self._tell(folder, "journal_is_a_copy", of=place.folder)
                    continue
            found[folder] = self._remember(folder, replace(call, place=place))
        return found

    async def _put(self, gains: Sequence[_Gain]) -> set[Path]:
        """Put in what was gained. Returns the folders that must be tried again, from where somebody else has
        brought their calls to.
        """
        if not gains:
            return set()
        try:
            amiss = await self._transact(gains)
        except StoreError:
            raise
        except Exception as error:
            if not failures.is_of_data(error):
                said = f"the database of calls at {self._database.where} has not the tables it should have: {error}"
                raise StoreError(said, code="store_damaged") from error
            if len(gains) == 1:
                return {gains[0].folder} if await self._put_singly(gains[0]) else set()
            # One call must not keep the others out.
            again: set[Path] = set()
            for gain in gains:
                again |= await self._put([gain])
            return again
        for folder in amiss:
            self._known.pop(folder, None)
        if amiss:
            return amiss | await self._put([gain for gain in gains if gain.folder not in amiss])
        return set()

    async def _put_singly(self, gain: _Gain) -> bool:
        """Put in entry by entry, as there is one that the database does not take. True: as in `_put`."""
        lines, position = gain.stretch.lines, gain.stretch.position - len(gain.stretch.text)
        if not lines:
            _log.error("call_not_followed", folder=str(gain.folder))
            return False
        for line in lines:
            text = gain.stretch.text[len(gain.stretch.text) - (gain.stretch.position - position) :]
            text, position = text[: line.ends - position], line.ends
            single = spool.Stretch((line,), line.ends, line.seq, more=False, text=text)
            call = self._known.get(gain.folder, gain.call)
            rows = _rows(call, single)
            try:
                amiss = (
                    await self._transact([_Gain(gain.folder, call, single, rows)]) if rows is not None else set()
                )
            except StoreError:
                raise
            except Exception as error:
                if not failures.is_of_data(error):
                    raise
                rows, amiss = None, set()
            if rows is None:
                # No fault that is known of can bring us here. One entry must not keep back all that follow.
                _log.error("entry_not_kept", call=call.id, entry=line.seq)
                try:
                    amiss = await self._transact([_Gain(gain.folder, call, single, Rows())])
                except StoreError:
                    raise
                except Exception:  # noqa: BLE001  it is the call that is not taken, which must not keep others out
                    _log.exception("call_not_followed", folder=str(gain.folder))
                    return False
            if amiss:
                self._known.pop(gain.folder, None)
                return True
        return False

    async def _transact(self, gains: Sequence[_Gain]) -> set[Path]:
        """Put all of it in; but nothing, where somebody has moved or erased calls meanwhile: those are returned."""
        from bridge.store.sql import putting  # noqa: PLC0415

        moves, statements = await asyncio.to_thread(self._made_ready, gains)
        async with self._database.writing() as connection:
            amiss = await self._begin([gain for gain in gains if gain.call.place is None], connection)
            if not amiss:
                moved = await putting.moved_meanwhile(connection, moves, self._node)
                amiss = {gain.folder for gain in gains if gain.call.id in moved}
            if amiss:
                await connection.rollback()
                return amiss
            await putting.put(connection, statements)
        for gain, move in zip(gains, moves, strict=True):
            self.entries += len(gain.stretch.lines)
            if any(isinstance(line.entry, CallClosed) for line in gain.stretch.lines):
                self._known.pop(gain.folder, None)  # What may still come of it is rare, and found again.
            else:
                self._remember(gain.folder, replace(gain.call, place=move.new))
        return set()

    def _made_ready(self, gains: Sequence[_Gain]) -> tuple[list[Move], Ready]:
        """On a thread: what is to be put in."""
        from bridge.store.sql import putting  # noqa: PLC0415

        moves: list[Move] = []
        for gain in gains:
            name = self._name(gain.folder)
            new = putting.Place(name, gain.stretch.position, gain.stretch.entries)
            old = gain.call.place or _beginning(gain.call, name)
            text = gain.stretch.text if self._node else None
            moves.append(putting.Move(gain.call.id, old, new, gain.rows or Rows(), text))
        return moves, putting.ready(self._database.dialect, _breathing(moves))

    async def _begin(self, gains: Sequence[_Gain], connection: AsyncConnection) -> set[Path]:
        """Put in the rows of calls that begin. Returns those that somebody else has put in, or erased, since."""
        from bridge.store.sql import putting  # noqa: PLC0415

        if not gains:
            return set()
        amiss: set[Path] = set()
        for gain in sorted(gains, key=lambda gain: gain.call.id):  # in one order, as in `moved_meanwhile`
            row = call_row(gain.call.id, gain.call.header, self._name(gain.folder))
            if not await putting.begin(connection, row, gain.call.beginning):
                amiss.add(gain.folder)
            elif self._node:
                await putting.own(connection, row, self._node, gain.call.head)
        erased = await putting.erased_among(connection, {gain.call.id for gain in gains})
        there = await asyncio.to_thread(lambda: {gain.folder for gain in gains if (gain.folder / JOURNAL).exists()})
        return amiss | {gain.folder for gain in gains if gain.folder not in there or gain.call.id in erased}

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


def _breathing(calls: Iterable[T]) -> Iterator[T]:
    """Go through calls on a thread, and let the event loop have the interpreter every now and then."""
    for number, call in enumerate(calls, 1):
        if number % _BREATH[0] == 0:
            time.sleep(_BREATH[1])
        yield call


def _rows(call: _Call, stretch: spool.Stretch) -> Rows | None:
    """The rows of what was read; None: they cannot be made of it as a whole."""
    try:
        return rows_of(call.id, stretch.lines)
    except Exception:  # noqa: BLE001  it is found out which entry it is, and that one is told of
        return None


def _beginning(call: _Call, name: str) -> Place:
    """Where a call stands of which nothing is in but its row."""
    from bridge.store.sql.putting import Place  # noqa: PLC0415

    return Place(name, call.beginning, 0)


def row_id(name: str, header: CallHeader) -> str:
    """What a call's row is called: by its id, a second one of the same id by the number of its folder, too."""
    # No pattern: each would be compiled, and kept, for one call.
    again = name.removeprefix(folder_name(header))
    full = header.id + (again if again != name and again[:1] == "-" and again[1:].isdecimal() else "")
    if len(full) <= _LONGEST_ID:
        return full
    return f"{full[:47]}-{hashlib.sha256(full.encode()).hexdigest()[:16]}"
