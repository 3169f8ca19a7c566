"""Finds what is kept of a call, by the bridge's id of it or the carrier's.

A name that somebody asks for is looked up, in the database and among the calls of this process; it never becomes a
part of a path. The calls of this process are found without a database as well, and what is told of them comes from
their journals: so it is never older than what was said.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import structlog

from bridge.api.own_calls import OwnCalls
from bridge.api.problems import Problem
from bridge.conversation.journal import Entry
from bridge.errors import BridgeError
from bridge.store.base import CallHeader
from bridge.store.call_folders import folder_of
from bridge.store.folder import JOURNAL, CallFolder
from bridge.store.journal_file import read_journal
from bridge.store.sql.call_rows import CallDetail, CallRow, TurnRow
from bridge.store.sql.calls import Calls
from bridge.store.sql.rows import Rows, call_row, rows_of
from bridge.store.sql.spool import read_beginning, read_on

log = structlog.get_logger()


class KeptCalls:
    """Finds calls."""

    def __init__(self, calls: Calls, folder: Path, own: OwnCalls, live: Callable[[], Sequence[str]]) -> None:
        """`folder` is that of all calls. `live` returns the ids of those that are going on."""
        self.calls = calls
        self._folder = folder
        self._live = live
        self._own = own

    def forget(self, call_ids: Iterable[str]) -> None:
        """Find calls no more that were erased."""
        self._own.forget(call_ids)

    def is_live(self, call_id: str) -> bool:
        """Tell whether a call is going on in this process."""
        return call_id in self._live()

    async def find(self, name: str) -> tuple[str, Path]:
        """Return the id and the folder of a call. Raises `Problem` 404, and `BridgeError` of the database."""
        if (own := await self._find_own(name)) is not None:
            return own
        if (detail := await self.calls.get(name)) is not None:
            try:
                return detail.call.id, folder_of(self._folder, detail.call.folder)
            except BridgeError as error:  # Whoever can write into the database is not to read the whole disk.
                raise gone(self._folder, error) from None
        raise Problem(404, "call_unknown", "Nothing is kept of such a call.")

    async def detail(self, name: str) -> CallDetail | None:
        """Return all that is kept of a call; None: there is nothing. Raises `BridgeError` of the database."""
        if (own := await self._find_own(name)) is None:
            return await self.calls.get(name)
        call_id, folder = own
        try:
            found = await asyncio.to_thread(_read_detail, call_id, folder, self.is_live(call_id))
        except (OSError, BridgeError):
            return None  # It begins at this moment, or was erased at it.
        if found.call.state != "live" and (kept := await self._of_database(name)) is not None:
            return replace(
                found, transcriptions=kept.transcriptions, held_by=kept.held_by, leftovers=kept.leftovers
            )
        return found

    async def journal(self, name: str) -> tuple[CallHeader, list[Entry]]:
        """Return the journal of a call, as far as it goes. Raises `Problem` 404, and `BridgeError`."""
        _, folder = await self.find(name)
        try:
            return await asyncio.to_thread(read_journal, folder / JOURNAL)
        except (OSError, BridgeError) as error:
            raise gone(folder / JOURNAL, error) from None

    async def _of_database(self, name: str) -> CallDetail | None:
        try:
            return await self.calls.get(name)
        except BridgeError:
            return None

    async def _find_own(self, name: str) -> tuple[str, Path] | None:
        info = self._own.find(name)
        if info is None:
            return None
        header = CallHeader(info.id, info.sid, info.caller, info.called, info.direction, info.started_at, "")
        folder = CallFolder(self._folder, header).path
        there = await asyncio.to_thread((folder / JOURNAL).exists)
        return (info.id, folder) if there else None


def gone(path: Path, error: Exception) -> Problem:
    """Return what is answered where a file of a call that is known cannot be read; the log says why."""
    log.warning("api_file_unreadable", path=str(path), error=str(error))
    return Problem(404, "file_missing", "This file of the call is missing, or cannot be read; the log says why.")


def _read_detail(call_id: str, folder: Path, live: bool) -> CallDetail:
    """Make of a journal what the database makes of it. Blocks on the disk. Raises `OSError`, `BridgeError`."""
    header, position = read_beginning(folder)
    rows = Rows()
    entries = 0
    while True:
        stretch = read_on(folder, position, entries)
        _add(rows, rows_of(call_id, stretch.lines))
        position, entries = stretch.position, stretch.entries
        if not stretch.more or not stretch.lines:
            break
    call: dict[str, Any] = {
        "duration_ms": None,
        "ended": None,
        "transfer_to": "",
        "under_runs": 0,
        "turns": 0,
        "interruptions": 0,
        "wasted": 0,
        "problems": 0,
        **call_row(call_id, header, f"{folder.parent.name}/{folder.name}"),
        **rows.call,
        **rows.more,
    }
    call["state"] = "ended" if call["ended"] is not None else "live" if live else "broken_off"
    turns = (TurnRow(**{name: row[name] for name in TurnRow.__slots__}) for row in rows.turns)
    return CallDetail(
        CallRow(**call),
        tuple(sorted(turns, key=_began)),
        _without_call(rows.actions),
        _without_call(_ended(rows)),
        _without_call(rows.notes),
        (),
    )


def _began(turn: TurnRow) -> tuple[int, int]:
    return turn.started_ms, turn.seq


def _add(rows: Rows, more: Rows) -> None:
    for part in ("turns", "actions", "legs", "notes", "leg_ends"):
        getattr(rows, part).extend(getattr(more, part))
    rows.call |= more.call
    for column, number in more.more.items():
        rows.more[column] = rows.more.get(column, 0) + number


def _ended(rows: Rows) -> list[dict[str, Any]]:
    """Return the legs with their ends: each end is that of the stream that was open before it."""
    legs = [dict(leg) for leg in rows.legs]
    for end in rows.leg_ends:
        before = (leg for leg in reversed(legs) if leg["kind"] == "stream" and leg["seq"] < end.seq)
        for leg in itertools.islice(before, 1):
            if leg["ended_ms"] is None:
                leg |= {"ended_ms": end.at_ms, "status": end.status}
    return legs


def _without_call(rows: Sequence[dict[str, Any]]) -> tuple[dict[str, Any], ...]:
    return tuple({name: value for name, value in row.items() if name != "call_id"} for row in rows)
