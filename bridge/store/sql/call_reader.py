"""Asks the database for kept calls: the list, one call, and the full-text search, on SQLite and PostgreSQL alike.

`calls.py` imports this when it is needed, as SQLAlchemy takes a while to import.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias

import msgspec
from sqlalchemy import ColumnElement, Select, Table, func, or_, select, text, tuple_

from bridge.store.folder import TIMELINE
from bridge.store.sql.call_filter import CallFilter
from bridge.store.sql.call_rows import CallDetail, CallRow, Hit, Page, State, Stats, TurnRow, snippet
from bridge.store.sql.calls import Readable
from bridge.store.sql.cursors import cursor as cursor_at
from bridge.store.sql.cursors import position
from bridge.store.sql.rows import clean
from bridge.store.sql.schema import actions, calls, leftovers, legs, notes, passed, transcriptions, turns
from bridge.store.sql.search_index import INDEX, ROWID, VECTOR, found_first
from bridge.store.sql.search_query import parse_query

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

MOST: Final = 500
"""Rows of one page."""

_FEW: Final = 2000
"""So many turns are sorted sooner than it takes to find them in their order."""

_FITS: Final = text(f"turns.{VECTOR} @@ CAST(:query AS tsquery)")
_Whole: TypeAlias = Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]
_Rows: TypeAlias = tuple[Mapping[str, Any], ...]
_CALL_FIELDS: Final = tuple(name for name in CallRow.__slots__ if name != "state")
_CALL_COLUMNS: Final = tuple(calls.c[name] for name in _CALL_FIELDS)
_TURN_COLUMNS: Final = tuple(turns.c[name] for name in TurnRow.__slots__)


class CallReader:
    """What `Calls` asks; see there for what its methods return and raise."""

    def __init__(self, database: Readable, folder: Path) -> None:
        self._database = database
        self._folder = folder

    async def page(
        self, wanted: CallFilter | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[CallRow]:
        """Calls, newest first."""
        wanted = wanted or CallFilter()
        limit = max(1, min(limit, MOST))
        after = None if cursor is None else position(cursor, tuple[_Whole, str])
        found: list[CallRow] = []
        while True:
            rows = await self._rows(_page(wanted, after, limit + 1))
            found += [row for row in await self._calls(rows) if wanted.fits(row)]
            if len(rows) <= limit or len(found) > limit:
                break
            after = (rows[-1]["started_at"], rows[-1]["id"])  # of those that came, too many are not wanted
        last = found[limit - 1] if len(found) > limit else None
        return Page(tuple(found[:limit]), cursor_at((last.started_at, last.id)) if last is not None else None)

    async def get(self, call: str) -> CallDetail | None:
        """All that is kept of a call."""
        call = clean(call)
        async with self._database.reading() as connection:
            by_id = or_(calls.c.id == call, calls.c.sid == call)
            newest = select(*_CALL_COLUMNS).where(by_id).order_by(calls.c.started_at.desc(), calls.c.id).limit(1)
            row = (await connection.execute(newest)).mappings().first()
            if row is None:
                return None
            found = row["id"]
            said = select(*_TURN_COLUMNS).where(turns.c.call_id == found).order_by(turns.c.started_ms, turns.c.seq)
            spoken = (await connection.execute(said)).mappings().all()
            parts = [await _part(connection, table, found) for table in (actions, legs, notes, transcriptions)]
            held_by, left = await _moves(connection, dict(row))
        (summary,) = await self._calls([dict(row)])
        detail = CallDetail(summary, tuple(TurnRow(**turn) for turn in spoken), *parts)
        return replace(detail, held_by=held_by, leftovers=left)

    async def ids(self, start: str, limit: int = 10) -> list[str]:
        """Ids that start so."""
        start = clean(start)
        starts = or_(calls.c.id.startswith(start, autoescape=True), calls.c.sid.startswith(start, autoescape=True))
        newest = select(calls.c.id).where(starts).order_by(calls.c.started_at.desc(), calls.c.id).limit(limit)
        return [row["id"] for row in await self._rows(newest)]

    async def search(
        self, query: str, wanted: CallFilter | None = None, cursor: str | None = None, limit: int = 50
    ) -> Page[Hit]:
        """Turns whose text fits, what was kept last first."""
        wanted = wanted or CallFilter()
        limit = max(1, min(limit, MOST))
        before = None if cursor is None else position(cursor, tuple[_Whole])[0]
        parsed = parse_query(query)
        if not parsed:
            return Page((), None)
        found: list[tuple[CallRow, Mapping[str, Any]]] = []
        asked = parsed.fts5() if self._database.dialect == "sqlite" else parsed.tsquery()
        seldom = self._database.dialect == "postgresql" and await self._is_seldom(asked)
        while True:
            statement = self._search(wanted, before, limit + 1, seldom=seldom)
            rows = await self._rows(statement, {"query": asked})
            summaries = await self._calls(rows)
            found += [(call, row) for call, row in zip(summaries, rows, strict=True) if wanted.fits(call)]
            if len(rows) <= limit or len(found) > limit:
                break
            before = rows[-1]["turn"]
        hits = [Hit(call, _turn(row), snippet(parsed, row["turn_text"])) for call, row in found[:limit]]
        return Page(tuple(hits), cursor_at((found[limit - 1][1]["turn"],)) if len(found) > limit else None)

    async def stats(self) -> Stats:
        """What is kept, in figures."""
        figures = select(
            func.count().label("calls"),
            (func.count() - func.count(calls.c.ended)).label("open"),
            func.coalesce(func.sum(calls.c.turns), 0).label("turns"),
            func.min(calls.c.started_at).label("oldest_at"),
            func.max(calls.c.started_at).label("newest_at"),
            func.coalesce(func.sum(calls.c.duration_ms), 0).label("duration_ms"),
        )
        (row,) = await self._rows(figures)
        return Stats(**{**row, "duration_ms": int(row["duration_ms"])})  # PostgreSQL's sum is a Decimal

    async def _is_seldom(self, query: str) -> bool:
        """Whether PostgreSQL finds few turns, and so had better find them all and sort them.

        Left alone, it takes a word that it does not know for one that is not seldom, and reads every turn there is.
        """
        some = select(turns.c.id).where(_FITS).limit(_FEW).subquery()
        (row,) = await self._rows(select(func.count().label("turns")).select_from(some), {"query": query})
        return int(row["turns"]) < _FEW

    def _search(self, wanted: CallFilter, before: int | None, limit: int, *, seldom: bool) -> Select[Any]:
        said = [column.label(f"turn_{column.name}") for column in _TURN_COLUMNS]
        found = select(turns.c.id.label("turn"), *said, *_CALL_COLUMNS)
        if self._database.dialect == "sqlite":
            found = found.select_from(found_first()).where(text(f"{INDEX} MATCH :query"))
            # By the index's own number: it hands out its rows from the last one on, so that nothing need be sorted.
            number: ColumnElement[Any] = ROWID
        else:
            found = found.select_from(turns.join(calls)).where(_FITS)
            number = turns.c.id + 0 if seldom else turns.c.id  # a sum is in no index
        found = found.order_by(number.desc())
        if before is not None:
            found = found.where(number < before)
        if wanted.speaker is not None:
            found = found.where(turns.c.speaker == wanted.speaker)
        return found.where(*wanted.conditions()).limit(limit)

    async def _rows(
        self, statement: Select[Any], values: Mapping[str, Any] | None = None
    ) -> Sequence[Mapping[str, Any]]:
        async with self._database.reading() as connection:
            rows: Sequence[Mapping[str, Any]] = (await connection.execute(statement, values or {})).mappings().all()
            return rows

    async def _calls(self, rows: Iterable[Mapping[str, Any]]) -> list[CallRow]:
        """Rows of calls, with what their folders tell of those without an end."""
        rows = list(rows)
        open_folders = {row["folder"] for row in rows if row["ended"] is None}
        over = await asyncio.to_thread(self._finished, open_folders) if open_folders else set()
        return [CallRow(**{name: row[name] for name in _CALL_FIELDS}, state=_state(row, over)) for row in rows]

    def _finished(self, folders: Iterable[str]) -> set[str]:
        """Of these folders, those whose calls' records are finished. Blocks on the disk."""
        return {folder for folder in folders if (self._folder / folder / TIMELINE).exists()}


def _page(wanted: CallFilter, after: tuple[int, str] | None, limit: int) -> Select[Any]:
    conditions: list[ColumnElement[bool]] = [*wanted.conditions()]
    if after is not None:
        conditions.append(tuple_(calls.c.started_at, calls.c.id) < tuple_(*after))
    newest = select(*_CALL_COLUMNS).order_by(calls.c.started_at.desc(), calls.c.id.desc())
    return newest.where(*conditions).limit(limit)


async def _part(connection: AsyncConnection, table: Table, call: str) -> tuple[Mapping[str, Any], ...]:
    columns = [column for column in table.c if column.name != "call_id"]
    order = table.c["seq" if "seq" in table.c else "id"]
    rows = await connection.execute(select(*columns).where(table.c.call_id == call).order_by(order))
    return tuple(dict(row) for row in rows.mappings())


async def _moves(connection: AsyncConnection, call: Mapping[str, Any]) -> tuple[_Rows, _Rows]:
    """Who held a call before, and what only they had of it. Only where nodes share a database can there be any."""
    moves = select(passed.c.node, passed.c.passed_at).where(passed.c.call_id == call["id"]).order_by(passed.c.epoch)
    held_by = (await connection.execute(moves)).all()
    left = select(leftovers.c.node, leftovers.c.at_ms, leftovers.c.data).where(leftovers.c.call_id == call["id"])
    found = (await connection.execute(left.order_by(leftovers.c.at_ms, leftovers.c.line))).mappings().all()
    return (
        tuple({"node": node, "until": at, "until_ms": at - call["started_at"]} for node, at in held_by),
        tuple(dict(one) for one in found),
    )


def _state(row: Mapping[str, Any], finished: set[str]) -> State:
    if row["ended"] is not None:
        return "ended"
    return "broken_off" if row["folder"] in finished else "live"


def _turn(row: Mapping[str, Any]) -> TurnRow:
    return TurnRow(**{name: row[f"turn_{name}"] for name in TurnRow.__slots__})
