"""The statements that put what was read of calls' journals into the database, and tell how far they are in.

What many calls have gained goes in with few statements, each given many rows. Those are written by SQLAlchemy once,
and handed to the driver with rows that were made ready on a thread: the event loop has next to nothing to do for a
row.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cache
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from sqlalchemy import URL, Delete, Dialect, Table, Update, and_, bindparam, delete, insert, or_, select, update
from sqlalchemy.sql import Insert

from bridge.store.sql.inserting import insert_into
from bridge.store.sql.rows import Row, Rows
from bridge.store.sql.schema import actions, calls, journal, legs, notes, owners, tombstones, turns
from bridge.store.sql.words import search_words

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

_COUNTED: Final = ("turns", "interruptions", "wasted", "problems")
_OF_END: Final = ("duration_ms", "ended", "transfer_to", "under_runs")
"""The columns of a call that its end fills: those of `Rows.call`."""

_MOVE: Final = (
    update(calls)
    .where(calls.c.id == bindparam("of_call"))
    .values(
        **{name: bindparam(name) for name in ("journal_bytes", "entries", "folder")},
        **{name: calls.c[name] + bindparam(f"more_{name}") for name in _COUNTED},
    )
)
_END: Final = (
    update(calls).where(calls.c.id == bindparam("of_call")).values({name: bindparam(name) for name in _OF_END})
)
_FORGET: Final = delete(journal).where(journal.c.call_id == bindparam("of_call"))
_END_STREAM: Final = (
    update(legs)
    .where(
        legs.c.call_id == bindparam("of_call"),
        legs.c.seq < bindparam("before"),
        legs.c.kind == "stream",
        legs.c.ended_ms.is_(None),
    )
    .values(ended_ms=bindparam("at"), status=bindparam("how"))
)

Ready: TypeAlias = list[tuple[str, list[tuple[Any, ...]]]]
"""Statements as the driver takes them, each with its rows."""


@dataclass(frozen=True, slots=True)
class Place:
    """How far a call's journal is in."""

    folder: str
    """The folder that the row names, below that of the calls."""
    position: int
    entries: int


@dataclass(frozen=True, slots=True)
class Move:
    """What a call has gained, and how far that brings it."""

    call_id: str
    old: Place
    new: Place
    rows: Rows
    text: bytes | None = None
    """What stands in the journal between the two, to be kept while the call goes on; None: it is not kept."""


async def places_of(connection: AsyncConnection, call_ids: Collection[str]) -> dict[str, Place]:
    """How far calls are in; one that is missing is not."""
    columns = (calls.c.id, calls.c.folder, calls.c.journal_bytes, calls.c.entries)
    found = await connection.execute(select(*columns).where(calls.c.id.in_(call_ids)))
    return {row[0]: Place(row[1], row[2], row[3]) for row in found}


async def erased_among(connection: AsyncConnection, call_ids: Collection[str]) -> set[str]:
    """Those of some calls that were erased: they never go in again."""
    found = await connection.execute(select(tombstones.c.call_id).where(tombstones.c.call_id.in_(call_ids)))
    return set(found.scalars())


async def positions_of_day(connection: AsyncConnection, day: str) -> dict[str, int]:
    """How far the calls are in whose folders lie in that of a day, by their folders; empty where it is no day."""
    try:
        begins = datetime.combine(date.fromisoformat(day), datetime.min.time(), UTC)
        ends = begins + timedelta(days=1)
    except (ValueError, OverflowError):
        return {}
    within = and_(calls.c.started_at >= begins.timestamp() * 1000, calls.c.started_at < ends.timestamp() * 1000)
    rows = await connection.execute(select(calls.c.folder, calls.c.journal_bytes).where(within))
    return {row.folder: row.journal_bytes for row in rows}


async def begin(connection: AsyncConnection, row: Row, position: int) -> bool:
    """Put in the row of a call that begins; False: somebody else has done so meanwhile."""
    values = {**row, "journal_bytes": position}
    result = await connection.execute(insert_into(connection, calls).values(values).on_conflict_do_nothing())
    return result.rowcount == 1


async def own(connection: AsyncConnection, row: Row, node: str, header: bytes) -> None:
    """Let a node be the first owner of a call whose row it has just put in; `header` begins the journal."""
    mine = {"call_id": row["id"], "sid": row["sid"], "node": node, "epoch": 1, "claimed_at": _now_ms()}
    await connection.execute(insert(owners).values(mine))
    await connection.execute(insert(journal).values(call_id=row["id"], begins=0, text=header))


async def nodes_of(connection: AsyncConnection, call_ids: Collection[str]) -> dict[str, str]:
    """The nodes that hold calls; one that is missing is held by none in particular."""
    found = await connection.execute(select(owners.c.call_id, owners.c.node).where(owners.c.call_id.in_(call_ids)))
    return {row[0]: row[1] for row in found}


async def moved_meanwhile(connection: AsyncConnection, moves: Sequence[Move], node: str = "") -> set[str]:
    """Those of some calls that are not where they were, as somebody else has moved them along or taken them out.

    The rest stay there until the transaction ends: nobody else can move them. `node`: nor those that another node
    holds by now; empty: there are no nodes.
    """
    columns = (calls.c.id, calls.c.journal_bytes, calls.c.entries)
    wanted = select(*columns).where(calls.c.id.in_([move.call_id for move in moves]))
    if node:
        mine = or_(owners.c.node.is_(None), owners.c.node == node)
        wanted = wanted.select_from(calls.outerjoin(owners)).where(mine)
    # In one order, or two that do this at the same time could wait for each other.
    found = await connection.execute(wanted.order_by(calls.c.id).with_for_update(of=calls))
    there = {row[0]: (row[1], row[2]) for row in found}
    return {move.call_id for move in moves if there.get(move.call_id) != (move.old.position, move.old.entries)}


def ready(dialect: str, moves: Iterable[Move]) -> Ready:
    """What puts the rows of these calls in and moves their places along. Pure; for a thread, where it is much."""
    sorts = _sorts(dialect)
    rows: dict[str, list[tuple[Any, ...]]] = {name: [] for name in sorts}
    for move in moves:
        for name, row in _rows_of(move):
            rows[name].append(sorts[name].row(row))
    return [(sort.statement, rows[name]) for name, sort in sorts.items() if rows[name]]


async def put(connection: AsyncConnection, statements: Ready) -> None:
    """Do what was made ready."""
    for statement, rows in statements:
        await connection.exec_driver_sql(statement, rows)


def _rows_of(move: Move) -> Iterable[tuple[str, Row]]:
    """Everything that is to be done for a call, under the names of `_sorts`."""
    gained, call = move.rows, {"of_call": move.call_id}
    more = {f"more_{name}": gained.more.get(name, 0) for name in _COUNTED}
    place = {"journal_bytes": move.new.position, "entries": move.new.entries, "folder": move.new.folder}
    yield "move", {**call, **place, **more}
    if gained.call:
        yield "end", {**call, **gained.call}
    if move.text:
        yield "journal", {"call_id": move.call_id, "begins": move.old.position, "text": move.text}
    if move.text is not None and gained.call:
        yield "forget", call  # Nobody takes the call up again.
    for turn in gained.turns:
        yield "turns", {**turn, "words": search_words(turn["text"])}
    for action in gained.actions:
        yield "actions", {**action, "data": _json(action["data"])}
    for leg in gained.legs:
        yield "legs", leg
    for note in gained.notes:
        yield "notes", {**note, "data": _json(note["data"])}
    for end in gained.leg_ends:
        yield "leg_ends", {**call, "before": end.seq, "at": end.at_ms, "how": end.status}


@dataclass(frozen=True, slots=True)
class _Sort:
    """One of the statements."""

    statement: str
    row: Callable[[Row], tuple[Any, ...]]
    """Brings the values of a row into the statement's order."""


@cache
def _sorts(name: str) -> dict[str, _Sort]:
    """The statements, in the order in which they are to be done."""
    driver = "postgresql+asyncpg" if name == "postgresql" else "sqlite+aiosqlite"
    dialect = URL.create(driver).get_dialect()()  # Imports this one only.
    return {
        "move": _sort(dialect, _MOVE),
        "end": _sort(dialect, _END),
        **{table.name: _sort(dialect, insert(table).inline(), table) for table in (turns, actions, legs, notes)},
        "leg_ends": _sort(dialect, _END_STREAM),
        "journal": _sort(dialect, insert(journal).inline(), journal),
        "forget": _sort(dialect, _FORGET),
    }


def _sort(dialect: Dialect, statement: Insert | Update | Delete, table: Table | None = None) -> _Sort:
    columns = [column.name for column in table.columns if column.name != "id"] if table is not None else None
    compiled: Any = statement.compile(dialect=dialect, column_keys=columns)
    return _Sort(str(compiled), _in_order(compiled.positiontup, compiled.params))


def _in_order(names: Sequence[str], fixed: dict[str, Any]) -> Callable[[Row], tuple[Any, ...]]:
    """What takes the values of these names out of a row; `fixed` has those that the statement brings itself."""
    brought = {name: value for name, value in fixed.items() if value is not None}
    several: Callable[[Row], tuple[Any, ...]] = itemgetter(*names)
    values = several if len(names) > 1 else lambda row: (row[names[0]],)
    return (lambda row: values({**brought, **row})) if brought else values


def _now_ms() -> int:
    return round(time.time() * 1000)


def _json(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False)
