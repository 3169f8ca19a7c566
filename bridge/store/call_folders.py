"""Reading kept calls from their folders, without a database: slower, but for what is looked for the same.

For when the database does not answer. Everything is read from the journals, newest call first, and no further than
what was asked for needs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import structlog

from bridge.errors import BridgeError
from bridge.store.folder import JOURNAL, TIMELINE
from bridge.store.journal_file import read_journal
from bridge.store.sql.call_filter import CallFilter
from bridge.store.sql.call_rows import CallDetail, CallRow, Hit, Page, State, TurnRow, snippet
from bridge.store.sql.cursors import cursor as cursor_at
from bridge.store.sql.cursors import position
from bridge.store.sql.rows import Rows, call_row, rows_of
from bridge.store.sql.search_query import Query, parse_query
from bridge.store.sql.spool import Line

_log = structlog.get_logger()

_COUNTED: Final = ("turns", "interruptions", "wasted", "problems", "under_runs")
_OF_END: Final = ("duration_ms", "ended")


class CallFolders:
    """Reads calls below `folder`, as `bridge.store.sql.calls.Calls` does from a database; cancelling is safe."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def page(
        self, wanted: CallFilter | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[CallRow]:
        """Calls, newest first; as `Calls.page`."""
        after = None if cursor is None else position(cursor, tuple[str])[0]
        return await asyncio.to_thread(self._page, wanted or CallFilter(), after, max(1, limit))

    async def get(self, call: str) -> CallDetail | None:
        """All that is kept of a call, by its id or the carrier's, but for what was made of it later; else None."""
        return await asyncio.to_thread(self._get, call)

    async def ids(self, start: str, limit: int = 10) -> list[str]:
        """Ids of calls whose id, or the carrier's, starts so; newest first."""
        return await asyncio.to_thread(self._ids, start, limit)

    async def search(
        self, query: str, wanted: CallFilter | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[Hit]:
        """Turns whose text fits, those of the newest call first; otherwise as `Calls.search`."""
        before = None if cursor is None else position(cursor, tuple[str, int])
        parsed = parse_query(query)
        return await asyncio.to_thread(self._search, parsed, wanted or CallFilter(), before, max(1, limit))

    def _page(self, wanted: CallFilter, after: str | None, limit: int) -> Page[CallRow]:
        found: list[CallRow] = []
        for row, _ in self._read(after):
            if wanted.fits(row):
                if len(found) == limit:
                    return Page(tuple(found), cursor_at((found[-1].folder,)))
                found.append(row)
        return Page(tuple(found), None)

    def _search(self, query: Query, wanted: CallFilter, before: tuple[str, int] | None, limit: int) -> Page[Hit]:
        found: list[Hit] = []
        for row, rows in self._read(None) if query else ():
            if not wanted.fits(row) or (before is not None and row.folder > before[0]):
                continue
            for turn in reversed(_turns(rows)):
                if before is not None and row.folder == before[0] and turn.seq >= before[1]:
                    continue
                if wanted.speaker not in {None, turn.speaker} or not query.matches(turn.text):
                    continue
                if len(found) == limit:
                    last = found[-1]
                    return Page(tuple(found), cursor_at((last.call.folder, last.turn.seq)))
                found.append(Hit(row, turn, snippet(query, turn.text)))
        return Page(tuple(found), None)

    def _get(self, call: str) -> CallDetail | None:
        for row, rows in self._read(None):
            if call in {row.id, row.sid}:
                turns = sorted(_turns(rows), key=lambda turn: (turn.started_ms, turn.seq))
                actions, legs, notes = (
                    tuple({name: value for name, value in part.items() if name != "call_id"} for part in table)
                    for table in (rows.actions, rows.legs, rows.notes)
                )
                return CallDetail(row, tuple(turns), actions, legs, notes, transcriptions=())
        return None

    def _ids(self, start: str, limit: int) -> list[str]:
        found = []
        for row, _ in self._read(None):
            if row.id.startswith(start) or row.sid.startswith(start):
                found.append(row.id)
                if len(found) == limit:
                    break
        return found

    def _read(self, after: str | None) -> Iterator[tuple[CallRow, Rows]]:
        """Every call that can be read, newest first, behind that of folder `after`."""
        days = sorted((path.name for path in self._folder.iterdir()), reverse=True) if self._folder.is_dir() else []
        for day in days:
            if after is not None and day > after.partition("/")[0]:
                continue
            names = (f"{day}/{path.parent.name}" for path in (self._folder / day).glob(f"*/{JOURNAL}"))
            for name in sorted(names, reverse=True):
                if after is not None and name >= after:
                    continue
                try:
                    yield self._call(name)
                except (OSError, BridgeError) as error:
                    _log.warning("call_not_read", folder=name, error=str(error))

    def _call(self, name: str) -> tuple[CallRow, Rows]:
        header, entries = read_journal(self._folder / name / JOURNAL)
        rows = rows_of(header.id, [Line(seq, None, entry, 0) for seq, entry in enumerate(entries, start=1)])
        for end in rows.leg_ends:
            for leg in rows.legs:
                if leg["kind"] == "stream" and leg["seq"] < end.seq and leg["ended_ms"] is None:
                    leg.update(ended_ms=end.at_ms, status=end.status)
        values = {
            **dict.fromkeys(_COUNTED, 0),
            **dict.fromkeys(_OF_END),
            "transfer_to": "",
            **call_row(header.id, header, name),
            **rows.more,
            **rows.call,
        }
        return CallRow(**values, state=self._state(name, values["ended"])), rows

    def _state(self, name: str, ended: str | None) -> State:
        if ended is not None:
            return "ended"
        return "broken_off" if (self._folder / name / TIMELINE).exists() else "live"


def folder_of(calls: Path, name: str) -> Path:
    """The folder of a call below that of all `calls`, as its row names it.

    Raises BridgeError (code `call_folder`) for a name that leads anywhere else.
    """
    parts = PurePosixPath(name).parts
    if (
        not parts
        or name.startswith("/")
        or any(part in {"..", ""} or "\\" in part or "\0" in part for part in parts)
    ):
        raise BridgeError(f"{name!r} is no folder of a call", code="call_folder")
    return calls.joinpath(*parts)


def _turns(rows: Rows) -> list[TurnRow]:
    return [TurnRow(**{name: row[name] for name in TurnRow.__slots__}) for row in rows.turns]
