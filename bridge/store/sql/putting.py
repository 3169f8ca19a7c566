"""The statements that put what was read of a call's journal into the database, and tell how far it is in."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, bindparam, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from bridge.store.sql.inserting import insert_into
from bridge.store.sql.rows import Row, Rows
from bridge.store.sql.schema import actions, calls, legs, notes, tombstones, turns

_COUNTED: Final = ("turns", "interruptions", "wasted", "problems")

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


@dataclass(frozen=True, slots=True)
class Place:
    """How far a call's journal is in."""

    folder: str
    """The folder that the row names, below that of the calls."""
    position: int
    entries: int


async def place_of(connection: AsyncConnection, call_id: str) -> Place | None:
    """How far a call is in; None: it is not."""
    columns = (calls.c.folder, calls.c.journal_bytes, calls.c.entries)
    row = (await connection.execute(select(*columns).where(calls.c.id == call_id))).first()
    return None if row is None else Place(*row)


async def was_erased(connection: AsyncConnection, call_id: str) -> bool:
    """Whether a call was erased: it never goes in again."""
    found = await connection.execute(select(tombstones.c.call_id).where(tombstones.c.call_id == call_id))
    return found.first() is not None


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


async def move(connection: AsyncConnection, call_id: str, folder: str, old: Place, new: Place, rows: Rows) -> bool:
    """Put rows in and move the place along; False: somebody else has moved it meanwhile, and nothing was done."""
    values: dict[str, Any] = {**rows.call, "journal_bytes": new.position, "entries": new.entries, "folder": folder}
    values |= {name: calls.c[name] + rows.more[name] for name in _COUNTED if name in rows.more}
    at_old = and_(calls.c.id == call_id, calls.c.journal_bytes == old.position, calls.c.entries == old.entries)
    result = await connection.execute(update(calls).where(at_old).values(values))
    if result.rowcount != 1:
        return False
    for table, added in ((turns, rows.turns), (actions, rows.actions), (legs, rows.legs), (notes, rows.notes)):
        if added:
            await connection.execute(insert(table), added)
    for end in rows.leg_ends:
        values = {"of_call": call_id, "before": end.seq, "at": end.at_ms, "how": end.status}
        await connection.execute(_END_STREAM, values)
    return True
